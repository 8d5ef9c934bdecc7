import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { eventually } from "./eventually.ts";

const CLIENT = fileURLToPath(new URL("../../examples/link-client.mjs", import.meta.url));

/** A frame of a link, as JSON. */
export type Frame = Readonly<Record<string, unknown>>;

/** The game server's end of links, in a process of its own: `examples/link-client.mjs`. */
export class GameServer implements AsyncDisposable {
  readonly frames: Frame[] = [];
  readonly #process: ChildProcess = spawn(process.execPath, [CLIENT, "0"], { stdio: ["pipe", "pipe", "inherit"] });
  #asked = 0;

  constructor() {
    const { stdout } = this.#process;
    if (stdout) createInterface({ input: stdout }).on("line", (line) => this.frames.push(JSON.parse(line)));
  }

  /** Its address, once it listens. */
  address(): Promise<string> {
    return eventually(() => {
      expect(this.frames[0]).toHaveProperty("port");
      return `127.0.0.1:${this.frames[0]?.["port"]}`;
    });
  }

  /** Waits for so many frames that fit. */
  heard(fits: Frame, count: number): Promise<Frame[]> {
    return eventually(() => {
      const found = this.frames.filter((frame) => Object.entries(fits).every(([key, value]) => frame[key] === value));
      expect(found.length, JSON.stringify({ fits, frames: this.frames })).toBeGreaterThanOrEqual(count);
      return found;
    });
  }

  /** Asks all workers that are linked to it, and waits for so many answers. */
  ask(frame: Frame, count: number): Promise<Frame[]> {
    const id = `q${this.#asked++}`;
    this.#process.stdin?.write(`${JSON.stringify({ ...frame, id })}\n`);
    return this.heard({ id }, count);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}
