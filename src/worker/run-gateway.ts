import type { GatewayConfig } from "../gateway.ts";
import { whyNotShared } from "../shared/dict/self-test.ts";
import { dictSizesOf } from "./dict-sizes.ts";
import type { LoadedGateway } from "./load-gateway.ts";
import type { OpenLog } from "./log.ts";
import { Master } from "./master/master.ts";
import { Single } from "./master/single.ts";
import { workersOf } from "./master/workers-of.ts";
import { Operator } from "./operator.ts";
import { isFault, LAST_DRAIN_MS, QUICK_STOP_MS } from "./process-end.ts";

/** A gateway that serves, and what may be asked of it. */
export interface Started {
  readonly operator: Operator;
  /** Ends the process, when the sessions have ended: at once, by themselves, or over a time. */
  stop(how: "quick" | "drain", overMs?: number): void;
}

/**
 * Serves until it is told to stop: TERM and INT at once, QUIT when the sessions have ended. USR1 reopens the log, HUP reads the
 * configuration again, USR2 replaces the workers. Resolves when the ports are open. @throws BindError when one cannot be
 */
export async function runGateway(loaded: LoadedGateway, log: OpenLog): Promise<Started> {
  const lifetime = new Lifetime(log);
  const start = (await isOneProcess(loaded.config, log)) ? Single.start : Master.start;
  const operator = new Operator(await start(loaded, log), loaded.loaded.path, log);
  lifetime.serves(operator);
  return { operator, stop: (how, overMs) => lifetime.stop(how, overMs) };
}

/** Several processes that could not share their dictionaries would each count for themselves. */
async function isOneProcess(config: GatewayConfig, log: OpenLog): Promise<boolean> {
  if (workersOf(config) === 1) return true;
  const reason = Object.keys(dictSizesOf(config)).length > 0 ? await whyNotShared() : undefined;
  if (reason !== undefined) log.warn("one worker only: dictionaries cannot be shared here", { reason });
  return reason !== undefined;
}

/** Hears signals, and ends this process in the right order: sessions, log, exit. */
class Lifetime {
  readonly #log: OpenLog;
  #operator: Operator | undefined;
  #crashed = false;

  constructor(log: OpenLog) {
    this.#log = log;
    process.on("SIGTERM", () => this.stop("quick"));
    process.on("SIGINT", () => this.stop("quick"));
    process.on("SIGQUIT", () => this.stop("drain"));
    process.on("SIGHUP", () => this.#told((operator) => operator.reload()));
    process.on("SIGUSR1", () => this.#told(({ gateway }) => gateway.reopen()));
    process.on("SIGUSR2", () => this.#told((operator) => operator.replace()));
    process.on("uncaughtException", (cause, origin) => this.#crash(cause, origin));
    process.on("exit", () => log.flush());
  }

  serves(operator: Operator): void {
    this.#operator = operator;
  }

  stop(how: "quick" | "drain", overMs?: number): void {
    if (how === "quick") setTimeout(() => process.exit(), QUICK_STOP_MS).unref();
    void this.#end(how, overMs);
  }

  /** By a signal, which has no answer: what fails is in the log. */
  #told(what: (operator: Operator) => Promise<void>): void {
    if (this.#operator) what(this.#operator).catch(() => {});
  }

  /** Unhandled rejections come here as well. Also counts what comes while we go down, but begins only once. */
  #crash(cause: unknown, origin: string): void {
    if (!isFault(cause, origin, this.#log) || this.#crashed) return;
    this.#crashed = true;
    process.exitCode = 1;
    setTimeout(() => process.exit(), LAST_DRAIN_MS).unref();
    void this.#end("drain");
  }

  async #end(how: "quick" | "drain", overMs?: number): Promise<void> {
    try {
      await this.#operator?.gateway.close(how, overMs);
    } catch (cause) {
      process.exitCode = 1;
      this.#log.error("stop failed", { err: cause });
    }
    process.exit();
  }
}
