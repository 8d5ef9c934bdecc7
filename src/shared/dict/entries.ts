import type { Draft } from "./draft.ts";
import { LIST, NUMBER } from "./draft.ts";
import type { Key } from "./key.ts";
import { blocksFor, EXPIRES_DOUBLE, FLAGS, NUMBER_DOUBLE } from "./layout.ts";
import type { Shard } from "./shard.ts";
import type { Expired, Stored } from "./shared-dict.ts";

// What calls do to one shard. They run under its lock, so they make no objects where it can be helped: collecting garbage
// would keep the others waiting.

/** A write: what, and on which condition. `draft` undefined: delete. */
export interface StoreOrder {
  readonly mode: "set" | "add" | "replace";
  readonly isSafe: boolean;
  readonly draft: Draft | undefined;
  readonly ttlMs: number;
  readonly flags: number;
}

const STORED: Stored = Object.freeze({ ok: true, forcible: false });
const STORED_BY_FORCE: Stored = Object.freeze({ ok: true, forcible: true });
const EXISTS: Stored = Object.freeze({ ok: false, err: "exists", forcible: false });
const NOT_FOUND: Stored = Object.freeze({ ok: false, err: "not found", forcible: false });
const NO_MEMORY: Stored = Object.freeze({ ok: false, err: "no memory", forcible: false });
const NO_MEMORY_BY_FORCE: Stored = Object.freeze({ ok: false, err: "no memory", forcible: true });

/** Copies the value of a key out; false: there is none. Of a list only the type is told. */
export function read(shard: Shard, key: Key, into: Draft): boolean {
  shard.dropExpired();
  const entry = find(shard, key);
  if (entry === 0 || shard.isExpired(entry)) return false;
  copy(shard, entry, into);
  return true;
}

/** What is known of a value that may have expired. */
export interface StaleDraft {
  readonly draft: Draft;
  flags: number;
  stale: boolean;
}

/** Copies a value out even when it has expired; so this drops nothing. */
export function readStale(shard: Shard, key: Key, into: StaleDraft): boolean {
  const entry = find(shard, key);
  if (entry === 0) return false;
  copy(shard, entry, into.draft);
  into.flags = shard.get(entry, FLAGS) >>> 0;
  into.stale = shard.isExpired(entry);
  return true;
}

function copy(shard: Shard, entry: number, into: Draft): void {
  into.type = shard.typeOf(entry);
  if (into.type !== LIST) shard.copyValue(entry, into);
}

/** The entry of a key, used now: OpenResty counts that even when it has expired. */
export function find(shard: Shard, key: Key): number {
  const entry = shard.find(key);
  if (entry !== 0) shard.touch(entry);
  return entry;
}

export function store(shard: Shard, key: Key, order: StoreOrder): Stored {
  shard.dropExpired();
  const old = find(shard, key);
  const isThere = old !== 0 && !shard.isExpired(old);
  if (order.mode === "add" && isThere) return EXISTS;
  if (order.mode === "replace" && !isThere) return NOT_FOUND;
  return put(shard, key, old, order);
}

/** Puts a value in the place of `old` (0: there is none). The old one goes first only where there is no room for both. */
function put(shard: Shard, key: Key, old: number, { draft, isSafe, ttlMs, flags }: StoreOrder): Stored {
  if (draft === undefined) {
    if (old !== 0) shard.remove(old);
    return STORED;
  }
  const needed = blocksFor(key.wordCount + draft.wordCount);
  let replaced = old;
  let wasForced = false;
  if (shard.available < needed) {
    if (isSafe && shard.available + (old === 0 ? 0 : shard.blocksOf(old)) < needed) return NO_MEMORY;
    if (old !== 0) shard.remove(old);
    replaced = 0;
    wasForced = shard.evict(needed);
    if (shard.available < needed) return wasForced ? NO_MEMORY_BY_FORCE : NO_MEMORY;
  }
  shard.insert(key, draft, shard.expiry(ttlMs), flags);
  if (replaced !== 0) shard.remove(replaced);
  return wasForced ? STORED_BY_FORCE : STORED;
}

/** An increment. `first`, when given, is what becomes of a number that is not there. */
export interface Increment {
  readonly by: number;
  readonly first: StoreOrder | undefined;
  result: number;
}

export function increment(
  shard: Shard,
  key: Key,
  order: Increment,
): "not found" | "not a number" | "no memory" | undefined {
  shard.dropExpired();
  const entry = find(shard, key);
  if (entry === 0 || shard.isExpired(entry)) {
    if (order.first === undefined) return "not found";
    return put(shard, key, entry, order.first).ok ? undefined : "no memory";
  }
  if (shard.typeOf(entry) !== NUMBER) return "not a number";
  order.result = shard.getDouble(entry, NUMBER_DOUBLE) + order.by;
  shard.setDouble(entry, NUMBER_DOUBLE, order.result);
  return undefined;
}

/** A write on condition of the value that is there. `expected` undefined: when there is none. */
export interface Swap {
  readonly expected: Draft | undefined;
  readonly order: StoreOrder;
  /** Where the value that is there is copied to. */
  readonly found: Draft;
}

export function swap(shard: Shard, key: Key, { expected, order, found }: Swap): boolean {
  shard.dropExpired();
  const entry = find(shard, key);
  const isThere = entry !== 0 && !shard.isExpired(entry);
  if (isThere !== (expected !== undefined)) return false;
  if (isThere && expected !== undefined) {
    copy(shard, entry, found);
    if (found.type === LIST || !found.equals(expected)) return false;
  }
  return put(shard, key, entry, order).ok;
}

/** Stores, and copies out what was there before. A list stays as it is. */
export function exchange(shard: Shard, key: Key, { order, found }: Swap): Stored {
  found.type = 0;
  if (read(shard, key, found) && found.type === LIST) return STORED;
  return put(shard, key, shard.find(key), order);
}

/** Milliseconds left, 0 for ever; undefined: there is no such key. Does not count as use. */
export function timeLeft(shard: Shard, key: Key): number | undefined {
  const entry = shard.find(key);
  if (entry === 0) return undefined;
  const expires = shard.getDouble(entry, EXPIRES_DOUBLE);
  if (expires === 0) return 0;
  const left = expires - shard.now();
  return left > 0 ? left : undefined;
}

const EXPIRED: Expired = Object.freeze({ ok: true });
const NOTHING_TO_EXPIRE: Expired = Object.freeze({ ok: false, err: "not found" });

/** Does not count as use. */
export function setExpiry(shard: Shard, key: Key, ttlMs: number): Expired {
  const entry = shard.find(key);
  if (entry === 0 || shard.isExpired(entry)) return NOTHING_TO_EXPIRE;
  shard.setDouble(entry, EXPIRES_DOUBLE, shard.expiry(ttlMs));
  return EXPIRED;
}
