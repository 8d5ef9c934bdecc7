import type { LinkTiming } from "./limits.ts";

interface HeartbeatHost {
  /** Sends a ping with this number. */
  ping(id: number): void;
  /** Nothing was heard for too long. */
  onDead(): void;
}

/**
 * Finds out whether the other side still lives: asks in intervals, and takes any frame for an answer. A connection whose
 * other end lost its power looks open for hours; a process that stands still keeps it open, too.
 */
export class Heartbeat {
  readonly #host: HeartbeatHost;
  readonly #timeoutMs: number;
  readonly #interval: NodeJS.Timeout;
  #deadline: NodeJS.Timeout | undefined;
  #verdict: NodeJS.Immediate | undefined;
  #id = 0;

  constructor(timing: Pick<LinkTiming, "heartbeatMs" | "heartbeatTimeoutMs">, host: HeartbeatHost) {
    this.#host = host;
    this.#timeoutMs = timing.heartbeatTimeoutMs;
    this.#interval = setInterval(() => this.#beat(), timing.heartbeatMs).unref();
  }

  /** The other side has said something. */
  heard(): void {
    clearTimeout(this.#deadline);
    clearImmediate(this.#verdict);
    this.#deadline = undefined;
    this.#verdict = undefined;
  }

  stop(): void {
    clearInterval(this.#interval);
    this.heard();
  }

  #beat(): void {
    if (this.#deadline || this.#verdict) return;
    this.#deadline = setTimeout(() => this.#expire(), this.#timeoutMs).unref();
    this.#host.ping(++this.#id);
  }

  /** If it was this process that stood still, the answer waits in the kernel: it is read before anybody is judged. */
  #expire(): void {
    this.#deadline = undefined;
    this.#verdict = setImmediate(() => this.#host.onDead());
  }
}
