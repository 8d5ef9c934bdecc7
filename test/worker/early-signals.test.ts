import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { TempFolder } from "./temp-folder.ts";

// What signals do to a gateway whose program is not loaded yet.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const CONFIG = `import { content, defineGateway, otherwise } from "restyconf";
  export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [
    otherwise(content(async (session) => { await session.write("hi"); })),
  ] } } });`;

/** Node loads the library behind the command line, and with it the program, when there is a file named `go`. */
const HOOKS = `import { existsSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  export async function resolve(specifier, context, next) {
    while (specifier === "commander" && !existsSync(new URL("go", import.meta.url))) await sleep(5);
    return next(specifier, context);
  }`;
const FILES = {
  "restyconf.config.ts": CONFIG,
  "hooks.mjs": HOOKS,
  "first.mjs": `import { register } from "node:module"; register("./hooks.mjs", import.meta.url);`,
};

/** A gateway that is starting, and whose program is loaded when the test says so. */
class Starting implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly log: string[] = [];
  port = 0;
  readonly #folder = new TempFolder(FILES);

  constructor() {
    const args = ["--import", join(this.#folder.path, "first.mjs"), CLI, "start", "--config"];
    this.process = spawn(process.execPath, [...args, join(this.#folder.path, "restyconf.config.ts")]);
    const { stdout, stderr } = this.process;
    if (stdout) createInterface({ input: stdout }).on("line", (line) => this.#heard(line));
    if (stderr) createInterface({ input: stderr }).on("line", (line) => this.log.push(line));
  }

  /** The kernel tells which signals have a handler, bit by bit from number 1. */
  catches(number: number): boolean {
    const [, mask = "0"] = /^SigCgt:\s*(\w+)/m.exec(readFileSync(`/proc/${this.process.pid}/status`, "utf8")) ?? [];
    return ((BigInt(`0x${mask}`) >> BigInt(number - 1)) & 1n) === 1n;
  }

  goOn(): void {
    writeFileSync(join(this.#folder.path, "go"), "");
  }

  #heard(line: string): void {
    this.port = Number(/^listening .*:(\d+) edge$/.exec(line)?.[1] ?? this.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill("SIGKILL");
      await once(this.process, "exit");
    }
    this.#folder[Symbol.dispose]();
  }
}

const HUP = 1;
const USR2 = 12;

test("HUP, USR1 and USR2 before the program is loaded are done when it serves", async () => {
  await using starting = new Starting();
  await eventually(() => expect([HUP, USR2].map((number) => starting.catches(number))).toEqual([true, true]));
  for (const signal of ["SIGHUP", "SIGUSR1", "SIGUSR2", "SIGHUP"] as const) starting.process.kill(signal);
  starting.goOn();
  await eventually(() => expect(starting.log.join("\n")).toMatch(/"msg":"reload done"/));
  await eventually(() => expect(starting.log.join("\n")).toMatch(/"msg":"replacement/));
  expect(starting.log.filter((line) => line.includes('"msg":"reload done"'))).toHaveLength(1);
  await eventually(() => expect(starting.port).toBeGreaterThan(0)); // told by the other pipe
  expect(await exchange(starting.port, "")).toBe("hi");
});

test.each(["SIGTERM", "SIGINT", "SIGQUIT"] as const)(
  "%s before the program is loaded ends it at once",
  async (signal) => {
    await using starting = new Starting();
    await eventually(() => expect(starting.catches(HUP)).toBe(true));
    starting.process.kill(signal);
    await once(starting.process, "exit");
    expect(starting.process.signalCode).toBe(signal);
  },
);
