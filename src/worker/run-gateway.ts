import { GatewayError, messageOf } from "../errors.ts";
import { ConfigError } from "./config/config-error.ts";
import { type LoadedGateway, loadGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import { Master } from "./master/master.ts";
import type { RunningGateway } from "./master/running-gateway.ts";
import { Single } from "./master/single.ts";
import { workersOf } from "./master/workers-of.ts";

/** Sessions that a quick stop has told to end get so long for their log hooks. */
const QUICK_STOP_MS = 5_000;

/** After an exception that nobody caught the state may be broken: sessions get so long to end by themselves. */
const CRASH_DRAIN_MS = 30_000;

/**
 * Serves until a signal ends it: TERM and INT at once, QUIT when the sessions have ended. USR1 reopens the log, HUP reads the
 * configuration again, USR2 replaces the workers. Resolves with the open ports. @throws BindError when a port cannot be opened
 */
export async function runGateway(loaded: LoadedGateway, log: OpenLog): Promise<RunningGateway["listening"]> {
  const lifetime = new Lifetime(loaded.loaded.path, log);
  const start = workersOf(loaded.config) === 1 ? Single.start : Master.start;
  const gateway = await start(loaded, log);
  lifetime.serves(gateway);
  return gateway.listening;
}

/** Does what signals say, one thing after the other, and ends this process in the right order: sessions, log, exit. */
class Lifetime {
  readonly #path: string;
  readonly #log: OpenLog;
  #gateway: RunningGateway | undefined;
  /** Changes of the gateway come one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #crashed = false;

  constructor(path: string, log: OpenLog) {
    this.#path = path;
    this.#log = log;
    process.on("SIGTERM", () => this.#stop("quick"));
    process.on("SIGINT", () => this.#stop("quick"));
    process.on("SIGQUIT", () => this.#stop("drain"));
    process.on("SIGHUP", () => this.#change("reload", (gateway) => this.#reload(gateway)));
    process.on("SIGUSR1", () => void this.#gateway?.reopen());
    process.on("SIGUSR2", () => this.#change("replacement", (gateway) => gateway.replace()));
    process.on("uncaughtException", (cause, origin) => this.#crash(cause, origin));
    process.on("exit", () => log.flush());
  }

  serves(gateway: RunningGateway): void {
    this.#gateway = gateway;
  }

  async #reload(gateway: RunningGateway): Promise<void> {
    await gateway.reload(await loadGateway(this.#path));
  }

  /** What fails leaves everything as it was, and says why. */
  #change(what: "reload" | "replacement", work: (gateway: RunningGateway) => Promise<void>): void {
    this.#changing = this.#changing.then(async () => {
      const gateway = this.#gateway;
      if (!gateway) return;
      try {
        await work(gateway);
        this.#log.info(`${what} done`, { generation: gateway.generation });
      } catch (cause) {
        const reason = cause instanceof ConfigError ? cause.lines.join("; ") : messageOf(cause);
        this.#log.error(`${what} failed`, { generation: gateway.generation, reason });
      }
    });
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
      await this.#gateway?.close(how);
    } catch (cause) {
      process.exitCode = 1;
      this.#log.error("stop failed", { err: cause });
    }
    process.exit();
  }
}
