import { GatewayError, messageOf } from "../errors.ts";
import type { GatewayConfig } from "../gateway.ts";
import { ConfigError } from "./config/config-error.ts";
import { loadGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import { Worker } from "./worker.ts";

/** Sessions that a quick stop has told to end get so long for their log hooks. */
const QUICK_STOP_MS = 5_000;

/** After an exception that nobody caught the state may be broken: sessions get so long to end by themselves. */
const CRASH_DRAIN_MS = 30_000;

interface RunOptions {
  /** Of the configuration: a reload reads it again. */
  readonly path: string;
  /** Paths in the configuration are relative to it. */
  readonly baseDir: string;
  readonly log: OpenLog;
}

/**
 * Serves in this process until a signal ends it: TERM and INT at once, QUIT when the sessions have ended. USR1 reopens the
 * log, HUP reads the configuration again. Resolves with the open ports. @throws BindError when a port cannot be opened
 */
export async function runGateway(config: GatewayConfig, options: RunOptions): Promise<Worker["listening"]> {
  const lifetime = new Lifetime(options);
  const worker = await Worker.start(config, options);
  lifetime.serves(worker);
  return worker.listening;
}

/** Ends this process in the right order: sessions, log, exit. */
class Lifetime {
  readonly #path: string;
  readonly #log: OpenLog;
  #worker: Worker | undefined;
  /** Reloads come one after the other. */
  #reloading: Promise<void> = Promise.resolve();
  #crashed = false;

  constructor({ path, log }: RunOptions) {
    this.#path = path;
    this.#log = log;
    process.on("SIGTERM", () => this.#stop("quick"));
    process.on("SIGINT", () => this.#stop("quick"));
    process.on("SIGQUIT", () => this.#stop("drain"));
    process.on("SIGHUP", () => this.#reload());
    process.on("SIGUSR1", () => log.reopen());
    process.on("uncaughtException", (cause, origin) => this.#crash(cause, origin));
    process.on("exit", () => log.flush());
  }

  serves(worker: Worker): void {
    this.#worker = worker;
  }

  #reload(): void {
    this.#reloading = this.#reloading.then(() => this.#reloadNow());
  }

  /** What fails leaves the old configuration where it was, and says why. */
  async #reloadNow(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    try {
      const { config } = await loadGateway(this.#path);
      const candidate = await worker.prepare(config);
      worker.commit(candidate);
      this.#log.info("reloaded", { generation: worker.generation });
    } catch (cause) {
      const reason = cause instanceof ConfigError ? cause.lines.join("; ") : messageOf(cause);
      this.#log.error("reload failed", { generation: worker.generation, reason });
    }
  }

  #stop(how: "quick" | "drain"): void {
    if (how === "quick") setTimeout(() => process.exit(), QUICK_STOP_MS).unref();
    void this.#end(how);
  }

  /** Unhandled rejections come here as well. Also counts what comes while we go down, but begins only once. */
  #crash(cause: unknown, origin: string): void {
    if (cause instanceof GatewayError && cause.code === "RC_EXITED") return; // it ended its session, from a callback of a hook
    this.#log.error("uncaught", { code: GatewayError.from(cause).code, phase: "worker", origin, err: cause });
    if (this.#crashed) return;
    this.#crashed = true;
    process.exitCode = 1;
    setTimeout(() => process.exit(), CRASH_DRAIN_MS).unref();
    void this.#end("drain");
  }

  async #end(how: "quick" | "drain"): Promise<void> {
    try {
      await this.#worker?.close(how);
    } catch (cause) {
      process.exitCode = 1;
      this.#log.error("stop failed", { err: cause });
    }
    process.exit();
  }
}
