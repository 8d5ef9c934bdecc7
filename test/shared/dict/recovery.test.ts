import { describe, expect, test } from "vitest";
import { Draft, LIST } from "../../../src/shared/dict/draft.ts";
import { exchange, increment, type StoreOrder, setExpiry, store, swap } from "../../../src/shared/dict/entries.ts";
import { Key } from "../../../src/shared/dict/key.ts";
import { layoutOf } from "../../../src/shared/dict/layout.ts";
import { type ItemOrder, pop, push } from "../../../src/shared/dict/lists.ts";
import { rebuild } from "../../../src/shared/dict/rebuild.ts";
import { flush, removeExpired } from "../../../src/shared/dict/scan.ts";
import { Shard } from "../../../src/shared/dict/shard.ts";
import type { DictValue } from "../../../src/shared/dict/shared-dict.ts";
import { TableDict } from "../../../src/shared/dict/table-dict.ts";
import { audit } from "./audit.ts";

/** The process is killed before one of its writes. */
class Killed extends Error {}

/** A shard in the hands of a process that is killed before its write number `lifetime`. */
class MortalShard extends Shard {
  lifetime = Number.POSITIVE_INFINITY;
  writes = 0;

  override set(block: number, field: number, value: number): void {
    this.#live();
    super.set(block, field, value);
  }
  override setFact(name: number, value: number): void {
    this.#live();
    super.setFact(name, value);
  }
  override setDouble(block: number, field: number, value: number): void {
    this.#live();
    super.setDouble(block, field, value);
  }
  override setState(block: number, state: number): void {
    this.#live();
    super.setState(block, state);
  }
  override write(first: number, skip: number, source: Int32Array, count: number): void {
    this.#live();
    super.write(first, skip, source, count >> 1);
    this.#live();
    super.write(first, skip, source, count);
  }
  override linkInBucket(entry: number): void {
    this.#live();
    super.linkInBucket(entry);
  }

  #live(): void {
    if (this.writes++ >= this.lifetime) throw new Killed();
  }
}

const NOW = 1_000;
const LAYOUT = layoutOf(16 * 1024);
const LONG = "long ".repeat(100);

/** The memory of one dictionary, which can be copied at any moment. */
class World {
  readonly buffer: ArrayBuffer;
  readonly shard: MortalShard;
  readonly dict: TableDict;

  constructor(buffer: ArrayBuffer = new ArrayBuffer(LAYOUT.totalBytes), now: () => number = () => NOW) {
    this.buffer = buffer;
    const memory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
    this.shard = new MortalShard(memory, LAYOUT, 0, now);
    this.dict = new TableDict({ memory, layout: LAYOUT, now });
  }

  copy(): World {
    return new World(this.buffer.slice(0));
  }

  /** All that a user can see. */
  contents(): unknown {
    return this.dict
      .keys()
      .sort()
      .map((key) => [key, this.dict.peek(key)]);
  }
}

/** Numbers, texts of several blocks, lists, and some of each that have expired. */
function furnished(): World {
  let now = NOW - 100;
  const past = new World(undefined, () => now);
  past.dict.set("old text", LONG, { ttlMs: 50 });
  past.dict.set("old number", 1, { ttlMs: 50 });
  for (const item of ["x", LONG, 3]) past.dict.rpush("old list", item);
  past.dict.expire("old list", 50);
  past.dict.set("gone", LONG);
  past.dict.set("number", 5, { flags: 3 });
  past.dict.set("text", LONG, { ttlMs: 1_000 });
  past.dict.set("bool", true);
  for (const item of ["a", LONG, "c"]) past.dict.rpush("list", item);
  past.dict.rpush("one", "only");
  past.dict.delete("gone");
  now = NOW;
  return new World(past.buffer);
}

const keyOf = (text: string): Key => {
  const key = new Key(0, 0);
  key.set(text);
  return key;
};
const draftOf = (value: DictValue): Draft => {
  const draft = new Draft();
  draft.set(value);
  return draft;
};
const order = (value: DictValue | undefined, mode: StoreOrder["mode"] = "set"): StoreOrder => ({
  mode,
  isSafe: false,
  draft: value === undefined ? undefined : draftOf(value),
  ttlMs: 10,
  flags: 1,
});
const item = (value: DictValue, isLeft: boolean): ItemOrder => {
  const list = new Draft();
  list.type = LIST;
  return { isLeft, item: draftOf(value), list };
};

const CALLS: Readonly<Record<string, (shard: Shard) => unknown>> = {
  "set of a new key": (shard) => store(shard, keyOf("new"), order(LONG)),
  "set of a number": (shard) => store(shard, keyOf("number"), order(6)),
  "set of a text": (shard) => store(shard, keyOf("text"), order(`${LONG}${LONG}`)),
  "set in the place of a list": (shard) => store(shard, keyOf("list"), order(1)),
  "set of what has expired": (shard) => store(shard, keyOf("old text"), order("new")),
  "add of what has expired": (shard) => store(shard, keyOf("old list"), order("new", "add")),
  replace: (shard) => store(shard, keyOf("bool"), order(LONG, "replace")),
  delete: (shard) => store(shard, keyOf("text"), order(undefined)),
  "delete of a list": (shard) => store(shard, keyOf("list"), order(undefined)),
  incr: (shard) => increment(shard, keyOf("number"), { by: 1, first: undefined, result: 0 }),
  "incr of nothing": (shard) => increment(shard, keyOf("new"), { by: 1, first: order(8), result: 0 }),
  "incr of what has expired": (shard) => increment(shard, keyOf("old number"), { by: 1, first: order(8), result: 0 }),
  cas: (shard) => swap(shard, keyOf("text"), { expected: draftOf(LONG), order: order("new"), found: new Draft() }),
  getset: (shard) => exchange(shard, keyOf("text"), { expected: undefined, order: order(7), found: new Draft() }),
  lpush: (shard) => push(shard, keyOf("list"), item(LONG, true)),
  rpush: (shard) => push(shard, keyOf("list"), item(9, false)),
  "push of a new list": (shard) => push(shard, keyOf("new"), item(LONG, false)),
  "push on a list that has expired": (shard) => push(shard, keyOf("old list"), item("new", true)),
  lpop: (shard) => pop(shard, keyOf("list"), item("", true)),
  rpop: (shard) => pop(shard, keyOf("list"), item("", false)),
  "pop of the last": (shard) => pop(shard, keyOf("one"), item("", true)),
  expire: (shard) => setExpiry(shard, keyOf("text"), 77),
  flushAll: (shard) => flush(shard),
  flushExpired: (shard) => removeExpired(shard, 10),
};

describe("a process that is killed before any of its writes", () => {
  test.each(Object.entries(CALLS))("leaves %s done or not done", (_name, call) => {
    const before = furnished();
    const after = before.copy();
    call(after.shard);
    expect(audit(after.shard)).toEqual([]);
    const outcomes = [before.contents(), after.contents()];
    for (let lifetime = 0; lifetime < after.shard.writes; lifetime++) {
      const world = before.copy();
      world.shard.lifetime = lifetime;
      expect(() => call(world.shard)).toThrow(Killed);
      const found = world.copy();
      rebuild(found.shard);
      expect(audit(found.shard), `killed before write ${lifetime}`).toEqual([]);
      expect(outcomes).toContainEqual(found.contents());
    }
  });

  test.each(Object.entries(CALLS))("leaves %s to one that is killed while it puts things in order", (_name, call) => {
    const before = furnished();
    const trial = before.copy();
    call(trial.shard);
    const half = before.copy();
    half.shard.lifetime = Math.floor(trial.shard.writes / 2);
    expect(() => call(half.shard)).toThrow(Killed);
    const right = half.copy();
    rebuild(right.shard);
    for (let lifetime = 0; lifetime < right.shard.writes; lifetime++) {
      const world = half.copy();
      world.shard.lifetime = lifetime;
      expect(() => rebuild(world.shard)).toThrow(Killed);
      const next = world.copy();
      rebuild(next.shard);
      expect(audit(next.shard), `killed before write ${lifetime}`).toEqual([]);
      expect(next.contents()).toEqual(right.contents());
    }
  });

  test("keeps the order of use", () => {
    const world = furnished();
    world.dict.get("number");
    rebuild(world.shard);
    for (let index = 0; world.dict.freeSpace() > 0; index++) world.dict.set(`filler ${index}`, 1);
    world.dict.set("one more", 1);
    expect([world.dict.get("text"), world.dict.get("number")]).toEqual([undefined, 5]);
  });
});

test("a call that is thrown out half-way leaves the dictionary to be put in order by the next call", () => {
  const world = furnished();
  const contents = world.contents();
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  const dive = (depth: number): void => {
    try {
      dive(depth + 1);
    } finally {
      world.dict.set("number", 5, { flags: 3 }); // throws where there is no stack left, works further up
    }
  };
  expect(() => dive(0)).toThrow(RangeError);
  Error.stackTraceLimit = limit;
  expect(world.contents()).toEqual(contents);
  expect(audit(world.shard)).toEqual([]);
});

test.each([
  ["small values", (dict: TableDict, index: number) => dict.safeSet(`key:${index}`, index).ok],
  ["one long list", (dict: TableDict, index: number) => dict.rpush("list", index).err === undefined],
])("the largest shard full of %s is put in order within a second", (_name, fill) => {
  const layout = layoutOf(16 * 1024 ** 2, 1);
  const buffer = new ArrayBuffer(layout.totalBytes);
  const memory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
  const dict = new TableDict({ memory, layout, now: () => NOW });
  for (let index = 0; fill(dict, index); ) index++;
  const shard = new Shard(memory, layout, 0, () => NOW);
  const before = shard.available;
  const began = process.cpuUsage();
  rebuild(shard);
  const { user, system } = process.cpuUsage(began);
  expect((user + system) / 1_000).toBeLessThan(1_000);
  expect([audit(shard), shard.available]).toEqual([[], before]);
});
