import type { Change } from "./registry.ts";

/** All keys that there may be, and as many that have gone: a reader further behind lists sooner than he reads on. */
const MAX_UNREAD = 200_000;

/** News of a key that the reader has not taken yet. */
interface Unread {
  readonly change: Change;
  /** As far as he knows there is such a key, or he may have seen it elsewhere. */
  isKnown: boolean;
}

/**
 * One reader of changes. Subscribed from its creation on, so nothing is missed before the first read; of several
 * changes to one key a slow reader sees the last, and nothing of one that came and went meanwhile, unless somebody was shown it. So it does
 * not end by itself, however slow he is, and yet holds no more than the keys that there were when he read last, those that there are,
 * and those that were shown in between. Of all these there may be 200,000; with more it ends with an error.
 */
export class Watch {
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #onClose: () => void;
  readonly #unread = new Map<string, Unread>();
  #isClosed: boolean;
  #isBehind = false;
  #wake: () => void = () => {};

  constructor(prefix: string, signal: AbortSignal, onClose: () => void) {
    this.#prefix = prefix;
    this.#signal = signal;
    this.#onClose = onClose;
    this.#isClosed = signal.aborted;
    if (!signal.aborted) signal.addEventListener("abort", this.close, { once: true });
  }

  /** `wasThere`: the key had a value until now. */
  push(change: Change, wasThere: boolean): void {
    const { key, value } = change;
    if (this.#isClosed || !key.startsWith(this.#prefix)) return;
    const isKnown = this.#unread.get(key)?.isKnown ?? wasThere;
    this.#unread.delete(key); // in the order of the last changes
    if (value === undefined && !isKnown) return;
    this.#unread.set(key, { change, isKnown });
    if (this.#unread.size > MAX_UNREAD) {
      this.#isBehind = true;
      this.close();
    }
    this.#wake();
  }

  /** Somebody has asked for this key, maybe the reader: that it goes is news for him. */
  showed(key: string): void {
    const unread = this.#unread.get(key);
    if (unread) unread.isKnown = true;
  }

  /** Likewise for a list. */
  showedAll(keys: ReadonlyMap<string, string>): void {
    for (const [key, unread] of this.#unread) unread.isKnown ||= keys.has(key);
  }

  /** @throws Error when the reader was too slow */
  async *changes(): AsyncGenerator<Change, void, void> {
    try {
      while (!this.#isClosed) {
        yield* this.#taken();
        if (this.#isClosed || this.#unread.size > 0) continue;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#isBehind) throw new Error(`watch ${this.#prefix}*: more than ${MAX_UNREAD} changes unread`);
    } finally {
      this.close();
    }
  }

  /** One walk through all, those included that come meanwhile: beginning anew for each would pass over all that have gone. */
  *#taken(): Generator<Change, void, void> {
    for (const [key, { change }] of this.#unread) {
      this.#unread.delete(key);
      yield change;
      if (this.#isClosed) return;
    }
  }

  readonly close = (): void => {
    this.#isClosed = true;
    this.#signal.removeEventListener("abort", this.close);
    this.#unread.clear();
    this.#onClose();
    this.#wake();
  };
}
