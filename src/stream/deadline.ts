import { MAX_TIMER_MS } from "../codecs/timer.ts";

/**
 * One re-armable timer: a phase's total time, or the idle time between bytes.
 * Waiting for bytes costs no timer of its own; whoever waits puts its `onExpire` here and takes it away again.
 */
export class Deadline {
  onExpire: (() => void) | undefined;
  /** When it is due, by `performance.now()`, unless it was rearmed since. */
  readonly endsAt: number;
  #expired = false;
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number) {
    this.endsAt = performance.now() + ms;
    this.#timer = setTimeout(() => this.#expire(), Math.min(ms, MAX_TIMER_MS));
  }

  get expired(): boolean {
    return this.#expired;
  }

  /** Starts the time anew, also after it has run out. */
  rearm(): void {
    this.#expired = false;
    this.#timer.refresh();
  }

  /** Resolves with the work, unless time is over first; what then still comes of it is dropped. */
  limit<T>(work: Promise<T>, late: () => Error): Promise<T> {
    return new Promise((resolve, reject) => {
      const expire = (): void => reject(late());
      if (this.#expired) expire();
      this.onExpire = expire;
      work.then(resolve, reject).finally(() => {
        if (this.onExpire === expire) this.onExpire = undefined;
      });
    });
  }

  stop(): void {
    this.onExpire = undefined;
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #expire(): void {
    this.#expired = true;
    this.onExpire?.();
  }
}
