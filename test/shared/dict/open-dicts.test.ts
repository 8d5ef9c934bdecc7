import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { expect, test } from "vitest";
import { attachDicts, type Dicts, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import { whyNotShared } from "../../../src/shared/dict/self-test.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";

function dictOf({ dicts }: Dicts, name: string): SharedDict {
  const dict = dicts[name];
  if (dict === undefined) throw new Error(`no dictionary ${name}`);
  return dict;
}

test("two processes can share memory here", async () => {
  expect(await whyNotShared()).toBeUndefined();
});

test("without a way to start a second process, the answer is why", async () => {
  const { execPath } = process;
  process.execPath = "/nonexistent/node";
  const why = await whyNotShared().finally(() => {
    process.execPath = execPath;
  });
  expect(why).toContain("ENOENT");
});

test("a dictionary of one process has no handle, and koffi is not loaded for it", async () => {
  expect(Object.keys(openDicts({ a: "8k", b: "1m" }).handles)).toEqual([]);
});

test("handles are plain data, by which the same dictionaries are attached", () => {
  const opened = openDicts({ a: "8k", b: "32m" }, { isShared: true });
  const attached = attachDicts(JSON.parse(JSON.stringify(opened.handles)));
  dictOf(opened, "a").set("key", 1);
  dictOf(attached, "b").set("key", "\u4f60\u597d");
  expect([dictOf(attached, "a").get("key"), dictOf(opened, "b").get("key")]).toEqual([1, "\u4f60\u597d"]);
  expect([dictOf(attached, "b").capacity(), dictOf(attached, "a").get("other")]).toEqual([32 * 2 ** 20, undefined]);
});

test("the largest dictionary is opened and attached", () => {
  const opened = openDicts({ large: "4g" }, { isShared: true });
  dictOf(opened, "large").set("key", 1);
  const attached = dictOf(attachDicts(opened.handles), "large");
  expect([attached.get("key"), attached.capacity()]).toEqual([1, 2 ** 32]);
});

test("a scan of a dictionary that is nearly empty goes in portions, too, and finds every key", () => {
  const large = dictOf(openDicts({ large: "256m" }), "large");
  for (let index = 0; index < 100; index++) large.set(`key${index}`, 1);
  const told: string[] = [];
  let turns = 0;
  for (let cursor: number | undefined = 0; cursor !== undefined; turns++) {
    const scanned = large.scan({ cursor });
    told.push(...scanned.keys);
    cursor = scanned.cursor;
  }
  expect([new Set(told).size, told.length, turns > 4]).toEqual([100, 100, true]);
  expect([large.keys().length, large.scan({ limit: 0 }).keys.length]).toEqual([100, 100]);
});

test.each([true, false])(
  "a reload keeps what has the same name and size, with its contents (shared: %s)",
  (isShared) => {
    const before = openDicts({ same: "1m", resized: "1m", gone: "8k" }, { isShared });
    for (const dict of Object.values(before.dicts)) dict.set("key", 1);
    const after = openDicts({ same: "1024k", resized: "2m", added: "8k" }, { isShared, keep: before });
    expect(Object.entries(after.dicts).map(([name, dict]) => [name, dict.get("key")])).toEqual([
      ["same", 1],
      ["resized", undefined],
      ["added", undefined],
    ]);
    expect(dictOf(before, "gone").get("key")).toBe(1);
  },
);

test("a worker keeps what it has attached, and attaches what is new", () => {
  const before = openDicts({ same: "8k", resized: "8k" }, { isShared: true });
  const attached = attachDicts(before.handles);
  const after = openDicts({ same: "8k", resized: "16k" }, { isShared: true, keep: before });
  const again = attachDicts(after.handles, { keep: attached });
  expect(dictOf(again, "same")).toBe(dictOf(attached, "same"));
  expect(dictOf(again, "resized").capacity()).toBe(16 * 1024);
});

test("what was private becomes shared when other processes are to see it", () => {
  const before = openDicts({ a: "8k" });
  expect(Object.keys(openDicts({ a: "8k" }, { isShared: true, keep: before }).handles)).toEqual(["a"]);
});

test("a file that is not that dictionary is refused, and so is one whose owner has ended", () => {
  const { handles } = openDicts({ a: "8k", b: "8k" }, { isShared: true });
  const { a, b } = handles;
  if (a === undefined || b === undefined) throw new Error("they were opened above");
  const refused = `this shared dictionary is not in ${a.path}`;
  expect(() => attachDicts({ a: { ...a, bytes: a.bytes + 128 } })).toThrow(refused);
  expect(() => attachDicts({ a: { ...b, path: a.path } })).toThrow(refused);
  expect(() => attachDicts({ a: { ...a, path: "/proc/2147483647/fd/3" } })).toThrow("ENOENT");
});

test("names of a prototype are names of no dictionary", () => {
  const { dicts } = openDicts({}, { keep: openDicts({ a: "8k" }) });
  expect(Object.keys(dicts)).toEqual([]);
  expect(Object.keys(openDicts({ toString: "8k" }, { keep: openDicts({}) }).dicts)).toEqual(["toString"]);
});

test("memory has no name that could be left behind, and no other program inherits it", async () => {
  const { handles } = openDicts({ a: "8k" }, { isShared: true });
  expect(readlinkSync(handles["a"]?.path ?? "")).toMatch(/memfd:.*\(deleted\)/);
  expect(readdirSync("/dev/shm").filter((name) => name.includes("restyconf"))).toEqual([]);
  const child = spawn("ls", ["-l", "/proc/self/fd"], { stdio: ["ignore", "pipe", "ignore"] });
  const [listing] = await once(child.stdout, "data");
  expect(String(listing)).not.toContain("memfd");
});

test("a dictionary that nobody can reach any more gives its memory and its descriptor back", async () => {
  const mappings = () => readFileSync("/proc/self/maps", "utf8").match(/memfd:restyconf-dict/g)?.length ?? 0;
  const before = mappings();
  for (let round = 0; round < 60; round++) openDicts({ a: "1m" }, { isShared: true });
  expect(mappings()).toBeGreaterThan(before);
  // Garbage is collected when there is much of it.
  for (let round = 0; round < 200 && mappings() > before + 10; round++) {
    Array.from({ length: 10_000 }, (_, index) => ({ index }));
    new Uint8Array(64 * 2 ** 20).fill(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(mappings()).toBeLessThanOrEqual(before + 10);
});
