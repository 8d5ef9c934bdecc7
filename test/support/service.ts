import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { eventually } from "./eventually.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A server of the documentation, started by its line of shell in the project's folder. */
export class Service implements AsyncDisposable {
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#process = child;
  }

  /** Resolves when the port is open, which is the first number of four or five digits in the command. */
  static async start(command: string): Promise<Service> {
    const service = new Service(spawn("bash", ["-c", `exec ${command}`], { cwd: ROOT, stdio: "ignore" }));
    const [port] = /\b\d{4,5}\b/.exec(command) ?? [];
    await eventually(() => knock(Number(port)));
    return service;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await exited;
  }
}

async function knock(port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect");
  } finally {
    socket.destroy();
  }
}

/** Below the ports that the kernel gives to clients: a test beside this one may open thousands of connections. */
const PORTS = { min: 12_000, max: 32_000 };

/** Ports that nobody uses now, for programs that cannot report one that the kernel chose for them. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(PORTS.min, PORTS.max);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await once(server.listen(port, "127.0.0.1"), "listening");
    await once(server.close(), "close");
    return true;
  } catch {
    return false;
  }
}
