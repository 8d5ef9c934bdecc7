import { MAX_TIMER_MS } from "../codecs/timer.ts";

/**
 * One timer whose time moves, by `performance.now()`. Moving it on costs nothing: the timer that runs asks, when it is due,
 * how much is left. So every read may have a time of its own, and none costs a timer.
 */
export class Alarm {
  readonly #ring: () => void;
  #until = Number.POSITIVE_INFINITY;
  #dueAt = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at `until`, and at no time told before; infinity: not at all. */
  set(until: number): void {
    this.#until = until;
    if (until < this.#dueAt) this.#start(until);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#until = this.#dueAt = Number.POSITIVE_INFINITY;
  }

  #start(until: number): void {
    clearTimeout(this.#timer);
    this.#dueAt = until;
    const left = Math.ceil(until - performance.now()); // rounded down, it would fire before it is due, and again, and again
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(left, 1), MAX_TIMER_MS));
  }

  #fire(): void {
    const until = this.#until;
    this.#dueAt = Number.POSITIVE_INFINITY;
    if (until === Number.POSITIVE_INFINITY) return;
    if (until > performance.now()) {
      this.#start(until);
      return;
    }
    this.#until = Number.POSITIVE_INFINITY;
    this.#ring();
  }
}
