import { checkedCount, checkedNumber, checkedOptions, checkedTime, checkedWhole } from "./arguments.ts";
import type { DictMemory } from "./blocks.ts";
import { type Clock, machineClock } from "./clock.ts";
import { Draft, LIST } from "./draft.ts";
import {
  exchange,
  type Increment,
  increment,
  read,
  readStale,
  type StoreOrder,
  setExpiry,
  store,
  swap,
  timeLeft,
} from "./entries.ts";
import { Key } from "./key.ts";
import { BLOCK_BYTES, type Layout, LOCK, SEED } from "./layout.ts";
import { type ItemOrder, lengthOf, pop, push } from "./lists.ts";
import { Lock } from "./lock.ts";
import type { Members } from "./members.ts";
import { type Kept, peek } from "./peek.ts";
import { rebuild } from "./rebuild.ts";
import { BUCKETS_PER_TURN, collectKeys, flush, removeExpired } from "./scan.ts";
import { Shard } from "./shard.ts";
import type {
  DictKey,
  DictValue,
  Expired,
  ListValue,
  Outcome,
  ScannedKeys,
  ScanOptions,
  SharedDict,
  Stored,
  StoreOptions,
} from "./shared-dict.ts";
import { loadSnapshot, saveSnapshot } from "./snapshot.ts";

/** OpenResty: `get_keys` tells at most so many unless asked for more. */
const MAX_KEYS = 1_024;

/** One `scan` looks at so many portions of buckets at most, some milliseconds of work: most of a large dictionary may be empty. */
const MAX_TURNS = 1_024;

/** What is to be scanned: from `cursor` on, until there are `count` keys or so many portions of buckets were looked at. */
interface ScanOrder {
  readonly prefix?: string | undefined;
  readonly cursor: number;
  readonly count: number;
  readonly turns: number;
}

/** A hash's highest eight bits choose among up to 256 shards, its lowest the bucket: bits that chose twice would leave buckets empty. */
const SHARD_SHIFT = 24;

/** One shard, and what lets this process in. */
interface Part {
  readonly shard: Shard;
  readonly lock: Lock;
}

/** What a dictionary stands in, and who else uses it. */
export interface TableDictOptions {
  readonly memory: DictMemory;
  readonly layout: Layout;
  /** Undefined where no other process sees the memory. */
  readonly members?: Members | undefined;
  readonly now?: Clock | undefined;
}

/** A dictionary in memory of its own or shared: checks arguments, converts values, and does each call under the lock of one shard. */
export class TableDict implements SharedDict {
  readonly #parts: readonly Part[];
  readonly #layout: Layout;
  readonly #key: Key;
  readonly #draft = new Draft();
  readonly #found = new Draft();
  readonly #expected = new Draft();
  readonly #emptyList = new Draft();

  constructor({ memory, layout, members, now = machineClock }: TableDictOptions) {
    const serial = members?.join() ?? 1;
    this.#layout = layout;
    this.#key = new Key(memory.words[SEED] ?? 0, memory.words[SEED + 1] ?? 0);
    this.#emptyList.type = LIST;
    this.#parts = Array.from({ length: layout.shards }, (_, index) => {
      const shard = new Shard(memory, layout, index, now);
      return { shard, lock: new Lock(memory.words, shard.header + LOCK, serial, members) };
    });
  }

  get(key: DictKey): DictValue | undefined {
    this.#key.set(key);
    return this.#call(read, this.#found) ? this.#value() : undefined;
  }

  getStale(key: DictKey): { value: DictValue; flags: number; stale: boolean } | undefined {
    this.#key.set(key);
    const found = { draft: this.#found, flags: 0, stale: false };
    if (!this.#call(readStale, found)) return undefined;
    return { value: this.#value(), flags: found.flags, stale: found.stale };
  }

  set(key: DictKey, value: DictValue | undefined, options?: StoreOptions): Stored {
    return this.#store(key, value, options, { mode: "set", isSafe: false });
  }

  safeSet(key: DictKey, value: DictValue | undefined, options?: StoreOptions): Stored {
    return this.#store(key, value, options, { mode: "set", isSafe: true });
  }

  add(key: DictKey, value: DictValue, options?: StoreOptions): Stored {
    return this.#store(key, value, options, { mode: "add", isSafe: false });
  }

  safeAdd(key: DictKey, value: DictValue, options?: StoreOptions): Stored {
    return this.#store(key, value, options, { mode: "add", isSafe: true });
  }

  replace(key: DictKey, value: DictValue, options?: StoreOptions): Stored {
    return this.#store(key, value, options, { mode: "replace", isSafe: false });
  }

  delete(key: DictKey): Stored {
    return this.set(key, undefined);
  }

  deleteIf(key: DictKey, value: DictValue): boolean {
    return this.cas(key, value, undefined);
  }

  incr(
    key: DictKey,
    by: number,
    init?: number,
    options: { readonly initTtlMs?: number | undefined } = {},
  ): Outcome<number, "not found" | "not a number" | "no memory"> {
    checkedNumber(by, "value");
    this.#key.set(key);
    const order: Increment = { by, first: this.#first(by, init, options.initTtlMs), result: (init ?? 0) + by };
    const err = this.#call(increment, order);
    return err === undefined ? { value: order.result } : { err };
  }

  cas(key: DictKey, expected: DictValue | undefined, value: DictValue | undefined, options?: StoreOptions): boolean {
    this.#key.set(key);
    const order = this.#order(value, options, { mode: "set", isSafe: false });
    if (isNil(expected)) return this.#call(swap, { expected: undefined, order, found: this.#found });
    this.#expected.set(expected);
    return this.#call(swap, { expected: this.#expected, order, found: this.#found });
  }

  getset(key: DictKey, value: DictValue, options?: StoreOptions): Outcome<DictValue | undefined, "no memory"> {
    if (isNil(value)) throw new TypeError("bad value type");
    this.#key.set(key);
    const order = this.#order(value, options, { mode: "set", isSafe: false });
    const stored = this.#call(exchange, { expected: undefined, order, found: this.#found });
    if (!stored.ok) return { err: "no memory" };
    return { value: this.#found.type === 0 ? undefined : this.#value() };
  }

  lpush(key: DictKey, value: ListValue): Outcome<number, "value not a list" | "no memory"> {
    return outcome(this.#call(push, this.#item(key, value, true)));
  }

  rpush(key: DictKey, value: ListValue): Outcome<number, "value not a list" | "no memory"> {
    return outcome(this.#call(push, this.#item(key, value, false)));
  }

  lpop(key: DictKey): Outcome<ListValue | undefined, "value not a list"> {
    return this.#pop(key, true);
  }

  rpop(key: DictKey): Outcome<ListValue | undefined, "value not a list"> {
    return this.#pop(key, false);
  }

  llen(key: DictKey): Outcome<number, "value not a list"> {
    this.#key.set(key);
    return outcome(this.#call(lengthOf, undefined));
  }

  ttl(key: DictKey): Outcome<number, "not found"> {
    this.#key.set(key);
    const left = this.#call(timeLeft, undefined);
    return left === undefined ? { err: "not found" } : { value: Math.ceil(left) };
  }

  expire(key: DictKey, ttlMs: number): Expired {
    this.#key.set(key);
    return this.#call(setExpiry, checkedTime(ttlMs, "exptime"));
  }

  flushAll(): void {
    for (const part of this.#parts) within(part, flush, undefined);
  }

  flushExpired(max = 0): number {
    const count = checkedCount(max, "max");
    return this.#parts.reduce((removed, part) => removed + within(part, removeExpired, count - removed), 0);
  }

  keys(max: number = MAX_KEYS): string[] {
    const count = checkedCount(max, "max");
    const { keys } = this.#scan({ cursor: 0, count, turns: Number.POSITIVE_INFINITY });
    return keys.length > count ? keys.slice(0, count) : keys;
  }

  scan({ prefix, cursor = 0, limit = MAX_KEYS }: ScanOptions = {}): ScannedKeys {
    const count = checkedCount(limit, "limit");
    const turns = count === Number.POSITIVE_INFINITY ? count : MAX_TURNS;
    return this.#scan({ prefix, cursor: checkedWhole(cursor, "cursor"), count, turns });
  }

  #scan({ prefix = "", cursor, count, turns }: ScanOrder): ScannedKeys & { keys: string[] } {
    const keys: string[] = [];
    const { buckets } = this.#layout;
    const step = Math.min(BUCKETS_PER_TURN, buckets);
    const first = Math.floor(cursor / step) * step; // a turn never reaches into the next shard
    const end = Math.min(buckets * this.#parts.length, first + turns * step);
    let at = first;
    for (; at < end && keys.length < count; at += step) {
      const part = this.#parts[Math.floor(at / buckets)];
      if (part !== undefined) within(part, collectFrom, { first: at % buckets, prefix, keys });
    }
    return { keys, cursor: at < buckets * this.#parts.length ? at : undefined };
  }

  capacity(): number {
    return this.#layout.sizeBytes;
  }

  freeSpace(): number {
    return this.#parts.reduce((bytes, part) => bytes + within(part, availableBlocks, undefined) * BLOCK_BYTES, 0);
  }

  /** All of an entry that has not expired, lists too, for snapshots. Does not count as use. */
  peek(key: DictKey): Kept | undefined {
    this.#key.set(key);
    return this.#call(peek, undefined);
  }

  save(path: string): Promise<number> {
    return saveSnapshot(this, path);
  }

  load(path: string): Promise<{ readonly loaded: number; readonly skipped: number }> {
    return loadSnapshot(this, path);
  }

  #store(
    key: DictKey,
    value: DictValue | undefined,
    options: StoreOptions | undefined,
    how: Pick<StoreOrder, "mode" | "isSafe">,
  ): Stored {
    if (isNil(value) && how.mode !== "set") throw new TypeError("attempt to add or replace nil values");
    this.#key.set(key);
    return this.#call(store, this.#order(value, options, how));
  }

  #order(
    value: DictValue | undefined,
    options: StoreOptions | undefined,
    { mode, isSafe }: Pick<StoreOrder, "mode" | "isSafe">,
  ): StoreOrder {
    const { ttlMs, flags } = checkedOptions(options);
    if (isNil(value)) return { mode, isSafe, draft: undefined, ttlMs, flags };
    this.#draft.set(value);
    return { mode, isSafe, draft: this.#draft, ttlMs, flags };
  }

  /** What `incr` stores when there is nothing; undefined: nothing. */
  #first(by: number, init: number | undefined, initTtlMs: number | undefined): StoreOrder | undefined {
    if (initTtlMs !== undefined) checkedTime(checkedNumber(initTtlMs, "init_ttl"), "init_ttl");
    if (init === undefined) {
      if (initTtlMs !== undefined) throw new TypeError('must provide "init" when providing "init_ttl"');
      return undefined;
    }
    this.#draft.set(checkedNumber(init, "init") + by);
    return { mode: "set", isSafe: false, draft: this.#draft, ttlMs: initTtlMs ?? 0, flags: 0 };
  }

  #item(key: DictKey, value: ListValue, isLeft: boolean): ItemOrder {
    if (typeof value !== "string" && typeof value !== "number") throw new TypeError("bad value type");
    this.#key.set(key);
    this.#draft.set(value);
    return { isLeft, item: this.#draft, list: this.#emptyList };
  }

  #pop(key: DictKey, isLeft: boolean): Outcome<ListValue | undefined, "value not a list"> {
    this.#key.set(key);
    const popped = this.#call(pop, { isLeft, item: this.#found, list: this.#emptyList });
    if (typeof popped === "string") return { err: popped };
    const value = popped ? this.#found.value() : undefined;
    return { value: typeof value === "string" || typeof value === "number" ? value : undefined };
  }

  /** What was copied out. @throws TypeError `value is a list` */
  #value(): DictValue {
    if (this.#found.type === LIST) throw new TypeError("value is a list");
    return this.#found.value();
  }

  /** Does one step with the key of this call, in the shard that the key belongs to. */
  #call<Argument, Result>(step: (shard: Shard, key: Key, argument: Argument) => Result, argument: Argument): Result {
    const part = this.#parts[(this.#key.hash >>> SHARD_SHIFT) % this.#parts.length];
    if (part === undefined) throw new Error("a dictionary has at least one shard");
    enter(part);
    try {
      const result = step(part.shard, this.#key, argument);
      part.lock.leave();
      return result;
    } catch (cause) {
      part.lock.spoil();
      throw cause;
    }
  }
}

function enter({ shard, lock }: Part): void {
  if (!lock.enter()) return;
  try {
    rebuild(shard);
  } catch (cause) {
    lock.spoil();
    throw cause;
  }
}

/** Does one step with a whole shard. */
function within<Argument, Result>(
  part: Part,
  step: (shard: Shard, argument: Argument) => Result,
  argument: Argument,
): Result {
  enter(part);
  try {
    const result = step(part.shard, argument);
    part.lock.leave();
    return result;
  } catch (cause) {
    part.lock.spoil();
    throw cause;
  }
}

function collectFrom(shard: Shard, order: { first: number; prefix: string; keys: string[] }): void {
  collectKeys(shard, order.first, order);
}

function availableBlocks(shard: Shard): number {
  return shard.available;
}

/** JavaScript users may also say null. */
function isNil(value: DictValue | undefined): value is undefined {
  return value === undefined || value === null;
}

function outcome<Err extends string>(result: number | Err): Outcome<number, Err> {
  return typeof result === "number" ? { value: result } : { err: result };
}
