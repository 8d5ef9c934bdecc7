import type { Change } from "./registry.ts";

/** News of a key that the reader has not taken yet. */
interface Unread {
  readonly change: Change;
  /** As far as he knows there is such a key. */
  readonly isKnown: boolean;
}

/**
 * One reader of changes. Subscribed from its creation on, so nothing is missed before the first read; of several
 * changes to one key a slow reader sees the last, and nothing of one that came and went meanwhile. So it never ends by itself, however
 * slow he is, and yet holds no more than the keys that there were when he read last, and those that there are.
 */
export class Watch {
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #onClose: () => void;
  readonly #unread = new Map<string, Unread>();
  #isClosed: boolean;
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
    this.#wake();
  }

  async *changes(): AsyncGenerator<Change, void, void> {
    try {
      while (!this.#isClosed) {
        yield* this.#taken();
        if (this.#isClosed || this.#unread.size > 0) continue;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
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
