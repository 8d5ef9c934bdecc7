import {
  mkdirSync,
  mkdtempSync,
  promises,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  watch,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileRegistry } from "../../src/registry/file/file.ts";
import { writeTurn } from "../../src/registry/file/write-turn.ts";
import type { Change, Registry } from "../../src/registry/registry.ts";
import { registryLaws } from "../laws/registry-laws.ts";
import { eventually } from "../support/eventually.ts";

const root = mkdtempSync(join(tmpdir(), "restyconf-registry-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const fresh = (): string => mkdtempSync(join(root, "case-"));
const warnings: string[] = [];
const open = (path: string): Promise<Registry> => fileRegistry(path, { warn: (text) => void warnings.push(text) });

registryLaws("folder", () => open(fresh()));
registryLaws("JSON file", () => open(join(fresh(), "keys.json")));

/** Tells of each path that the file system is asked about so, by whomever. */
function overhearing(name: "readdir" | "stat", heard: (path: unknown) => void): Disposable {
  const before = promises[name];
  const put = (call: unknown): void => {
    Object.assign(promises, { [name]: call });
    syncBuiltinESMExports();
  };
  put((...input: readonly unknown[]): unknown => {
    heard(input[0]);
    return Reflect.apply(before, promises, input);
  });
  return { [Symbol.dispose]: () => put(before) };
}

const forms = [
  { form: "folder", pathIn: (folder: string) => folder, many: 600 },
  { form: "JSON file", pathIn: (folder: string) => join(folder, "keys.json"), many: 6_000 },
];

describe.each(forms)("a registry in a $form", ({ pathIn, many }) => {
  let path: string;
  let opened: Registry[];
  beforeEach(() => {
    path = pathIn(fresh());
    opened = [];
    warnings.length = 0;
  });
  afterEach(async () => {
    for (const registry of opened) await registry[Symbol.asyncDispose]();
  });
  const another = async (): Promise<Registry> => {
    const registry = await open(path);
    opened.push(registry);
    return registry;
  };

  test("survives a restart, with the ends of its keys", async () => {
    const before = await another();
    await before.put("service:game:a", `{"address":"10.0.0.5:7000"}`);
    await before.put("worker:1", "a", { ttlMs: 4_000 });
    await before.put("worker:2", "b", { ttlMs: 60_000 });
    await before[Symbol.asyncDispose]();
    const after = await another();
    expect(Object.fromEntries(await after.list(""))).toEqual({
      "service:game:a": `{"address":"10.0.0.5:7000"}`,
      "worker:1": "a",
      "worker:2": "b",
    });
    await eventually(async () => expect([...(await after.list("worker:")).keys()]).toEqual(["worker:2"]));
  });
  test("tells other processes of changes at once", async () => {
    const [one, other] = [await another(), await another()];
    const stop = new AbortController();
    const seen: Change[] = [];
    const reading = (async () => {
      for await (const change of other.watch("k", stop.signal)) seen.push(change);
    })();
    await one.put("k1", "1");
    await eventually(() => expect(seen).toEqual([{ key: "k1", value: "1" }]));
    await one.put("k1", "2", { ttlMs: 60_000 });
    await eventually(() => expect(seen).toHaveLength(2));
    await one.delete("k1");
    await eventually(() => expect(seen.at(-1)).toEqual({ key: "k1", value: undefined }));
    stop.abort();
    await reading;
  });
  test("loses nothing when several write at once", async () => {
    const all = await Promise.all([another(), another(), another()]);
    const writes = Array.from({ length: 30 }, (_, index) => all[index % 3]?.put(`key:${index}`, String(index)));
    await Promise.all(writes);
    for (const registry of all) await eventually(async () => expect((await registry.list("key:")).size).toBe(30));
  });
  test("has made all changes when it has ended, however many wait", async () => {
    const registry = await another();
    let done = 0;
    const puts = Array.from({ length: many }, (_, index) => registry.put(`key:${index}`, "v", { ttlMs: 60_000 }));
    for (const put of puts) void put.then(() => done++);
    await registry[Symbol.asyncDispose]();
    expect(done).toBe(many);
    expect((await (await another()).list("key:")).size).toBe(many);
  });
  test("makes changes of one key in their order, each answered as if it had been made alone", async () => {
    const registry = await another();
    const changes = [
      registry.delete("a"),
      registry.put("a", "1", { ttlMs: 60_000 }),
      registry.put("other", "1"),
      registry.delete("a"),
      registry.delete("a"),
      registry.put("a", "2"),
      registry.put("a", "3", { ttlMs: 50_000 }),
      registry.delete("other"),
      registry.put("a", "4", { ttlMs: 70_000 }),
    ];
    expect(await Promise.all(changes)).toEqual([
      false,
      undefined,
      undefined,
      true,
      false,
      undefined,
      undefined,
      true,
      undefined,
    ]);
    for (const one of [registry, await another()]) expect([...(await one.list(""))]).toEqual([["a", "4"]]);
    if (path.endsWith(".json")) return;
    expect(readdirSync(path)).toEqual([expect.stringMatching(/^a~\d{13}$/)]);
  });
  test("tells each who waits when nothing can be written, and nobody who comes later", async () => {
    const registry = await another();
    await registry.put("before", "1");
    rmSync(path, { recursive: true });
    if (path.endsWith(".json")) mkdirSync(path);
    else writeFileSync(path, "");
    const changes = [registry.put("a", "1"), registry.delete("before"), registry.put("b", "1")];
    const results = await Promise.allSettled(changes);
    expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    rmSync(path, { recursive: true });
    await registry.put("later", "1");
    expect([...(await (await another()).list("")).keys()]).toEqual(["later"]);
  });
  test("keeps keys of any sign", async () => {
    const keys = ["a/b", "..", ".hidden", "a~1790000000000", "ü ✓", "%41", "A*?'()!", "__proto__", "constructor"];
    const registry = await another();
    for (const key of keys) await registry.put(key, key, { ttlMs: 60_000 });
    for (const key of keys) await registry.put(key, key);
    const found = await (await another()).list("");
    expect([...found].sort()).toEqual(keys.map((key) => [key, key]).sort());
  });
  test("says when it cannot be read, and goes on with what it knew", async () => {
    const registry = await another();
    await registry.put("kept", "1");
    const broken = path.endsWith(".json") ? path : join(path, "x");
    if (broken === path) {
      writeFileSync(path, "{ not json");
      await eventually(() => expect(warnings).toEqual([expect.stringContaining(`what was known stays: ${path}: `)]));
      await expect(registry.put("more", "1")).rejects.toThrow(path); // the work of whoever edits is not overwritten
    } else {
      rmSync(path, { recursive: true });
      await eventually(() => expect(warnings).toEqual([expect.stringContaining("what was known stays: ENOENT")]));
    }
    expect(await registry.get("kept")).toBe("1");
  });
});

describe("a registry in a folder", () => {
  test("has a file per key, which people write and take away", async () => {
    const folder = fresh();
    const registry = await open(folder);
    await registry.put("service:game:a", "{}");
    await registry.put("worker:1", "x", { ttlMs: 60_000 });
    expect(readdirSync(folder).sort()).toEqual(["service:game:a", expect.stringMatching(/^worker:1~\d{13}$/)]);
    writeFileSync(join(folder, "service:game:b"), `{"address":"h:1"}\n`);
    await eventually(async () => expect(await registry.get("service:game:b")).toBe(`{"address":"h:1"}\n`));
    rmSync(join(folder, "service:game:b"));
    await eventually(async () => expect(await registry.get("service:game:b")).toBeUndefined());
    await registry[Symbol.asyncDispose]();
  });
  test("tells each writer as soon as its key is there, without those that wait behind it", async () => {
    const folder = fresh();
    await using registry = await open(folder);
    const files = (): number => readdirSync(folder).filter((name) => name.startsWith("key")).length;
    const found = await Promise.all(
      Array.from({ length: 200 }, async (_, index) => {
        await registry.put(`key${index}`, "v");
        expect(readFileSync(join(folder, `key${index}`), "utf8")).toBe("v");
        return files() - index;
      }),
    );
    expect(Math.max(...found)).toBeLessThan(10);
  });
  test("is not listed anew for each change", async () => {
    const folder = fresh();
    await using registry = await open(folder);
    let listings = 0;
    using _listings = overhearing("readdir", (path) => void (path === folder && listings++));
    await Promise.all(Array.from({ length: 200 }, (_, index) => registry.put(`key${index}`, "v", { ttlMs: 60_000 })));
    expect(listings).toBeGreaterThan(0);
    expect(listings).toBeLessThan(20); // what is seen of its own changes is among them
  });
  test("is not read anew before writers had twice the time that the last reading took", async () => {
    const folder = fresh();
    for (let index = 0; index < 2_000; index++) writeFileSync(join(folder, `key${index}`), "v");
    await using registry = await open(folder);
    const readings: { readonly began: number; ended: number }[] = [];
    let looks = 0;
    using _looks = overhearing("stat", () => {
      const now = performance.now();
      if (looks++ % 2_000 === 0) readings.push({ began: now, ended: now });
      const reading = readings.at(-1);
      if (reading) reading.ended = now;
    });
    while (readings.length < 5) await registry.put("key7", String(readings.length));
    for (const [index, { began, ended }] of readings.slice(0, 4).entries()) {
      const next = readings[index + 1]?.began ?? 0;
      expect(next - ended).toBeGreaterThanOrEqual(2 * (ended - began));
    }
  });
  test("tells the writer of a key whose file cannot be made, nobody else, and leaves nothing half done", async () => {
    const folder = fresh();
    await using registry = await open(folder);
    mkdirSync(join(folder, "b", "in the way"), { recursive: true });
    const changes = ["a", "b", "c", "b", "d"].map((key) => registry.put(key, "1"));
    const results = await Promise.allSettled([...changes, registry.delete("b"), registry.delete("a")]);
    expect(results.map(({ status }) => status === "fulfilled")).toEqual([true, false, true, false, true, false, true]);
    expect(readdirSync(folder).sort()).toEqual(["b", "c", "d"]);
    rmSync(join(folder, "b"), { recursive: true });
    await registry.put("b", "2");
    expect(Object.fromEntries(await registry.list(""))).toEqual({ b: "2", c: "1", d: "1" });
  });
  test("sweeps away what is over and what a killed writer has left", async () => {
    const folder = fresh();
    const part = join(folder, ".123e4567-e89b-12d3-a456-426614174000.part");
    writeFileSync(part, "half");
    utimesSync(part, 1_000, 1_000);
    writeFileSync(join(folder, `gone~${Date.now() - 1}`), "1");
    const registry = await open(folder);
    await registry.put("soon", "1", { ttlMs: 30 });
    expect(await registry.get("gone")).toBeUndefined();
    await eventually(() => expect(readdirSync(folder).filter((name) => !name.startsWith("gone"))).toEqual([]));
    await registry[Symbol.asyncDispose]();
  });
  test("believes the younger of two files for one key", async () => {
    const folder = fresh();
    writeFileSync(join(folder, "a"), "old");
    utimesSync(join(folder, "a"), 1_000, 1_000);
    writeFileSync(join(folder, `a~${Date.now() + 60_000}`), "new");
    const registry = await open(folder);
    expect(await registry.get("a")).toBe("new");
    await registry[Symbol.asyncDispose]();
  });
  test.each(["", "\ud800", "x".repeat(240)])("has no file for the key %j", async (key) => {
    await using registry = await open(fresh());
    const others = [registry.put("before", "1"), registry.put(key, ""), registry.put("behind", "1")];
    const results = await Promise.allSettled(others);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    await expect(registry.put(key, "")).rejects.toThrow(TypeError);
  });
});

describe("a registry in a JSON file", () => {
  test("is what people write, and stays readable", async () => {
    const path = join(fresh(), "keys.json");
    writeFileSync(
      path,
      `{ "service:game:a": { "address": "h:1", "weight": 2 }, "note": "text", "old": { "$value": "x", "$expires": "2020-01-01T00:00:00Z" } }`,
    );
    const registry = await open(path);
    expect(Object.fromEntries(await registry.list(""))).toEqual({
      "service:game:a": `{"address":"h:1","weight":2}`,
      note: "text",
    });
    await registry.put("service:game:b", `{"address":"h:2"}`);
    await registry.put("service:game:c", `{ "address":"h:3"}`);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      "service:game:a": { address: "h:1", weight: 2 },
      note: "text",
      "service:game:b": { address: "h:2" },
      "service:game:c": `{ "address":"h:3"}`,
    });
    await registry[Symbol.asyncDispose]();
  });
  test("is written as JSON.stringify writes it, whatever is in it", async () => {
    const path = join(fresh(), "keys.json");
    const all = { "a\nb": "c\nd", n: 7, empty: {}, list: [1, [], { a: '\u2028"' }], deep: { a: { b: [null] } } };
    writeFileSync(path, JSON.stringify(all));
    await using registry = await open(path);
    const expected = (keys: object): string => `${JSON.stringify(keys, undefined, 2)}\n`;
    await registry.put("own", `{"x":{"y":"\\n"}}`);
    expect(readFileSync(path, "utf8")).toBe(expected({ ...all, own: { x: { y: "\n" } } }));
    await registry.put("own", "text");
    await registry.delete("list");
    const { list: _list, ...rest } = all;
    expect(readFileSync(path, "utf8")).toBe(expected({ ...rest, own: "text" }));
    for (const key of [...Object.keys(rest), "own"]) await registry.delete(key);
    expect(readFileSync(path, "utf8")).toBe("{}\n");
  });
  test("is written a few times for many changes at once, each of which is in it when it is answered, in their order", async () => {
    const path = join(fresh(), "keys.json");
    await using registry = await open(path);
    let renames = 0;
    const watcher = watch(
      join(path, ".."),
      (event, name) => void (event === "rename" && name === "keys.json" && renames++),
    );
    const written = (): object => JSON.parse(readFileSync(path, "utf8"));
    const puts = Array.from({ length: 500 }, async (_, index) => {
      await registry.put(`key:${index}`, "v");
      if (index % 100 === 0) expect(written()).toHaveProperty([`key:${index}`], "v");
    });
    const others = [registry.put("one", "1"), registry.delete("one"), registry.delete("one"), registry.put("one", "2")];
    expect(await Promise.all(others)).toEqual([undefined, true, false, undefined]);
    await Promise.all(puts);
    expect(Object.keys(written())).toHaveLength(501);
    expect(written()).toHaveProperty(["one"], "2");
    await eventually(() => expect(renames).toBeGreaterThan(0));
    expect(renames).toBeLessThan(10);
    watcher.close();
  });
  test("is written by hand between two changes, and nothing of that is lost", async () => {
    const path = join(fresh(), "keys.json");
    await using registry = await open(path);
    for (let count = 0; count < 20; count++) {
      await registry.put("own", `v${count}`);
      const keys = JSON.parse(readFileSync(path, "utf8"));
      writeFileSync(path, JSON.stringify({ ...keys, [`hand${count}`]: "x" }));
    }
    await registry.put("own", "last");
    expect(Object.keys(JSON.parse(readFileSync(path, "utf8")))).toHaveLength(21);
  });
  test.each(["keys.json.lock", "keys.json.123e4567-e89b-12d3-a456-426614174000.lock"])(
    "is written beside a folder %s, which is nobody's turn and stays",
    async (lock) => {
      const path = join(fresh(), "keys.json");
      const beside = join(path, "..", lock);
      mkdirSync(join(beside, "something"), { recursive: true });
      for (const ageMs of [0, 10_000]) {
        const before = (Date.now() - ageMs) / 1_000;
        utimesSync(beside, before, before);
        const registry = await open(path);
        await registry.put(`aged ${ageMs}`, "v");
        await registry[Symbol.asyncDispose]();
      }
      expect(readdirSync(beside)).toEqual(["something"]);
    },
  );
  test("is written at once beside a file of another program whose name ends in .lock", async () => {
    const path = join(fresh(), "keys.json");
    writeFileSync(`${path}.lock`, "");
    const registry = await open(path);
    await registry.put("key", "v");
    await registry[Symbol.asyncDispose]();
    expect(readdirSync(join(path, "..")).sort()).toEqual(["keys.json", "keys.json.lock"]);
  });
  test("goes on after a writer that died with its turn, and none of those who wait undoes what another has written", async () => {
    const lock = "keys.json.123e4567-e89b-12d3-a456-426614174000.lock";
    for (let round = 0; round < 10; round++) {
      const path = join(fresh(), "keys.json");
      const all = await Promise.all(Array.from({ length: 6 }, () => open(path)));
      writeFileSync(join(path, "..", lock), "half of i");
      const before = Date.now() / 1_000 - 10;
      utimesSync(join(path, "..", lock), before, before);
      await Promise.all(all.map((registry, index) => registry.put(`key:${index}`, "v")));
      for (const registry of all) await registry[Symbol.asyncDispose]();
      expect(Object.keys(JSON.parse(readFileSync(path, "utf8"))).sort()).toEqual(all.map((_, index) => `key:${index}`));
      expect(readdirSync(join(path, ".."))).toEqual(["keys.json"]);
    }
  });
  test("is not written by who was stopped for so long that others took the turn", async () => {
    const path = join(fresh(), "keys.json");
    const [late, next] = [await writeTurn(path), "keys.json"];
    const [own = ""] = readdirSync(join(path, ".."));
    utimesSync(join(path, "..", own), 1_000, 1_000);
    await using quick = await writeTurn(path);
    expect(readdirSync(join(path, ".."))).not.toContain(own);
    expect(await late.replace("old")).toBeUndefined();
    await late[Symbol.asyncDispose]();
    expect(readdirSync(join(path, ".."))).toHaveLength(1); // the other's turn is untouched
    expect(await quick.replace("new")).toMatchObject({ size: 3n });
    expect([readdirSync(join(path, "..")), readFileSync(path, "utf8")]).toEqual([[next], "new"]);
  });
  test("is changed anew by who has lost the turn, as it is by then", async () => {
    const path = join(fresh(), "keys.json");
    await using one = await open(path);
    await one.put("a", "1");
    await using other = await open(path);
    let writing: Promise<void> | undefined;
    const heard = (asked: unknown): void => {
      const own = readdirSync(join(path, "..")).find((name) => name.endsWith(".lock"));
      if (asked !== path || own === undefined || writing !== undefined) return;
      rmSync(join(path, "..", own)); // as if it were old
      writing = other.put("b", "2");
    };
    {
      using _ = overhearing("stat", heard);
      await one.put("c", "3");
    }
    await writing;
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ a: "1", b: "2", c: "3" });
  });
  test.each([`[]`, `{"a":{"$value":"","$expires":"soon"}}`, `{`])("is not begun with %s", async (text) => {
    const path = join(fresh(), "keys.json");
    writeFileSync(path, text);
    await expect(open(path)).rejects.toThrow();
  });
});

test("keys that there is no room for are ignored with one warning, until there is", async () => {
  const path = join(fresh(), "keys.json");
  const write = (from: number): void => {
    const keys = Array.from({ length: 100_002 - from }, (_, index) => [`key:${index + from}`, "v"]);
    writeFileSync(path, JSON.stringify(Object.fromEntries(keys)));
  };
  warnings.length = 0;
  write(0);
  const registry = await open(path);
  expect((await registry.list("key:")).size).toBe(100_000);
  expect(warnings).toEqual(["2 keys are ignored: more than 100000"]);
  await expect(registry.put("one more", "v")).rejects.toThrow("registry is full");
  write(7);
  await eventually(async () => expect((await registry.list("key:")).size).toBe(99_995));
  expect(await registry.get("key:100001")).toBe("v");
  expect(warnings).toHaveLength(1);
  await registry[Symbol.asyncDispose]();
});
