import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, test, vi } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";

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

const HEAD = '{"restyconf":"dict 1","savedAt":0}\n';
test.each([
  ["of something else", "hello\n", 1],
  ["empty", "", 1],
  ["of another version", '{"restyconf":"dict 2","savedAt":0}\n{"entries":0}\n', 1],
  ["without an end", `${HEAD}["a",1,0,0]\n`, 3],
  ["cut within a line", `${HEAD}["a",1,0,0]\n["b",1`, 3],
  ["with fewer entries than it says", `${HEAD}["a",1,0,0]\n{"entries":2}\n`, 3],
  ["with something after its end", `${HEAD}["a",1,0,0]\n{"entries":1}\n["b",1,0,0]\n`, 4],
  ["with a value that is none", `${HEAD}["a",1,0,0]\n["b",null,0,0]\n{"entries":2}\n`, 3],
  ["with a list in a list", `${HEAD}["a",{"list":[{"list":[]}]},0,0]\n{"entries":1}\n`, 2],
  ["with a key that is none", `${HEAD}[1,1,0,0]\n{"entries":1}\n`, 2],
])("a file %s is refused before anything of it is stored", async (_name, text, line) => {
  writeFileSync(path, text);
  const dict = open();
  await expect(dict.load(path)).rejects.toThrow(`${path}:${line}: damaged snapshot`);
  expect(dict.keys()).toEqual([]);
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
