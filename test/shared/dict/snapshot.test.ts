import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { layoutOf } from "../../../src/shared/dict/layout.ts";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { ScanOptions, SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { saveSnapshot } from "../../../src/shared/dict/snapshot.ts";
import { TableDict } from "../../../src/shared/dict/table-dict.ts";

const folder = mkdtempSync(join(tmpdir(), "restyconf-snapshot-"));
const path = join(folder, "sessions.dict");
afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

function open(size = "1m"): SharedDict {
  const { dict } = openDicts({ dict: size }).dicts;
  if (dict === undefined) throw new Error("it was opened above");
  return dict;
}

const VALUES = {
  true: true,
  number: 1.5,
  nan: Number.NaN,
  "minus zero": -0,
  infinity: Number.NEGATIVE_INFINITY,
  text: 'a "text"\n\u4f60\u597d \ud83d',
  bytes: Buffer.from([0, 255, 10, 13]),
  "\u952e": "",
};

test("all values, lists, flags and times come back as they were, less the time that has passed", async () => {
  const dict = open();
  for (const [key, value] of Object.entries(VALUES)) dict.set(key, value, { flags: 4_294_967_295 });
  for (const item of ["a", -0, Number.NaN, "\u2028\u2029\n", 7]) dict.rpush("list", item);
  dict.expire("list", 500);
  dict.set("short", 1, { ttlMs: 50 });
  dict.set("long", 1, { ttlMs: 1_000 });
  expect(await dict.save(path)).toBe(11);
  vi.advanceTimersByTime(100);
  const loaded = open();
  expect(await loaded.load(path)).toEqual({ loaded: 10, skipped: 1 });
  for (const [key, value] of Object.entries(VALUES)) {
    expect(loaded.getStale(key)).toEqual({ value, flags: 4_294_967_295, stale: false });
  }
  expect([loaded.ttl("true"), loaded.ttl("long"), loaded.ttl("list")]).toEqual(
    [0, 900, 400].map((value) => ({ value })),
  );
  expect([1, 2, 3, 4, 5].map(() => loaded.lpop("list").value)).toEqual(["a", -0, Number.NaN, "\u2028\u2029\n", 7]);
});

test("what has expired is not saved, and an older file goes only when the new one is whole", async () => {
  const dict = open();
  dict.set("key", 1);
  dict.set("gone", 1, { ttlMs: 10 });
  vi.advanceTimersByTime(10);
  await dict.save(path);
  dict.set("key", 2);
  expect(await dict.save(path)).toBe(1);
  const loaded = open();
  await loaded.load(path);
  expect([loaded.get("key"), loaded.get("gone")]).toEqual([2, undefined]);
  expect(readdirSync(folder)).toEqual(["sessions.dict"]);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await expect(dict.save(join(folder, "no/such/folder"))).rejects.toThrow("ENOENT");
});

test("a dictionary that is too small takes what there is room for, and keeps what it has", async () => {
  const large = open();
  for (let index = 0; index < 500; index++) large.set(`key${index}`, "x".repeat(100));
  large.rpush("list", "y".repeat(20_000));
  await large.save(path);
  const small = open("16k");
  small.set("mine", 1);
  const { loaded, skipped } = await small.load(path);
  expect([loaded > 20, loaded + skipped, small.get("mine"), small.keys(0).length]).toEqual([true, 501, 1, loaded + 1]);
});

test("thousands of keys go in portions", async () => {
  const dict = open("10m");
  for (let index = 0; index < 20_000; index++) dict.set(`key${index}`, index);
  expect(await dict.save(path)).toBe(20_000);
  const loaded = open("10m");
  expect(await loaded.load(path)).toEqual({ loaded: 20_000, skipped: 0 });
  expect(loaded.get("key12345")).toBe(12_345);
});

const HEAD = '{"restyconf":"dict 2","savedAt":0}\n';

/** A snapshot of these lines, with a last line that is right. */
function whole(...lines: string[]): string {
  const text = HEAD + lines.map((line) => `${line}\n`).join("");
  return `${text}${JSON.stringify({ entries: lines.length, sha256: sha256(text) })}\n`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

const A = '["a",1,0,0]';
test.each([
  ["of something else", "hello\n", 1],
  ["empty", "", 1],
  ["of another version", '{"restyconf":"dict 1","savedAt":0}\n{"entries":0}\n', 1],
  ["without an end", `${HEAD}${A}\n`, 3],
  ["cut within a line", `${HEAD}${A}\n["b",1`, 3],
  ["cut within its last line", whole(A).slice(0, -1), 3],
  ["with fewer entries than it says", `${HEAD}${A}\n{"entries":2,"sha256":"${sha256(`${HEAD}${A}\n`)}"}\n`, 3],
  ["with another digest", `${HEAD}${A}\n{"entries":1,"sha256":"${sha256("")}"}\n`, 3],
  ["without a digest", `${HEAD}${A}\n{"entries":1}\n`, 3],
  ["with something after its end", `${whole(A)}["b",1,0,0]\n`, 4],
  ["with a value that is none", whole(A, '["b",null,0,0]'), 3],
  ["with a number that is none", whole(A, '["b",{"number":"many"},0,0]'), 3],
  ["with bytes that are none", whole(A, '["b",{"bytes":"a!"},0,0]'), 3],
  ["with a list in a list", whole('["a",{"list":[{"list":[]}]},0,0]'), 2],
  ["with a key that is none", whole("[1,1,0,0]"), 2],
  ["with an empty key", whole(A, '["",1,0,0]'), 3],
  ["with a key that is too long", whole(A, `["${"k".repeat(65_536)}",1,0,0]`), 3],
  ["with flags that are none", whole(A, '["b",1,-1,0]'), 3],
  ["with a time that is none", whole(A, '["b",1,0,-1]'), 3],
])("a file %s is refused before anything of it is stored", async (_name, text, line) => {
  writeFileSync(path, text);
  const dict = open();
  await expect(dict.load(path)).rejects.toThrow(`${path}:${line}: damaged snapshot`);
  expect(dict.keys()).toEqual([]);
});

test("a file that was written by hand is loaded when its last line is right", async () => {
  writeFileSync(path, whole(A, '["b",{"list":["x",{"number":"-0"}]},0,0]'));
  const dict = open();
  expect(await dict.load(path)).toEqual({ loaded: 2, skipped: 0 });
  expect([dict.get("a"), dict.rpop("b").value]).toEqual([1, -0]);
});

test("a file of which any character was changed is refused", async () => {
  const dict = open();
  dict.set("price", 1_000, { ttlMs: 60_000, flags: 3 });
  dict.set("text", "a");
  await dict.save(path);
  const right = readFileSync(path, "latin1");
  for (let at = 0; at < right.length; at++) {
    const other = right[at] === "9" ? "8" : "9";
    writeFileSync(path, right.slice(0, at) + other + right.slice(at + 1));
    const loaded = open();
    await expect(loaded.load(path), `character ${at}`).rejects.toThrow("damaged snapshot");
    expect(loaded.keys()).toEqual([]);
  }
});

test("a file that was cut anywhere is refused", async () => {
  const dict = open();
  for (const [key, value] of Object.entries(VALUES)) dict.set(key, value);
  await dict.save(path);
  const whole = readFileSync(path);
  for (let size = whole.length - 2; size >= 0; size -= 7) {
    writeFileSync(path, whole);
    truncateSync(path, size);
    await expect(dict.load(path), `${size} bytes`).rejects.toThrow("damaged snapshot");
  }
});

test("saves to one path at the same time come one after the other, and those that wait are one", async () => {
  const dict = open("10m");
  for (let index = 0; index < 20_000; index++) dict.set(`key${index}`, "v".repeat(50));
  const first = dict.save(path);
  dict.set("late", 1);
  const others = [dict.save(path), dict.save(path), open().save(join(folder, "another"))];
  expect(readdirSync(folder).length).toBeLessThan(5);
  expect(await Promise.all([first, ...others])).toEqual([expect.any(Number), 20_001, 20_001, 0]);
  const loaded = open("10m");
  expect(await loaded.load(path)).toEqual({ loaded: 20_001, skipped: 0 });
  expect(loaded.get("late")).toBe(1);
  expect(readdirSync(folder).sort()).toEqual(["another", "sessions.dict"]);
});

test("saves of several dictionaries to one path leave one of them, whole", async () => {
  const dicts = [1, 2, 3].map((number) => {
    const dict = open("10m");
    for (let index = 0; index < 5_000 * number; index++) dict.set(`key${index}`, number);
    return dict;
  });
  await Promise.all(dicts.map((dict) => dict.save(path)));
  const loaded = open("10m");
  const { loaded: count } = await loaded.load(path);
  expect(count).toBe(5_000 * Number(loaded.get("key0")));
});

test("a save that failed keeps nobody from the next", async () => {
  const dict = open();
  const there = join(folder, "later");
  const both = await Promise.allSettled([dict.save(join(there, "dict")), dict.save(join(there, "dict"))]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  mkdirSync(there);
  expect(await dict.save(join(there, "dict"))).toBe(0);
  rmSync(there, { recursive: true });
});

test("large values are written a few at a time, and the loop turns between them", async () => {
  const layout = layoutOf(256 * 1024 ** 2);
  const buffer = new ArrayBuffer(layout.totalBytes);
  const memory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
  const dict = new TableDict({ memory, layout });
  for (let index = 0; index < 50; index++) dict.set(`key${index}`, "v".repeat(700_000));
  let [inThisTurn, most] = [0, 0];
  const peek = (key: string): ReturnType<TableDict["peek"]> => {
    most = Math.max(most, ++inThisTurn);
    return dict.peek(key);
  };
  const turning = setInterval(() => {
    inThisTurn = 0;
  }, 0);
  const watched: Parameters<typeof saveSnapshot>[0] = Object.assign(Object.create(dict), {
    scan: (options: ScanOptions) => dict.scan(options),
    peek,
  });
  expect(await saveSnapshot(watched, path)).toBe(50);
  clearInterval(turning);
  expect(most).toBeLessThan(10);
  expect(await dict.load(path)).toEqual({ loaded: 50, skipped: 0 });
});
