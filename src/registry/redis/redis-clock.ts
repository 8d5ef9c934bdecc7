/** Two clocks drift apart by less than a tenth of a second within so long, also while one of them is being adjusted. */
const VALID_MS = 60_000;

/** Redis' clock as seen from here, so that what is asked can say until when it may be done. */
export class RedisClock {
  readonly #ask: () => Promise<number>;
  /** What Redis' clock is ahead of `performance.now`, at least; and when that was learned. */
  #known: { readonly aheadMs: number; readonly at: number } | undefined;

  /** `ask`: what Redis' clock shows, in milliseconds since 1970. */
  constructor(ask: () => Promise<number>) {
    this.#ask = ask;
  }

  /** What Redis' clock shows when `performance.now` is `localMs`, or a little less. Rejects when Redis cannot be asked. */
  async at(localMs: number): Promise<number> {
    if (this.#known === undefined || performance.now() - this.#known.at > VALID_MS) {
      const shown = await this.#ask();
      const at = performance.now();
      this.#known = { aheadMs: shown - at, at }; // the answer was on its way: rather too little than too much
    }
    return localMs + this.#known.aheadMs;
  }

  /** Redis' clock was set, or another Redis has another one. */
  forget(): void {
    this.#known = undefined;
  }
}
