import type { Change } from "./registry.ts";

/** Keys with news that a slow reader has not taken yet; a reader so far behind must list anew. */
const MAX_PENDING = 10_000;

/**
 * One reader of changes. Subscribed from its creation on, so nothing is missed before the first read; of several
 * changes to one key a slow reader sees the last.
 */
export class Watch {
  readonly #prefix: string;
  readonly #signal: AbortSignal;
  readonly #onClose: () => void;
  readonly #pending = new Map<string, Change>();
  #state: "open" | "closed" | "behind" = "open";
  #wake: () => void = () => {};

  constructor(prefix: string, signal: AbortSignal, onClose: () => void) {
    this.#prefix = prefix;
    this.#signal = signal;
    this.#onClose = onClose;
    if (signal.aborted) this.#state = "closed";
    else signal.addEventListener("abort", this.close, { once: true });
  }

  push(change: Change): void {
    if (this.#state !== "open" || !change.key.startsWith(this.#prefix)) return;
    this.#pending.delete(change.key); // in the order of the last changes
    this.#pending.set(change.key, change);
    if (this.#pending.size > MAX_PENDING) this.#end("behind");
    this.#wake();
  }

  /** @throws Error when the reader was too slow. */
  async *changes(): AsyncGenerator<Change, void, void> {
    try {
      while (this.#state !== "closed") {
        const [next] = this.#pending.values();
        if (next) {
          this.#pending.delete(next.key);
          yield next;
        } else if (this.#state === "behind") {
          throw new Error(`watch ${this.#prefix}*: more than ${MAX_PENDING} changes unread`);
        } else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.close();
    }
  }

  readonly close = (): void => this.#end("closed");

  #end(state: "closed" | "behind"): void {
    if (this.#state === "open") this.#state = state;
    this.#signal.removeEventListener("abort", this.close);
    if (state === "behind") this.#pending.clear();
    this.#onClose();
    this.#wake();
  }
}
