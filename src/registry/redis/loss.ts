import type { Swap } from "./timely-writes.ts";

/**
 * So long a key that has gone is kept when Redis was away or has lost its data: whoever is alive puts it again within its
 * time to live, 10 s as the protocol recommends, and a half more.
 */
const GRACE_MS = 15_000;

/**
 * So long those who were there when Redis lost something leave word that it was put back. Whoever has known it for longer, and was not
 * there, may find no word of that.
 */
export const WORD_MS = 86_400_000;

/** Redis does not hold what it did when it was heard last. */
export interface Loss {
  /** Another one for each loss, the same for all who see it. */
  readonly epoch: string;
  /** What it has now, by key. */
  readonly found: ReadonlyMap<string, string>;
  /** So long nothing was heard of it: changes that were made meanwhile, and were lost, are not known here. */
  readonly unheardMs: number;
  /** True: the key had no end, as Redis said. Others may have lapsed meanwhile. */
  isLasting(key: string): boolean;
  /** What Redis itself has of these keys now. Rejects with `RC_REGISTRY`. */
  read(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  /** Changes a key where nobody else has, and tells nobody. False: another value is there, and stays. Rejects with `RC_REGISTRY`. */
  swap(key: string, swap: Swap): Promise<boolean>;
  /** Somebody puts back what is missing: it stays known until that is settled, however long it takes. */
  keepUntil(restored: Promise<unknown>): void;
  /** Tells all what was taken out of a key: it was there by accident. */
  tellOut(out: TakenOut): void;
  /** Told of those, until what is returned is called. */
  onOut(listener: (out: TakenOut) => void): () => void;
}

/** What was taken out of Redis. */
export interface TakenOut {
  readonly key: string;
  /** What it said, as those who follow the key write it. */
  readonly text: string;
}

/** When what is missing in Redis may be missing by accident, and stays known. */
export class Doubt {
  /** What somebody else has put back is in all lists so much later. */
  readonly #seenMs: number;
  #untilMs = Number.NEGATIVE_INFINITY;
  /** Those who put back what is missing. */
  #restoring = 0;

  constructor(seenMs: number) {
    this.#seenMs = seenMs;
  }

  /** Redis was away, or has lost something. */
  begin(now: number): void {
    this.#untilMs = now + GRACE_MS;
  }

  isAt(moment: number): boolean {
    return this.#restoring > 0 || moment < this.#untilMs;
  }

  keepUntil(restored: Promise<unknown>): void {
    this.#restoring++;
    const end = (): void => {
      this.#restoring--;
      this.#untilMs = Math.max(this.#untilMs, performance.now() + this.#seenMs);
    };
    restored.then(end, end);
  }
}
