import { GatewayError } from "../errors.ts";
import type { GatewayConfig } from "../gateway.ts";
import type { OpenLog } from "./log.ts";
import { type Running, startWorker } from "./worker.ts";

/** Sessions that a quick stop has told to end get so long for their log hooks. */
const QUICK_STOP_MS = 5_000;

/** After an exception that nobody caught the state may be broken: sessions get so long to end by themselves. */
const CRASH_DRAIN_MS = 30_000;

interface RunOptions {
  /** Paths in the configuration are relative to it. */
  readonly baseDir: string;
  readonly log: OpenLog;
}

/**
 * Serves in this process until a signal ends it: TERM and INT at once, QUIT when the sessions have ended. USR1 reopens the
 * log, HUP does nothing yet. Resolves with the open ports. @throws BindError when a port cannot be opened
 */
export async function runGateway(config: GatewayConfig, options: RunOptions): Promise<Running["listening"]> {
  const lifetime = new Lifetime(options.log);
  const running = await startWorker(config, options);
  lifetime.serves(running);
  return running.listening;
}

/** Ends this process in the right order: sessions, log, exit. */
class Lifetime {
  readonly #log: OpenLog;
  #running: Running | undefined;
  #crashed = false;

  constructor(log: OpenLog) {
    this.#log = log;
    process.on("SIGTERM", () => this.#stop("quick"));
    process.on("SIGINT", () => this.#stop("quick"));
    process.on("SIGQUIT", () => this.#stop("drain"));
    // nginx reloads on HUP. We cannot yet, and Node's default would end every session.
    process.on("SIGHUP", () => log.warn("SIGHUP: reload is not part of this version, nothing was done"));
    process.on("SIGUSR1", () => log.reopen());
    process.on("uncaughtException", (cause, origin) => this.#crash(cause, origin));
    process.on("exit", () => log.flush());
  }

  serves(running: Running): void {
    this.#running = running;
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
      await this.#running?.close(how);
    } catch (cause) {
      process.exitCode = 1;
      this.#log.error("stop failed", { err: cause });
    }
    process.exit();
  }
}
