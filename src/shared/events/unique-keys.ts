/** As lua-resty-events: five seconds. */
const UNIQUE_MS = 5_000;

/** With more, the oldest are forgotten before their time. */
const MAX_UNIQUE_KEYS = 65_536;

/** Keys that were seen a short time ago. */
export class UniqueKeys {
  readonly #ms: number;
  readonly #until = new Map<string, number>();

  constructor(ms = UNIQUE_MS) {
    this.#ms = ms;
  }

  /** False: it was seen before. All live for the same time, so the first are those that end first. */
  add(key: string): boolean {
    const now = performance.now();
    for (const [old, until] of this.#until) {
      if (until > now && this.#until.size < MAX_UNIQUE_KEYS) break;
      this.#until.delete(old);
    }
    if (this.#until.has(key)) return false;
    this.#until.set(key, now + this.#ms);
    return true;
  }
}
