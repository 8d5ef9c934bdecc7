/** For what a relay has taken in to be with both kernels, once it is ended gently; whoever takes longer to read it gets no more. */
export const DRAIN_MS = 5_000;

/**
 * Then for both sides to end theirs. Closing a socket with unread bytes makes the kernel reset it, and the reset overtakes the last
 * ones: so what still comes is read and thrown away (nginx: `lingering_close`).
 */
export const LINGER_MS = 1_000;

/** The time that a gentle end of a relay may take, in two parts: until both directions are flushed, and then. */
export class Drain {
  readonly #onLate: () => void;
  #unflushed = 2;
  #timer: NodeJS.Timeout;

  constructor(onLate: () => void) {
    this.#onLate = onLate;
    this.#timer = setTimeout(onLate, DRAIN_MS);
  }

  /** One direction is flushed, and its end is on the way; called once for each. */
  flushed(): void {
    if (--this.#unflushed !== 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#onLate, LINGER_MS);
  }

  stop(): void {
    this.#unflushed = -1; // a late flush must not start it again
    clearTimeout(this.#timer);
  }
}
