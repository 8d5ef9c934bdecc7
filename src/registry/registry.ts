/** One key that appeared, changed (`value`) or went away (`undefined`). */
export interface Change {
  readonly key: string;
  readonly value: string | undefined;
}

/**
 * The source of truth for what may change while the gateway runs: peers, certificates, ids.
 * Keys look like `service:game:<instance>`; values are JSON text.
 */
export interface Registry extends AsyncDisposable {
  get(key: string): Promise<string | undefined>;
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** With `ttlMs` the key goes away unless it is put again in time. */
  put(key: string, value: string, options?: { readonly ttlMs?: number }): Promise<void>;
  /** True when there was something to delete. */
  delete(key: string): Promise<boolean>;
  /** Changes from now on, until `signal` aborts. */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change>;
}
