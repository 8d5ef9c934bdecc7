import type { OpenLog } from "./log.ts";
import type { RunningGateway } from "./master/running-gateway.ts";
import type { Operator } from "./operator.ts";
import { isFault, LAST_DRAIN_MS, QUICK_STOP_MS } from "./process-end.ts";
import { type Request, Requests } from "./requests.ts";
import { endProcess, Trial } from "./trial.ts";

/** What signals ask of a gateway that serves. */
const ANSWERS: Readonly<Record<Request, (operator: Operator) => Promise<unknown>>> = {
  SIGHUP: (operator) => operator.reload(),
  SIGUSR1: ({ gateway }) => gateway.reopen(),
  SIGUSR2: (operator) => operator.replace(),
};

/** Hears signals, and ends this process in the right order: sessions, log, exit. */
export class Lifetime {
  readonly #requests: Requests;
  readonly #ending = new AbortController();
  #starting: Promise<RunningGateway> | undefined;
  #log: OpenLog | undefined;
  #operator: Operator | undefined;
  #crashed = false;

  /** From here on `HUP` and its like end no process; what they ask for is done when the gateway serves. */
  constructor(requests: Requests = new Requests()) {
    this.#requests = requests;
  }

  /** Aborts when the process is told to end and does not serve yet. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** From here on the process ends in good order. */
  begins(log: OpenLog): void {
    this.#log = log;
    process.on("SIGTERM", () => this.stop("quick"));
    process.on("SIGINT", () => this.stop("quick"));
    process.on("SIGQUIT", () => this.stop("drain"));
    process.on("uncaughtException", (cause, origin) => this.#crash(cause, origin));
    process.on("exit", () => log.flush());
  }

  /** Waits for a gateway that starts, and for ever when the process is told to end meanwhile: it does. */
  async starts(starting: Promise<RunningGateway>): Promise<RunningGateway> {
    this.#starting = starting;
    await starting.catch(() => {});
    return this.ending.aborted ? new Promise<never>(() => {}) : starting;
  }

  serves(operator: Operator): void {
    this.#operator = operator;
    // A signal has no answer: what fails is in the log.
    this.#requests.handOver((request) => void ANSWERS[request](operator).catch(() => {}));
  }

  stop(how: "quick" | "drain", overMs?: number): void {
    if (how === "quick" || !this.#operator) setTimeout(() => endProcess(), QUICK_STOP_MS).unref();
    void this.#end(how, overMs);
  }

  /**
   * Unhandled rejections come here as well. Also counts what comes while we go down, but begins only once. What was loaded and does
   * not serve is nobody's end, and where other processes serve, this one is there to keep them alive.
   */
  #crash(cause: unknown, origin: string): void {
    if (!isFault(cause, origin, this.#log) || Trial.current?.take(cause)) return;
    if (this.#crashed || this.#operator?.gateway.servesHere === false) return;
    this.#crashed = true;
    process.exitCode = 1;
    setTimeout(() => endProcess(), LAST_DRAIN_MS).unref();
    void this.#end("drain");
  }

  async #end(how: "quick" | "drain", overMs?: number): Promise<void> {
    if (!this.#operator) this.#ending.abort();
    try {
      const gateway = await this.#starting?.catch(() => undefined);
      await (this.#operator ?? gateway)?.close(how, overMs);
    } catch (cause) {
      process.exitCode = 1;
      this.#log?.error("stop failed", { err: cause });
    }
    endProcess();
  }
}
