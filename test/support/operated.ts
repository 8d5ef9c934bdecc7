import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Gateway } from "./gateway.ts";
import { type Ran, run } from "./programs.ts";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** Runs a command of the command line for a gateway, as its operator does. */
export function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  return tellWith({}, gateway, ...words);
}

/** The same in another environment: undefined takes a variable away. */
export function tellWith(
  env: Readonly<Record<string, string | undefined>>,
  gateway: Gateway,
  ...words: string[]
): Promise<Ran> {
  const changes = Object.entries(env).flatMap(([name, value]) =>
    value === undefined ? ["-u", name] : [`${name}=${value}`],
  );
  const config = join(gateway.folder, "restyconf.config.ts");
  return run("env", [...changes, process.execPath, CLI, ...words, "--config", config]);
}

/** Resolves when a gateway, whose `stateDir` is `state`, has seen to whatever came before: signals, too. */
export function turn(gateway: Gateway): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath: join(gateway.folder, "state/control.sock"), path: "/status" });
    asked.on("response", (response) => response.resume().on("end", resolve));
    asked.on("error", reject).end();
  });
}
