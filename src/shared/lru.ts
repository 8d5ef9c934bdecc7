import { LRUCache } from "lru-cache";

/** The order of use is kept in arrays that are made at once, some 30 bytes for each item. */
const MAX_ITEMS = 16_777_216;
/** The largest flags: 32 bits without sign, as in shared dictionaries. */
const MAX_FLAGS = 0xff_ff_ff_ff;

/** What `get` answers: `value` when it is there and its time is not over, else `stale` when it is still there. */
export interface LruItem<Value> {
  readonly value: Value | undefined;
  /** The value whose time is over. */
  readonly stale: Value | undefined;
  /** 0 when the value was stored without. */
  readonly flags: number;
}

/** How a value is kept. */
export interface LruSetOptions {
  /** Until the value is stale; 0 or absent: never. */
  readonly ttlMs?: number | undefined;
  /** Any number of 32 bits without sign that goes with the value. */
  readonly flags?: number | undefined;
}

/** Values of any kind by name, of which a worker keeps those that were used last. Nothing of it reaches other workers. */
export interface Lru<Value> {
  /** Counts as a use, also of what is stale. */
  get(key: string): LruItem<Value>;
  /** Stores, whatever was there; when it is full, what was not used for longest goes, stale or not. @throws TypeError `bad "ttl" argument` */
  set(key: string, value: Value, options?: LruSetOptions): void;
  delete(key: string): void;
  /** Items, those that are stale included. */
  count(): number;
  /** Items that it can hold. */
  capacity(): number;
  /** Names, the last used first; at most `max` (0 or absent: all). */
  keys(max?: number): string[];
  flushAll(): void;
}

interface Kept<Value> {
  readonly value: Value;
  readonly staleAt: number;
  readonly flags: number;
}

const NOTHING = Object.freeze({ value: undefined, stale: undefined, flags: 0 });

/**
 * Makes a cache of at most `maxItems` values in this worker. Any phase; make it where the configuration is read, not per session.
 * OpenResty: `resty.lrucache`. @throws TypeError when `maxItems` is not from 1 to 16,777,216
 */
export function lru<Value>(maxItems: number): Lru<Value> {
  if (!(Number.isInteger(maxItems) && maxItems >= 1 && maxItems <= MAX_ITEMS)) {
    throw new TypeError(`expected a number of items from 1 to ${MAX_ITEMS}, got ${maxItems}`);
  }
  const kept = new LRUCache<string, Kept<Value>>({ max: maxItems });
  return {
    get: (key) => {
      const found = kept.get(key);
      if (found === undefined) return NOTHING;
      const { value, flags } = found;
      return found.staleAt > performance.now()
        ? { value, stale: undefined, flags }
        : { value: undefined, stale: value, flags };
    },
    set: (key, value, options) => void kept.set(key, keptAs(value, options)),
    delete: (key) => void kept.delete(key),
    count: () => kept.size,
    capacity: () => maxItems,
    keys: (max = 0) => firstOf(kept.keys(), max),
    flushAll: () => kept.clear(),
  };
}

function keptAs<Value>(value: Value, { ttlMs = 0, flags = 0 }: LruSetOptions = {}): Kept<Value> {
  if (!(ttlMs >= 0)) throw new TypeError('bad "ttl" argument');
  if (!(flags >= 0 && flags <= MAX_FLAGS && Number.isInteger(flags))) throw new TypeError('bad "flags" argument');
  return { value, staleAt: ttlMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + ttlMs, flags };
}

function firstOf(keys: Iterable<string>, max: number): string[] {
  const first: string[] = [];
  for (const key of keys) {
    first.push(key);
    if (first.length === max) break;
  }
  return first;
}
