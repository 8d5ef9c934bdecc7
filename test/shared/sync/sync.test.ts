import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { attachDicts, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { WorkerEvents } from "../../../src/shared/events/events.ts";
import { localTransport } from "../../../src/shared/events/local-transport.ts";
import { EventRelay } from "../../../src/shared/events/relay.ts";
import type { SyncSource, VersionedData } from "../../../src/shared/sync/source.ts";
import { type SyncOptions, sync } from "../../../src/shared/sync/sync.ts";
import { eventually } from "../../support/eventually.ts";
import { ended, processes } from "../processes.ts";
import type { SyncTask } from "./sync-process.ts";

function dictOf({ dicts }: { dicts: Readonly<Record<string, SharedDict>> }): SharedDict {
  const { dict } = dicts;
  if (dict === undefined) throw new Error("it was opened above");
  return dict;
}

/** A source that a test changes and breaks. */
class Origin {
  readonly id = "origin";
  loads = 0;
  data: VersionedData = { version: "1", entries: new Map([["key", "one"]]) };
  failure: Error | undefined;
  timeoutMs: number | undefined;

  async load(known: string | undefined): Promise<VersionedData | undefined> {
    this.loads++;
    if (this.failure) throw this.failure;
    if (this.timeoutMs !== undefined) await sleep(60_000, undefined, { ref: false });
    return known === this.data.version ? undefined : this.data;
  }

  change(version: string, entries: Readonly<Record<string, string>>): void {
    this.data = { version, entries: new Map(Object.entries(entries)) };
  }
}

/** One copy in each of two workers. */
function rig(options: Partial<SyncOptions> = {}, size = "1m") {
  const opened = openDicts({ dict: size }, { isShared: true });
  const source = new Origin();
  const dicts = [dictOf(opened), dictOf(attachDicts(opened.handles))] as const;
  const open = (worker: 0 | 1, from: SyncSource = source) => {
    return sync("prices", { dict: dicts[worker], source: from, intervalMs: 5, ...options });
  };
  return { source, open, dict: dicts[0] };
}

describe("a copy", () => {
  test("has what the source has, in all workers, though one asks", async () => {
    const { source, open } = rig();
    await using here = open(0);
    expect([here.version(), here.lastModified(), here.get("key"), here.data().size]).toEqual([
      undefined,
      undefined,
      undefined,
      0,
    ]);
    await here.ready();
    await using there = open(1);
    await there.ready();
    expect([there.version(), there.get("key"), there.get("other")]).toEqual(["1", "one", undefined]);
    expect(Math.abs(Date.now() - (there.lastModified() ?? 0))).toBeLessThan(10_000);
    expect([here.isOwner, there.isOwner]).toEqual([true, false]);
    source.change("2", { key: "two" });
    await eventually(() => expect(there.get("key")).toBe("two"));
    expect(here.version()).toBe("2");
  });

  test("changes as a whole: what was handed out stays as it was", async () => {
    const { source, open } = rig();
    await using copy = open(0);
    await copy.ready();
    const before = copy.data();
    source.change("2", { other: "two" });
    await eventually(() => expect(copy.version()).toBe("2"));
    expect([...before]).toEqual([["key", "one"]]);
    expect([...copy.data()]).toEqual([["other", "two"]]);
  });

  test("tells listeners of each version once, in the worker that asks and in the others", async () => {
    const relay = new EventRelay();
    const [first, second] = [0, 1].map(
      (number) => new WorkerEvents({ transport: localTransport(relay, number), number }),
    );
    const opened = openDicts({ dict: "1m" }, { isShared: true });
    const source = new Origin();
    await using here = sync("prices", { dict: dictOf(opened), source, intervalMs: 5, events: first });
    await using there = sync("prices", {
      dict: dictOf(attachDicts(opened.handles)),
      source,
      intervalMs: 5,
      events: second,
    });
    const told: string[] = [];
    here.onChange((_data, version) => told.push(`here ${version}`));
    there.onChange((data, version) => told.push(`there ${version} ${data.get("key")}`));
    const leave = there.onChange(() => told.push("left"));
    leave();
    const controller = new AbortController();
    there.onChange(() => told.push("aborted"), { signal: controller.signal });
    controller.abort();
    await eventually(() => expect([...told].sort()).toEqual(["here 1", "there 1 one"]));
    source.change("2", { key: "two" });
    await eventually(() => expect(told.slice(2).sort()).toEqual(["here 2", "there 2 two"]));
  });

  test("tells listeners though nobody else tells of changes, within a second", async () => {
    const { source, open } = rig();
    await using _owner = open(0);
    await using there = open(1);
    await there.ready();
    const told = new Promise<string>((resolve) => {
      there.onChange((_data, version) => resolve(version));
    });
    const begun = performance.now();
    source.change("2", {});
    expect(await told).toBe("2");
    expect(performance.now() - begun).toBeLessThan(10_000); // a second, and what a busy machine takes
  });

  test("stays while the source fails, which is told, and asked less and less often", async () => {
    const troubles: unknown[] = [];
    const { source, open } = rig({ onTrouble: (cause) => troubles.push(cause) });
    await using copy = open(0);
    await copy.ready();
    source.failure = new Error("database is away");
    await eventually(() => expect(troubles.length).toBeGreaterThan(2));
    expect(troubles[0]).toEqual(new Error("database is away"));
    expect(copy.get("key")).toBe("one");
    const loads = source.loads;
    const begun = performance.now();
    await sleep(50);
    expect(source.loads - loads).toBeLessThan((performance.now() - begun) / 10);
    source.failure = undefined;
    source.change("2", { key: "two" });
    await eventually(() => expect(copy.get("key")).toBe("two"));
  });

  test("gives up a load that takes too long", async () => {
    const troubles: unknown[] = [];
    const { source, open } = rig({ onTrouble: (cause) => troubles.push(cause) });
    source.timeoutMs = 20;
    await using _copy = open(0);
    await eventually(() => expect(troubles[0]).toEqual(new Error("no answer within 20 ms")));
  });

  test("goes on in another worker when its owner ends, by its signal or by disposal", async () => {
    const { source, open, dict } = rig();
    const controller = new AbortController();
    const here = sync("prices", { dict, source, intervalMs: 5, signal: controller.signal });
    await using there = open(1);
    await here.ready();
    controller.abort();
    await eventually(() => expect(there.isOwner).toBe(true));
    source.change("2", { key: "two" });
    await eventually(() => expect(there.get("key")).toBe("two"));
    await here[Symbol.asyncDispose]();
    expect(here.isOwner).toBe(false);
    await expect(sync("none", { dict, source, signal: controller.signal }).ready()).rejects.toThrow();
  });

  test("that was evicted comes back, for workers that start later", async () => {
    const { open, dict } = rig();
    await using here = open(0);
    await here.ready();
    for (const what of ["data", "mark"]) dict.delete(`sync:prices:origin:${what}`);
    expect(here.get("key")).toBe("one");
    await using there = open(1);
    await there.ready();
    expect([there.get("key"), there.isOwner]).toEqual(["one", false]);
  });

  test("is not what an owner brings that has lost its place to another one meanwhile", async () => {
    const { dict, open, source } = rig();
    let bring: (data: VersionedData) => void = () => {};
    const slow = new Promise<VersionedData>((resolve) => {
      bring = resolve;
    });
    const late = { id: source.id, load: () => slow };
    await using here = open(0, late);
    await eventually(() => expect(here.isOwner).toBe(true));
    dict.delete(`lock:sync:prices:${source.id}`);
    source.change("2", { key: "two" });
    await using there = open(1);
    await there.ready();
    const versions: string[] = [];
    there.onChange((_data, version) => versions.push(version));
    bring({ version: "1", entries: new Map([["key", "too late"]]) });
    await eventually(() => expect(here.isOwner).toBe(false));
    expect([here.get("key"), there.get("key"), versions]).toEqual(["two", "two", []]);
  });

  test("that has no room in the dictionary is not taken, and the old one stays", async () => {
    const troubles: string[] = [];
    const { source, open } = rig({ onTrouble: (cause) => troubles.push(String(cause)) }, "16k");
    await using copy = open(0);
    await copy.ready();
    source.change("2", { key: "x".repeat(100_000) });
    await eventually(() => expect(troubles[0]).toBe("Error: sync prices: no memory for version 2"));
    expect(copy.get("key")).toBe("one");
  });

  test("of another source is another copy", async () => {
    const { open, dict } = rig();
    await using here = open(0);
    await here.ready();
    const other = Object.assign(new Origin(), {
      id: "other",
      data: { version: "1", entries: new Map([["key", "other"]]) },
    });
    await using there = sync("prices", { dict, source: other });
    await there.ready();
    expect([here.get("key"), there.get("key")]).toEqual(["one", "other"]);
  });

  test.each([
    ["a name", "", 1, "name must be a string"],
    ["an interval", "prices", 0, "interval must be > 0"],
  ])("wants %s", (_name, name, intervalMs, message) => {
    expect(() => sync(name, { dict: dictOf(openDicts({ dict: "1m" })), source: new Origin(), intervalMs })).toThrow(
      new TypeError(message),
    );
  });
});

describe("between processes", () => {
  const { start } = processes("sync/sync-process.ts");
  const LOOKS = process.env["RESTYCONF_LONG"] ? 100_000 : 4_000;

  test("three workers see whole versions only, in their order, from one owner at a time", {
    timeout: 120_000,
  }, async () => {
    const dicts = openDicts({ dict: "4m" }, { isShared: true });
    const dict = dictOf(dicts);
    const children = [1, 2, 3].map(() => start({ looks: LOOKS } satisfies SyncTask, dicts));
    expect(await Promise.all(children.map((child) => ended(child)))).toEqual([0, 0, 0]);
    expect(dict.get("done")).toBe(3);
    expect(["torn", "backwards", "two owners"].map((fault) => dict.get(fault))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(dict.get("version")).toBeGreaterThan(3);
  });

  test("an owner that is killed has a successor within a second", { timeout: 60_000 }, async () => {
    const dicts = openDicts({ dict: "4m" }, { isShared: true });
    const owner = start({ looks: 0 } satisfies SyncTask, dicts);
    await once(owner, "message");
    const source = Object.assign(new Origin(), { id: "numbers" });
    await using copy = sync("numbers", { dict: dictOf(dicts), source });
    await sleep(10);
    expect(copy.isOwner).toBe(false);
    const killedAt = performance.now();
    owner.kill("SIGKILL");
    await eventually(() => expect(copy.isOwner).toBe(true));
    expect(performance.now() - killedAt).toBeLessThan(10_000); // a second, and what a busy machine takes
  });
});
