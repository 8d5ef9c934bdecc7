/** One key that appeared, changed (`value`) or went away (`undefined`). */
export interface Change {
  readonly key: string;
  readonly value: string | undefined;
}

/** How a key is changed. */
export interface ChangeOptions {
  /**
   * False: other processes need not hear of it at once, their next full sync is soon enough. For heartbeats whose value
   * changes each time, and for what many processes do in one moment. Default true.
   */
  readonly announce?: boolean;
}

/** How a key is put. */
export interface PutOptions extends ChangeOptions {
  /** The key goes away unless it is put again in time. */
  readonly ttlMs?: number;
}

/**
 * The source of truth for what may change while the gateway runs: peers, certificates, ids. Any phase, as `worker.registry`.
 * Keys look like `service:game:<instance>`; values are JSON text.
 */
export interface Registry extends AsyncDisposable {
  /** Rejects with `RC_REGISTRY` where the key is not known here and Redis cannot be asked. What is watched is answered from its copy. */
  get(key: string): Promise<string | undefined>;
  /** All keys that begin with the prefix. Rejects as `get` does. */
  list(prefix: string): Promise<ReadonlyMap<string, string>>;
  /** Rejects with `RC_REGISTRY` where Redis cannot be reached: nothing is queued. A value has 64 KiB at most. */
  put(key: string, value: string, options?: PutOptions): Promise<void>;
  /** True when there was something to delete. Rejects as `put` does. */
  delete(key: string, options?: ChangeOptions): Promise<boolean>;
  /**
   * Changes from now on, until `signal` aborts or the registry closes, of all that `list` answers meanwhile. Of several changes to one key a
   * slow reader sees the last, and nothing of a key that came and went before he read on, unless `get` or `list` has answered it meanwhile. With
   * more than 200,000 keys unread it rejects.
   */
  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change>;
}

/** A value that is longer is ignored by those who follow its key: what a game server says of itself has some hundred bytes. */
export const MAX_VALUE_BYTES = 65_536;

/** @throws TypeError for a value that nobody would read */
export function mustFit(value: string): void {
  const bytes = Buffer.byteLength(value);
  if (bytes > MAX_VALUE_BYTES) throw new TypeError(`value: expected at most ${MAX_VALUE_BYTES} bytes, not ${bytes}`);
}

/** A time to live, in whole milliseconds; undefined: for ever. @throws TypeError for a wrong one */
export function ttlOf({ ttlMs }: PutOptions): number | undefined {
  if (ttlMs === undefined || ttlMs === Number.POSITIVE_INFINITY) return undefined;
  if (!(ttlMs > 0)) throw new TypeError(`ttlMs: expected more than 0, not ${ttlMs}`);
  return Math.ceil(ttlMs);
}
