import { describe, expect, test } from "vitest";
import type { DictValue, ListValue, SharedDict, Stored } from "../../src/shared/dict/shared-dict.ts";

/** Opens an empty dictionary whose time is that of `now`. */
export type OpenDict = (size: string, now: () => number) => SharedDict;

const STORED: Stored = { ok: true, forcible: false };
const ABSENT = { err: "not found" };

/** What every dictionary must obey, whatever memory it stands in and however it is divided. */
export function dictLaws(name: string, open: OpenDict): void {
  describe(name, () => {
    valueLaws(open);
    timeLaws(open);
    storeLaws(open);
    numberLaws(open);
    listLaws(open);
    conditionLaws(open);
    keyLaws(open);
    scanLaws(open);
    argumentLaws(open);
  });
}

/** What a dictionary obeys that is not divided: who goes when memory is short. */
export function dictMemoryLaws(name: string, open: OpenDict): void {
  describe(`${name}, when memory is short`, () => memoryLaws(open));
}

/** A dictionary, and a clock that stands until it is moved. */
function rig(open: OpenDict, size = "100k"): { dict: SharedDict; clock: { ms: number } } {
  const clock = { ms: 5_000_000 };
  return { dict: open(size, () => clock.ms), clock };
}

const VALUES: readonly (readonly [string, DictValue])[] = [
  ["true", true],
  ["false", false],
  ["zero", 0],
  ["minus zero", -0],
  ["a fraction", 0.1],
  ["the largest number", Number.MAX_VALUE],
  ["infinity", Number.POSITIVE_INFINITY],
  ["NaN", Number.NaN],
  ["an empty string", ""],
  ["a string", "hello"],
  ["a string with a zero in it", "a\0b"],
  ["one byte per character", "caf\u00e9 \u00ff"],
  ["Chinese", "\u4f60\u597d\uff0c\u4e16\u754c"],
  ["an emoji", "\u{1f680}"],
  ["half an emoji", "\ud83d"],
  ["a text of 64 bytes", "x".repeat(64)],
  ["a long text", "0123456789".repeat(1_000)],
  ["a long Chinese text", "\u4f60\u597d".repeat(1_000)],
  ["a long text with one wide character at its end", `${"y".repeat(5_000)}\u4f60`],
];

function valueLaws(open: OpenDict): void {
  test.each(VALUES)("keeps %s as it is", (_name, value) => {
    const { dict } = rig(open);
    expect(dict.set("key", value)).toEqual(STORED);
    expect(dict.get("key")).toBe(value);
  });

  test.each([0, 1, 3, 4, 5, 59, 60, 61, 64, 184, 185, 1_000, 20_001])("keeps %i bytes as they are", (size) => {
    const { dict } = rig(open);
    const bytes = Uint8Array.from({ length: size }, (_, index) => index * 7);
    dict.set("key", bytes);
    expect(dict.get("key")).toEqual(Buffer.from(bytes));
    expect(dict.get("key")).toBeInstanceOf(Uint8Array);
  });

  test("hands out bytes that are the caller's own", () => {
    const { dict } = rig(open);
    const mine = Buffer.from("abc");
    dict.set("key", mine);
    mine[0] = 0;
    const got = dict.get("key");
    if (got instanceof Uint8Array) got[1] = 0;
    expect(dict.get("key")).toEqual(Buffer.from("abc"));
  });

  test("tells a string, a number and bytes apart", () => {
    const { dict } = rig(open);
    dict.set("text", "1");
    dict.set("number", 1);
    dict.set("bytes", Buffer.from("1"));
    expect([dict.get("text"), dict.get("number"), dict.get("bytes")]).toEqual(["1", 1, Buffer.from("1")]);
  });
}

function timeLaws(open: OpenDict): void {
  test("a value with a time to live is there until it has passed, and getStale tells it afterwards", () => {
    const { dict, clock } = rig(open);
    dict.set("key", "v", { ttlMs: 100, flags: 7 });
    dict.set("other", 1);
    clock.ms += 99;
    expect([dict.get("key"), dict.ttl("key")]).toEqual(["v", { value: 1 }]);
    expect(dict.getStale("key")).toEqual({ value: "v", flags: 7, stale: false });
    clock.ms += 1;
    expect(dict.getStale("key")).toEqual({ value: "v", flags: 7, stale: true });
    expect(dict.get("key")).toBeUndefined();
    expect(dict.get("other")).toBe(1);
  });

  test("ttl and expire say not found of what has expired or never was", () => {
    const { dict, clock } = rig(open);
    dict.set("key", 1, { ttlMs: 100 });
    expect([dict.ttl("nothing"), dict.expire("nothing", 1)]).toEqual([ABSENT, { ok: false, ...ABSENT }]);
    clock.ms += 100;
    expect([dict.ttl("key"), dict.expire("key", 100)]).toEqual([ABSENT, { ok: false, ...ABSENT }]);
    expect(dict.get("key")).toBeUndefined();
  });

  test("expire gives a value another time, 0 for ever", () => {
    const { dict, clock } = rig(open);
    dict.set("key", 1, { ttlMs: 100 });
    expect(dict.expire("key", 1_000)).toEqual({ ok: true });
    expect(dict.ttl("key")).toEqual({ value: 1_000 });
    clock.ms += 900;
    expect(dict.expire("key", 0)).toEqual({ ok: true });
    expect(dict.ttl("key")).toEqual({ value: 0 });
    clock.ms += 1e9;
    expect(dict.get("key")).toBe(1);
  });

  test("set and replace begin time and flags anew", () => {
    const { dict } = rig(open);
    dict.set("key", 1, { ttlMs: 100, flags: 5 });
    dict.set("key", 2);
    expect([dict.ttl("key"), dict.getStale("key")]).toEqual([{ value: 0 }, { value: 2, flags: 0, stale: false }]);
    dict.set("key", 1, { ttlMs: 100, flags: 5 });
    dict.replace("key", 3, { flags: 4_294_967_295 });
    expect([dict.ttl("key"), dict.getStale("key")?.flags]).toEqual([{ value: 0 }, 4_294_967_295]);
  });

  test("flushAll lets everything expire, and flushExpired frees it", () => {
    const { dict } = rig(open);
    const free = dict.freeSpace();
    for (let index = 0; index < 10; index++) dict.set(`key${index}`, "x".repeat(200));
    dict.rpush("list", 1);
    dict.flushAll();
    expect(dict.getStale("key5")).toEqual({ value: "x".repeat(200), flags: 0, stale: true });
    expect([dict.keys(), dict.get("key5"), dict.llen("list")]).toEqual([[], undefined, { value: 0 }]);
    dict.set("alive", 1);
    dict.flushExpired(1);
    expect(dict.freeSpace()).toBeLessThan(free);
    dict.flushExpired();
    expect([dict.keys(), dict.getStale("key5")]).toEqual([["alive"], undefined]);
    expect(dict.flushExpired()).toBe(0);
  });

  test("flushExpired answers how many it removed, at most as many as it was told", () => {
    const { dict, clock } = rig(open);
    for (let index = 0; index < 9; index++) dict.set(`key${index}`, 1, { ttlMs: 10 });
    clock.ms += 10;
    expect([dict.flushExpired(4), dict.flushExpired(), dict.flushExpired()]).toEqual([4, 5, 0]);
  });
}

function storeLaws(open: OpenDict): void {
  test("get of nothing is undefined, and so is getStale", () => {
    const { dict } = rig(open);
    expect([dict.get("key"), dict.getStale("key")]).toEqual([undefined, undefined]);
  });

  test("set with undefined deletes, delete does, too, and both are fine with nothing there", () => {
    const { dict } = rig(open);
    for (const remove of [
      () => dict.set("key", undefined),
      () => dict.delete("key"),
      () => dict.safeSet("key", undefined),
    ]) {
      dict.set("key", 1);
      expect([remove(), dict.get("key"), remove()]).toEqual([STORED, undefined, STORED]);
    }
  });

  test.each(["add", "safeAdd"] as const)("%s stores only what is not there, or has expired", (add) => {
    const { dict, clock } = rig(open);
    expect(dict[add]("key", 1, { ttlMs: 50 })).toEqual(STORED);
    expect(dict[add]("key", 2)).toEqual({ ok: false, err: "exists", forcible: false });
    expect(dict.get("key")).toBe(1);
    clock.ms += 50;
    expect(dict[add]("key", 3)).toEqual(STORED);
    expect([dict.get("key"), dict.ttl("key")]).toEqual([3, { value: 0 }]);
  });

  test("replace stores only what is there and has not expired", () => {
    const { dict, clock } = rig(open);
    const notFound = { ok: false, err: "not found", forcible: false };
    expect(dict.replace("key", 1)).toEqual(notFound);
    dict.set("key", 1, { ttlMs: 50 });
    expect([dict.replace("key", "two", { ttlMs: 50 }), dict.get("key")]).toEqual([STORED, "two"]);
    clock.ms += 50;
    expect([dict.replace("key", 3), dict.get("key")]).toEqual([notFound, undefined]);
  });
}

function numberLaws(open: OpenDict): void {
  test("incr adds, and leaves time and flags as they are", () => {
    const { dict } = rig(open);
    dict.set("key", 10, { ttlMs: 100, flags: 3 });
    expect([dict.incr("key", 5), dict.incr("key", -0.5, 100, { initTtlMs: 9 })]).toEqual([
      { value: 15 },
      { value: 14.5 },
    ]);
    expect([dict.ttl("key"), dict.getStale("key")?.flags]).toEqual([{ value: 100 }, 3]);
  });

  test("incr of nothing is not found, with init it is init and what is added", () => {
    const { dict, clock } = rig(open);
    expect(dict.incr("key", 1)).toEqual(ABSENT);
    expect(dict.incr("key", 1, 10, { initTtlMs: 50 })).toEqual({ value: 11 });
    expect([dict.get("key"), dict.ttl("key")]).toEqual([11, { value: 50 }]);
    clock.ms += 50;
    expect(dict.incr("key", 1)).toEqual(ABSENT);
    expect([dict.incr("key", 2, 0), dict.ttl("key")]).toEqual([{ value: 2 }, { value: 0 }]);
  });

  test.each(["7", true, Buffer.from("7")])("incr of %o is not a number", (value) => {
    const { dict } = rig(open);
    dict.set("key", value);
    expect(dict.incr("key", 1, 1)).toEqual({ err: "not a number" });
    expect(dict.get("key")).toEqual(value);
  });
}

function listLaws(open: OpenDict): void {
  test("a list is pushed and popped at both ends", () => {
    const { dict } = rig(open);
    expect([dict.rpush("list", "b"), dict.rpush("list", 3), dict.lpush("list", "a")]).toEqual([1, 2, 3].map(answer));
    expect(dict.llen("list")).toEqual({ value: 3 });
    expect([dict.lpop("list"), dict.rpop("list"), dict.lpop("list")]).toEqual(["a", 3, "b"].map(answer));
    expect([dict.lpop("list"), dict.rpop("list"), dict.llen("list")]).toEqual([{}, {}, { value: 0 }]);
  });

  test("items are any strings and numbers, of any length", () => {
    const { dict } = rig(open, "1m");
    const items: ListValue[] = ["", "\u4f60\u597d", "x".repeat(10_000), -0, Number.NaN, "\u4f60".repeat(300), 1.5];
    for (const item of items) dict.rpush("list", item);
    expect(items.map(() => dict.lpop("list"))).toEqual(items.map(answer));
  });

  test("a list without items is no more, and gives all its memory back", () => {
    const { dict } = rig(open);
    const free = dict.freeSpace();
    for (let index = 0; index < 50; index++) dict.lpush("list", "y".repeat(index * 10));
    for (let index = 0; index < 50; index++) expect(dict.rpop("list")).toEqual({ value: "y".repeat(index * 10) });
    expect([dict.get("list"), dict.keys(), dict.freeSpace()]).toEqual([undefined, [], free]);
    dict.rpush("list", 1);
    dict.delete("list");
    expect(dict.freeSpace()).toBe(free);
  });

  test("a value is not a list, and a list is not a value", () => {
    const { dict } = rig(open);
    const notAList = { err: "value not a list" };
    dict.set("key", "v");
    expect([dict.lpush("key", 1), dict.rpush("key", 1), dict.lpop("key"), dict.rpop("key"), dict.llen("key")]).toEqual(
      Array.from({ length: 5 }, () => notAList),
    );
    dict.rpush("list", 1);
    for (const read of [() => dict.get("list"), () => dict.getStale("list"), () => dict.getset("list", 1)]) {
      expect(read).toThrow(new TypeError("value is a list"));
    }
    expect(dict.incr("list", 1, 1)).toEqual({ err: "not a number" });
    expect([dict.llen("list"), dict.add("list", 1).err]).toEqual([{ value: 1 }, "exists"]);
    expect([dict.set("list", 2), dict.get("list")]).toEqual([STORED, 2]);
  });

  test("a push on a list that has expired begins a new one, without a time", () => {
    const { dict, clock } = rig(open);
    for (const item of [1, 2, 3]) dict.rpush("list", item);
    dict.expire("list", 50);
    expect([dict.rpush("list", 4), dict.ttl("list")]).toEqual([{ value: 4 }, { value: 50 }]);
    clock.ms += 50;
    expect([dict.llen("list"), dict.lpop("list")]).toEqual([{ value: 0 }, {}]);
    expect([dict.rpush("list", 5), dict.ttl("list"), dict.lpop("list")]).toEqual([1, 0, 5].map(answer));
  });
}

const answer = <Value>(value: Value): { value: Value } => ({ value });

function conditionLaws(open: OpenDict): void {
  test.each(VALUES)("cas stores in the place of %s, when that is there", (_name, value) => {
    const { dict } = rig(open);
    expect([dict.cas("key", value, 1), dict.get("key")]).toEqual([false, undefined]);
    dict.set("key", value);
    expect([dict.cas("key", "another", 1), dict.cas("key", undefined, 1)]).toEqual([false, false]);
    expect([dict.cas("key", value, Buffer.from("new")), dict.get("key")]).toEqual([true, Buffer.from("new")]);
    expect([dict.cas("key", "new", 1), dict.cas("key", Buffer.from("new"), value)]).toEqual([false, true]);
    expect(dict.get("key")).toBe(value);
  });

  test("cas with undefined adds, and deletes", () => {
    const { dict, clock } = rig(open);
    expect([dict.cas("key", undefined, 1, { ttlMs: 50, flags: 2 }), dict.ttl("key")]).toEqual([true, { value: 50 }]);
    expect([dict.getStale("key")?.flags, dict.cas("key", 1, undefined), dict.get("key")]).toEqual([2, true, undefined]);
    dict.set("key", 1, { ttlMs: 50 });
    clock.ms += 50;
    expect([dict.cas("key", 1, 2), dict.cas("key", undefined, 3), dict.get("key")]).toEqual([false, true, 3]);
    dict.rpush("list", 1);
    expect([dict.cas("list", 1, 2), dict.cas("list", undefined, 2)]).toEqual([false, false]);
  });

  test("deleteIf deletes a value only when it is that one", () => {
    const { dict } = rig(open);
    dict.set("key", "mine");
    expect([dict.deleteIf("key", "yours"), dict.get("key")]).toEqual([false, "mine"]);
    expect([dict.deleteIf("key", "mine"), dict.get("key"), dict.deleteIf("key", "mine")]).toEqual([
      true,
      undefined,
      false,
    ]);
  });

  test("getset stores, and answers what was there", () => {
    const { dict, clock } = rig(open);
    expect([dict.getset("key", "a", { ttlMs: 50 }), dict.getset("key", 2), dict.get("key")]).toEqual([
      {},
      answer("a"),
      2,
    ]);
    expect(dict.ttl("key")).toEqual({ value: 0 });
    dict.set("key", 3, { ttlMs: 50 });
    clock.ms += 50;
    expect([dict.getset("key", 4), dict.get("key")]).toEqual([{}, 4]);
  });
}

function keyLaws(open: OpenDict): void {
  test("a number and its text are one key", () => {
    const { dict } = rig(open);
    dict.set(56, "a");
    expect([dict.get("56"), dict.get(56), dict.keys()]).toEqual(["a", "a", ["56"]]);
  });

  test.each([
    "k",
    "x".repeat(64),
    "x".repeat(65),
    "\u00e9".repeat(100),
    "\u4f60",
    "\u4f60".repeat(40),
    "a".repeat(65_535),
  ])("a key of any length and script is told as it is", (key) => {
    const { dict } = rig(open, "1m");
    dict.set(key, 1);
    dict.set(`${key.slice(1)}!`, 2);
    expect([dict.get(key), dict.keys().includes(key), dict.keys().length]).toEqual([1, true, 2]);
  });

  test("keys tells at most 1,024, or as many as asked, 0 for all, and none that has expired", () => {
    const { dict, clock } = rig(open, "1m");
    for (let index = 0; index < 1_500; index++) dict.set(`key${index}`, 1, { ttlMs: index < 100 ? 10 : 0 });
    clock.ms += 10;
    expect([dict.keys().length, dict.keys(10).length, dict.keys(0).length]).toEqual([1_024, 10, 1_400]);
    expect(new Set(dict.keys(0)).size).toBe(1_400);
  });

  test("scan tells every key that stays exactly once, whatever else comes and goes", () => {
    const { dict } = rig(open, "1m");
    for (let index = 0; index < 500; index++) dict.set(`stay:${index}`, 1);
    const told: string[] = [];
    let turn = 0;
    for (let cursor: number | undefined = 0; cursor !== undefined; turn++) {
      const scanned = dict.scan({ prefix: "stay:", cursor, limit: 20 });
      told.push(...scanned.keys);
      cursor = scanned.cursor;
      for (let index = 0; index < 50; index++) dict.set(`go:${turn}:${index}`, 1);
      for (let index = 0; index < 50; index++) dict.delete(`go:${turn - 1}:${index}`);
    }
    expect(told.sort()).toEqual(Array.from({ length: 500 }, (_, index) => `stay:${index}`).sort());
    expect(turn).toBeGreaterThan(3);
  });
}

function scanLaws(open: OpenDict): void {
  test("scan with a limit of 0 tells all keys at once", () => {
    const { dict } = rig(open, "1m");
    for (let index = 0; index < 2_000; index++) dict.set(`key${index}`, 1);
    const { keys, cursor } = dict.scan({ limit: 0 });
    expect([new Set(keys).size, cursor]).toEqual([2_000, undefined]);
  });

  test("scan from any cursor comes to an end, and tells no key twice", () => {
    const { dict } = rig(open, "1m");
    for (let index = 0; index < 500; index++) dict.set(`key${index}`, 1);
    for (const begin of [1, 255, 1_000, 2 ** 40]) {
      const told: string[] = [];
      for (let cursor: number | undefined = begin; cursor !== undefined; ) {
        const scanned = dict.scan({ cursor, limit: 10 });
        told.push(...scanned.keys);
        cursor = scanned.cursor;
      }
      expect(new Set(told).size).toBe(told.length);
    }
  });

  test.each([
    [{ limit: -1 }, "bad limit argument: expected a whole number, got -1"],
    [{ limit: 1.5 }, "bad limit argument: expected a whole number, got 1.5"],
    [{ cursor: -1 }, "bad cursor argument: expected a whole number, got -1"],
    [{ cursor: Number.NaN }, "bad cursor argument: expected a whole number, got NaN"],
  ])("scan with %o throws", (options, message) => {
    const { dict } = rig(open);
    expect(() => dict.scan(options)).toThrow(new TypeError(message));
  });
}

function memoryLaws(open: OpenDict): void {
  test("capacity is the size, and free space goes and comes back", () => {
    const { dict } = rig(open);
    expect(dict.capacity()).toBe(102_400);
    const free = dict.freeSpace();
    expect(free).toBeLessThanOrEqual(102_400);
    dict.set("key", "x".repeat(10_000));
    expect(free - dict.freeSpace()).toBeGreaterThan(10_000);
    dict.delete("key");
    expect(dict.freeSpace()).toBe(free);
  });

  test("a full dictionary evicts what was used least lately, and says so", () => {
    const { dict } = rig(open);
    const value = "v".repeat(1_000);
    let count = 0;
    while (dict.freeSpace() > 2_048) dict.set(`key${count++}`, value);
    dict.get("key0");
    dict.getStale("key1");
    dict.ttl("key2");
    dict.expire("key3", 0);
    const stored = Array.from({ length: 6 }, (_, index) => dict.set(`new${index}`, value));
    expect(stored.at(-1)).toEqual({ ok: true, forcible: true });
    expect(["key0", "key1", "key2", "key3"].map((key) => dict.get(key))).toEqual([value, value, undefined, undefined]);
    expect(dict.get("new5")).toBe(value);
  });

  test.each(["safeSet", "safeAdd"] as const)("%s evicts nothing that has not expired", (store) => {
    const { dict, clock } = rig(open);
    let count = 0;
    while (dict[store](`key${count}`, "v".repeat(500), { ttlMs: 50 }).ok) count++;
    expect(dict[store]("more", "v".repeat(500))).toEqual({ ok: false, err: "no memory", forcible: false });
    expect(dict.keys(0).length).toBe(count);
    clock.ms += 50;
    expect(dict[store]("more", "v".repeat(500))).toEqual(STORED);
  });

  test("a value that fits takes the place of its older one without any other's going", () => {
    const { dict } = rig(open);
    dict.set("other", 1);
    dict.set("key", "a".repeat(60_000));
    expect(dict.set("key", "b".repeat(70_000))).toEqual(STORED);
    expect([dict.get("other"), dict.safeSet("key", "c".repeat(60_000)), dict.get("key")]).toEqual([
      1,
      STORED,
      "c".repeat(60_000),
    ]);
    expect([dict.safeSet("key", "d".repeat(200_000)).err, dict.get("key")]).toEqual(["no memory", "c".repeat(60_000)]);
  });

  test("a value larger than the dictionary has no memory; thirty others go for it in vain, as in OpenResty", () => {
    const { dict } = rig(open);
    const large = "x".repeat(102_400);
    expect(dict.set("large", large)).toEqual({ ok: false, err: "no memory", forcible: false });
    for (let index = 0; index < 100; index++) dict.set(`key${index}`, index);
    expect(dict.set("large", large)).toEqual({ ok: false, err: "no memory", forcible: true });
    expect([dict.get("key29"), dict.get("key30"), dict.keys(0).length]).toEqual([undefined, 30, 70]);
    expect(dict.incr("counter", 1, 0)).toEqual({ value: 1 });
  });

  test("a push evicts nothing that has not expired", () => {
    const { dict } = rig(open);
    let length = 0;
    for (let pushed = dict.rpush("list", "x".repeat(100)); pushed.err === undefined; ) {
      length = pushed.value;
      pushed = dict.rpush("list", "x".repeat(100));
    }
    expect([dict.rpush("list", "x".repeat(100)), dict.lpush("another", 1).err]).toEqual([
      { err: "no memory" },
      "no memory",
    ]);
    expect(dict.llen("list")).toEqual({ value: length });
  });

  test("each write and get drops up to two expired values that nobody used for longest", () => {
    const { dict, clock } = rig(open);
    for (let index = 0; index < 5; index++) dict.set(`key${index}`, 1, { ttlMs: 10 });
    clock.ms += 10;
    dict.get("nothing");
    expect(["key0", "key1", "key2"].map((key) => dict.getStale(key)?.stale)).toEqual([undefined, undefined, true]);
    dict.set("alive", 1);
    expect(["key3", "key4", "key2"].map((key) => dict.getStale(key)?.stale)).toEqual([undefined, undefined, true]);
  });
}

function argumentLaws(open: OpenDict): void {
  const wrong: readonly (readonly [string, (dict: SharedDict) => unknown])[] = [
    ["nil key", (dict) => dict.get(undefined as unknown as string)],
    ["nil key", (dict) => dict.incr(null as unknown as string, 1)],
    ["empty key", (dict) => dict.set("", 1)],
    ["key too long", (dict) => dict.get("x".repeat(65_536))],
    ["key too long", (dict) => dict.get("\u00e9".repeat(32_768))],
    ["bad value type", (dict) => dict.set("key", {} as unknown as string)],
    ["bad value type", (dict) => dict.set("key", 1n as unknown as number)],
    ["bad value type", (dict) => dict.lpush("key", true as unknown as number)],
    ["bad value type", (dict) => dict.rpush("key", undefined as unknown as number)],
    ["attempt to add or replace nil values", (dict) => dict.add("key", undefined as unknown as string)],
    ["attempt to add or replace nil values", (dict) => dict.replace("key", undefined as unknown as string)],
    ['bad "exptime" argument', (dict) => dict.set("key", 1, { ttlMs: -1 })],
    ['bad "exptime" argument', (dict) => dict.add("key", 1, { ttlMs: Number.NaN })],
    ['bad "exptime" argument', (dict) => dict.expire("key", -1)],
    ['bad "flags" argument', (dict) => dict.set("key", 1, { flags: -1 })],
    ['bad "flags" argument', (dict) => dict.set("key", 1, { flags: 4_294_967_296 })],
    ["bad value arg: number expected, got string", (dict) => dict.incr("key", "1" as unknown as number)],
    ["bad init arg: number expected, got string", (dict) => dict.incr("key", 1, "1" as unknown as number)],
    ['bad "init_ttl" argument', (dict) => dict.incr("key", 1, 1, { initTtlMs: -1 })],
    ['must provide "init" when providing "init_ttl"', (dict) => dict.incr("key", 1, undefined, { initTtlMs: 1 })],
  ];
  test.each(wrong)("a wrong argument throws: %s", (words, call) => {
    const { dict } = rig(open);
    dict.set("key", 5);
    expect(() => call(dict)).toThrow(new TypeError(words));
    expect([dict.get("key"), dict.keys()]).toEqual([5, ["key"]]);
  });
}
