/** What a dictionary holds, besides lists. */
export type DictValue = boolean | number | string | Uint8Array;

/** What an item of a list may be. */
export type ListValue = number | string;

/** Texts of keys; a number is the same key as its text. At most 65,535 bytes of UTF-8. */
export type DictKey = string | number;

/** How a value is kept. */
export interface StoreOptions {
  /** Until the value expires; 0 or absent: never. */
  readonly ttlMs?: number | undefined;
  /** Any number of 32 bits without sign that goes with the value; `getStale` tells it. */
  readonly flags?: number | undefined;
}

/** What a write answers. `forcible`: others that had not expired were evicted to make room. */
export type Stored =
  | { readonly ok: true; readonly err?: undefined; readonly forcible: boolean }
  | { readonly ok: false; readonly err: StoreError; readonly forcible: boolean };
export type StoreError = "no memory" | "exists" | "not found";

/** What `getStale` answers. */
export interface StaleValue {
  readonly value: DictValue;
  /** 0 when the value was stored without. */
  readonly flags: number;
  /** The value has expired. */
  readonly stale: boolean;
}

/** An answer, or why there is none, in OpenResty's words. */
export type Outcome<Value, Err extends string> =
  | { readonly value: Value; readonly err?: undefined }
  | { readonly value?: undefined; readonly err: Err };

/** What `expire` answers. */
export type Expired =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok: false; readonly err: "not found" };

/** Which keys `scan` is to tell. */
export interface ScanOptions {
  /** Only keys that begin so. */
  readonly prefix?: string | undefined;
  /** Where to go on: the `cursor` of the last answer. Absent: from the beginning. */
  readonly cursor?: number | undefined;
  /** About how many keys, fewer where most of the dictionary is empty; 1,024 when absent, 0: all at once. */
  readonly limit?: number | undefined;
}

/** What `scan` answers. */
export interface ScannedKeys {
  readonly keys: readonly string[];
  /** For the next call; undefined: there are no more. */
  readonly cursor: number | undefined;
}

/**
 * A table that all workers share: every call is done at once, and is atomic between processes. Any phase.
 * OpenResty: `lua_shared_dict`, `ngx.shared.DICT`; words and rules are those of OpenResty, the differences are listed in
 * `docs/shared-dict.md`. A wrong argument throws a TypeError: `nil key`, `empty key`, `key too long`, `bad value type`,
 * `bad "exptime" argument`.
 */
export interface SharedDict {
  /** The value; undefined when there is none or it has expired. @throws TypeError `value is a list` */
  get(key: DictKey): DictValue | undefined;
  /** The value even when it has expired, as long as nothing needed its memory. @throws TypeError `value is a list` */
  getStale(key: DictKey): StaleValue | undefined;
  /** Stores, whatever was there; `undefined` deletes. What was not used for longest makes room. */
  set(key: DictKey, value: DictValue | undefined, options?: StoreOptions): Stored;
  /** Stores, but evicts nothing that has not expired: answers `no memory` instead. */
  safeSet(key: DictKey, value: DictValue | undefined, options?: StoreOptions): Stored;
  /** Stores when there is no such key, else answers `exists`. */
  add(key: DictKey, value: DictValue, options?: StoreOptions): Stored;
  /** As `add`, but evicts nothing that has not expired. */
  safeAdd(key: DictKey, value: DictValue, options?: StoreOptions): Stored;
  /** Stores when there is such a key, else answers `not found`. */
  replace(key: DictKey, value: DictValue, options?: StoreOptions): Stored;
  /** As `set` with `undefined`. */
  delete(key: DictKey): Stored;
  /** Deletes when the value is that one; true: it was. */
  deleteIf(key: DictKey, value: DictValue): boolean;
  /**
   * Adds to a number, whose TTL and flags stay. Where there is none, `init` + `by` becomes the value, with `initTtlMs`;
   * without `init` the answer is `not found`.
   */
  incr(
    key: DictKey,
    by: number,
    init?: number,
    options?: { readonly initTtlMs?: number | undefined },
  ): Outcome<number, "not found" | "not a number" | "no memory">;
  /** Stores when the value is `expected` (`undefined`: when there is none); true: it was, and is stored. */
  cas(key: DictKey, expected: DictValue | undefined, value: DictValue | undefined, options?: StoreOptions): boolean;
  /** Stores, and answers the value that was there before. @throws TypeError `value is a list` */
  getset(key: DictKey, value: DictValue, options?: StoreOptions): Outcome<DictValue | undefined, "no memory">;
  /** Puts an item before the first of a list, and answers the new length; evicts nothing that has not expired. */
  lpush(key: DictKey, value: ListValue): Outcome<number, "value not a list" | "no memory">;
  /** Puts an item behind the last of a list. */
  rpush(key: DictKey, value: ListValue): Outcome<number, "value not a list" | "no memory">;
  /** Takes the first item; the value is undefined when there is none. A list without items is no more. */
  lpop(key: DictKey): Outcome<ListValue | undefined, "value not a list">;
  /** Takes the last item. */
  rpop(key: DictKey): Outcome<ListValue | undefined, "value not a list">;
  /** Items of a list; 0 when there is none. */
  llen(key: DictKey): Outcome<number, "value not a list">;
  /** Milliseconds until the value expires; 0: never. */
  ttl(key: DictKey): Outcome<number, "not found">;
  /** The value expires in `ttlMs` from now; 0: never. */
  expire(key: DictKey, ttlMs: number): Expired;
  /** All values expire now. Their memory is free when somebody needs it. */
  flushAll(): void;
  /** Frees the memory of values that have expired, at most `max` (0: all); answers how many. */
  flushExpired(max?: number): number;
  /** Keys of values that have not expired, at most `max` (1,024 when absent, 0: all). */
  keys(max?: number): string[];
  /**
   * Keys in portions, without keeping others waiting: a key that is there all the time is told exactly once.
   * @throws TypeError for a `limit` or `cursor` that is no whole number
   */
  scan(options?: ScanOptions): ScannedKeys;
  /** The size that was configured, in bytes. */
  capacity(): number;
  /** Bytes that new values can have without any other's going. */
  freeSpace(): number;
  /**
   * Writes what has not expired to a file, which appears whole or not at all; answers how many keys. One at a time for a path: a
   * call while another one runs comes after it, together with all others that wait.
   */
  save(path: string): Promise<number>;
  /** Stores what `save` wrote, less the time that has passed; evicts nothing. Rejects, and stores nothing, when the file is damaged. */
  load(path: string): Promise<{ readonly loaded: number; readonly skipped: number }>;
}
