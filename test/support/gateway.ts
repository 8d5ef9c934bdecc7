import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
/** How long a process may take to start or to say something before a test gives up. */
const PATIENCE_MS = 45_000;

/** A line of the gateway's log, as JSON. */
export type LogLine = Readonly<Record<string, unknown>>;

interface StartOptions {
  readonly ports?: number;
  /** A command in front, e.g. to limit resources. */
  readonly wrap?: readonly string[];
  /** On top of the test's own environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A gateway in a process of its own, started by the command line like any user's. */
export class Gateway implements AsyncDisposable {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly log: LogLine[] = [];
  readonly #ports = new Map<string, string[]>();
  readonly #watchers = new Set<() => void>();
  /** It has ended, and what it wrote last has been read. */
  readonly #closed: Promise<unknown>;
  #isClosed = false;
  #stdout = "";
  #stderr = "";

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.process = child;
    const { stdout, stderr } = child;
    if (stdout) createInterface({ input: stdout }).on("line", (line) => this.#onStdout(line));
    if (stderr) createInterface({ input: stderr }).on("line", (line) => this.#onStderr(line));
    this.#closed = once(child, "close").then(() => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /**
   * Starts `restyconf start` on this configuration: the text of a TypeScript module (or of `file`'s type).
   * Resolves when the last of `ports` ports is open.
   */
  static async start(
    config: string,
    options: StartOptions & { file?: string; files?: Record<string, string> } = {},
  ): Promise<Gateway> {
    const folder = mkdtempSync(join(tmpdir(), "restyconf-e2e-"));
    const path = join(folder, options.file ?? "restyconf.config.ts");
    for (const [name, text] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), text);
    writeFileSync(path, config);
    return Gateway.startFile(path, { ...options, folder });
  }

  /** The same for a configuration that is there already. */
  static async startFile(
    path: string,
    { ports = 1, wrap = [], folder = "", env = {} }: StartOptions & { folder?: string } = {},
  ): Promise<Gateway> {
    const [command = process.execPath, ...args] = [...wrap, process.execPath, CLI, "start", "--config", path];
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } });
    const gateway = new Gateway(folder, child);
    try {
      await gateway.#until(`${ports} open ports`, () => gateway.addresses.length >= ports || undefined);
    } catch (cause) {
      await gateway[Symbol.asyncDispose](); // a test that fails leaves no process behind
      throw cause;
    }
    return gateway;
  }

  get addresses(): string[] {
    return [...this.#ports.values()].flat();
  }

  /** The port of a server's n-th address. */
  port(server = "edge", index = 0): number {
    return Number(this.#ports.get(server)?.[index]?.split(":").at(-1));
  }

  /** Everything written on stdout so far. */
  get stdout(): string {
    return this.#stdout;
  }

  /** Everything written on stderr so far. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Waits for an access line (one with `end_cause`) that fits. */
  access(fits: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    return this.#until("an access line", () => this.log.find((line) => "end_cause" in line && fits(line)));
  }

  /** Waits for any log line that fits. */
  line(fits: (line: LogLine) => boolean): Promise<LogLine> {
    return this.#until("a log line", () => this.log.find(fits));
  }

  /** Waits until so many sessions have ended, and returns their access lines in the order in which they began. */
  sessions(count: number): Promise<LogLine[]> {
    return this.#until(`${count} ended sessions`, () => {
      const ended = this.log.filter((line) => "end_cause" in line);
      return ended.length >= count ? ended.sort((one, other) => beginOf(one) - beginOf(other)) : undefined;
    });
  }

  /** Sends a signal and waits for the exit code, and for the last of what it wrote; killed, its workers may live on and write. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
    const { process } = this;
    const isRunning = process.exitCode === null && process.signalCode === null;
    const exited = isRunning ? once(process, "exit") : undefined;
    if (isRunning) process.kill(signal);
    await (signal === "SIGKILL" ? exited : this.#closed);
    return process.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
    // Killed, its workers may still put files there.
    if (this.folder) rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }

  #onStdout(line: string): void {
    this.#stdout += `${line}\n`;
    const [, address = "", server = ""] = /^listening (\S+) (\S+)$/.exec(line) ?? [];
    if (server) this.#ports.set(server, [...(this.#ports.get(server) ?? []), address]);
    this.#wake();
  }

  #onStderr(line: string): void {
    this.#stderr += `${line}\n`;
    const isWhole = line.endsWith("}"); // the last one of a process that was killed may be cut
    if (line.startsWith("{") && isWhole) this.log.push(JSON.parse(line));
    this.#wake();
  }

  #wake(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  #until<T>(what: string, look: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void =>
        finish(() => reject(new Error(`${why} while waiting for ${what}\n${this.#stderr}`)));
      const watcher = (): void => {
        const seen = look();
        if (seen !== undefined) finish(() => resolve(seen));
        else if (this.#isClosed) fail(`exit ${this.process.exitCode ?? this.process.signalCode}`);
      };
      const timer = setTimeout(() => fail("time is over"), PATIENCE_MS);
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#watchers.delete(watcher);
        settle();
      };
      this.#watchers.add(watcher);
      watcher();
    });
  }
}

/** When a session began: one whose client leaves first may well end after the next one, of another client. */
function beginOf(line: LogLine): number {
  return Date.parse(String(line["time"])) - Number(line["session_time"]) * 1_000;
}
