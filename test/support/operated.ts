import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { dialIn } from "./client.ts";
import { eventually } from "./eventually.ts";
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

/** The gateway accepts no more: its end has begun. Who was accepted just before that is nobody. */
export async function closed(port: number): Promise<void> {
  await eventually(async () => {
    const socket = await dialIn(port).catch(() => undefined);
    socket?.destroy();
    expect(socket).toBeUndefined();
  });
}

/** Sessions have heard of the end, whose first step is a quarter of a second after its begin; a busy gateway may be late with it. */
export async function announced(gateway: Gateway): Promise<void> {
  await sleep(600);
  for (let time = 0; time < 2; time++) await turn(gateway);
}
