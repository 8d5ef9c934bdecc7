import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Change, Registry } from "../../src/registry/registry.ts";

/** Short enough to wait for, long enough for a registry behind a network, on a busy machine: who misses the key misses its end. */
const TTL_MS = 1_000;

/** What a folder with a file each, or a node of a Cluster, takes within a few seconds. */
const MANY_KEYS = 300;

/** What every registry must obey, wherever it keeps its keys. `open` answers an empty one. */
export function registryLaws(name: string, open: () => Promise<Registry>): void {
  describe(`registry ${name}`, () => {
    let registry: Registry;
    let stop: AbortController;
    beforeEach(async () => {
      registry = await open();
      stop = new AbortController();
    });
    afterEach(async () => {
      stop.abort();
      await registry[Symbol.asyncDispose]();
    });

    describe("keys", () => keyLaws(() => registry));
    describe("time to live", () => ttlLaws(() => ({ registry, signal: stop.signal })));
    describe("watch", () => watchLaws(() => ({ registry, stop })));
  });
}

function keyLaws(current: () => Registry): void {
  test("answers what was put last", async () => {
    const registry = current();
    await registry.put("a", "1");
    await registry.put("a", "2");
    expect(await registry.get("a")).toBe("2");
  });
  test("has no value for a key that was never put", async () => {
    expect(await current().get("nothing")).toBeUndefined();
  });
  test("keeps values as they are, empty ones and any script", async () => {
    const registry = current();
    for (const value of ["", "{}", "ünï ✓ 🎮", "a\r\nb\0c"]) {
      await registry.put("value", value);
      expect(await registry.get("value")).toBe(value);
    }
  });
  test("says whether there was something to delete", async () => {
    const registry = current();
    await registry.put("a", "1");
    expect(await registry.delete("a")).toBe(true);
    expect(await registry.delete("a")).toBe(false);
    expect(await registry.get("a")).toBeUndefined();
  });
  test("lists what begins with the prefix, and nothing else", async () => {
    const registry = current();
    for (const key of ["service:game:1", "service:game:2", "service:games:1", "service:gam", "other"]) {
      await registry.put(key, key);
    }
    const found = await registry.list("service:game:");
    expect(Object.fromEntries(found)).toEqual({
      "service:game:1": "service:game:1",
      "service:game:2": "service:game:2",
    });
    expect(await registry.list("none:")).toEqual(new Map());
    expect((await registry.list("")).size).toBe(5);
  });
  test.each(["a*", "a?", "a[bc]", "a\\"])("takes the prefix %s as text, not as a pattern", async (prefix) => {
    const registry = current();
    await registry.put("ab:1", "no");
    await registry.put(`${prefix}:1`, "yes");
    expect([...(await registry.list(prefix)).values()]).toEqual(["yes"]);
  });
  test("refuses a value of more than 64 KiB, which others would ignore", async () => {
    const registry = current();
    const longest = "é".repeat(32_768);
    await registry.put("a", longest);
    await expect(registry.put("a", `${longest}x`)).rejects.toThrow(TypeError);
    expect(await registry.get("a")).toBe(longest);
  });
  test("gives out lists that later changes do not touch", async () => {
    const registry = current();
    await registry.put("a", "1");
    const before = await registry.list("");
    await registry.put("b", "2");
    expect(before.size).toBe(1);
  });
}

function ttlLaws(current: () => { registry: Registry; signal: AbortSignal }): void {
  test("a key goes away when its time is over, and watchers hear of it", async () => {
    const { registry, signal } = current();
    const changes = read(registry.watch("", signal));
    const isGone = changes.until("lease", undefined);
    await registry.put("lease", "mine", { ttlMs: TTL_MS });
    await registry.put("kept", "mine");
    expect(await isGone).toBe(true);
    expect(await registry.get("lease")).toBeUndefined();
    expect([...(await registry.list("")).keys()]).toEqual(["kept"]);
    expect(await registry.delete("lease")).toBe(false);
  });
  test("a key that is put again in time stays, and that is no change", async () => {
    const { registry, signal } = current();
    const changes = read(registry.watch("", signal));
    await registry.put("beat", "alive", { ttlMs: 4 * TTL_MS });
    for (const clock of ["first", "second"]) {
      const isOver = changes.until(clock, undefined);
      await registry.put(clock, "", { ttlMs: 2.2 * TTL_MS });
      await isOver;
      await registry.put("beat", "alive", { ttlMs: 4 * TTL_MS });
    }
    expect(await registry.get("beat")).toBe("alive");
    await registry.put("end", "");
    expect(await changes.until("end", "")).toBe(true);
    expect(changes.seen.filter(({ key }) => key === "beat")).toEqual([{ key: "beat", value: "alive" }]);
  });
  test("a put without time to live takes an earlier one away", async () => {
    const { registry, signal } = current();
    const changes = read(registry.watch("", signal));
    await registry.put("a", "1", { ttlMs: TTL_MS / 2 });
    await registry.put("a", "1");
    const isOver = changes.until("clock", undefined);
    await registry.put("clock", "", { ttlMs: TTL_MS });
    expect(await isOver).toBe(true);
    expect(await registry.get("a")).toBe("1");
  });
  test("a time to live of infinity is none", async () => {
    const { registry } = current();
    await registry.put("a", "1", { ttlMs: Number.POSITIVE_INFINITY });
    expect(await registry.get("a")).toBe("1");
  });
  test.each([0, -1, Number.NaN])("refuses %s as a time to live", async (ttlMs) => {
    await expect(current().registry.put("a", "1", { ttlMs })).rejects.toThrow(TypeError);
  });
}

function watchLaws(current: () => { registry: Registry; stop: AbortController }): void {
  test("tells of puts and deletes in order, from the call on", async () => {
    const { registry, stop } = current();
    await registry.put("p:old", "1");
    const watch = registry.watch("p:", stop.signal);
    await registry.put("p:a", "1"); // before anybody reads
    const changes = read(watch);
    await registry.put("q:a", "1");
    await changes.until("p:a", "1");
    await registry.put("p:old", "2");
    await changes.until("p:old", "2");
    await registry.delete("p:a");
    await changes.until("p:a", undefined);
    expect(changes.seen).toEqual([
      { key: "p:a", value: "1" },
      { key: "p:old", value: "2" },
      { key: "p:a", value: undefined },
    ]);
  });
  test("answers those who watch what was put before and since", async () => {
    const { registry, stop } = current();
    await registry.put("p:before", "1");
    const changes = read(registry.watch("p:", stop.signal));
    expect(Object.fromEntries(await registry.list("p:"))).toEqual({ "p:before": "1" });
    await registry.put("p:since", "2", { announce: false });
    expect(Object.fromEntries(await registry.list("p:"))).toEqual({ "p:before": "1", "p:since": "2" });
    expect(Object.fromEntries(await registry.list("p:s"))).toEqual({ "p:since": "2" });
    expect(await registry.get("p:before")).toBe("1");
    expect(await registry.get("p:none")).toBeUndefined();
    expect(await changes.until("p:since", "2")).toBe(true);
    expect(await registry.delete("p:before")).toBe(true);
    expect(await registry.get("p:before")).toBeUndefined();
    expect(await changes.until("p:before", undefined)).toBe(true);
  });
  test("always ends with the last value, however slow the reader is", async () => {
    const { registry, stop } = current();
    const watch = registry.watch("", stop.signal);
    for (let count = 0; count <= 100; count++) await registry.put("count", String(count));
    const changes = read(watch);
    expect(await changes.until("count", "100")).toBe(true);
  });
  test("never ends because its reader is slow, and tells him of all that is not as he knows it", async () => {
    const { registry, stop } = current();
    const watch = registry.watch("many:", stop.signal);
    const keys = Array.from({ length: MANY_KEYS }, (_, index) => `many:${index}`);
    await Promise.all(keys.map((key) => registry.put(key, "1")));
    await registry.delete("many:0");
    await registry.put("many:1", "2");
    await registry.put("many:end", "");
    const changes = read(watch);
    expect(await changes.until("many:end", "")).toBe(true);
    const known = new Map(changes.seen.map(({ key, value }) => [key, value]));
    expect(known.size).toBe(keys.length);
    expect([known.has("many:0"), known.get("many:1"), known.get("many:2")]).toEqual([false, "2", "1"]);
  });
  test("tells a slow reader that a key is gone which he knows from elsewhere, and nothing of one that nobody was shown", async () => {
    const { registry, stop } = current();
    const watch = registry.watch("p:", stop.signal);
    await registry.put("p:listed", "1");
    expect([...(await registry.list("p:l")).keys()]).toEqual(["p:listed"]);
    await registry.put("p:got", "1");
    expect(await registry.get("p:got")).toBe("1");
    await registry.put("p:unknown", "1");
    for (const key of ["p:listed", "p:got", "p:unknown"]) await registry.delete(key);
    await registry.put("p:end", "");
    const changes = read(watch);
    expect(await changes.until("p:end", "")).toBe(true);
    expect(changes.seen).toEqual([
      { key: "p:listed", value: undefined },
      { key: "p:got", value: undefined },
      { key: "p:end", value: "" },
    ]);
  });
  test("tells each watcher", async () => {
    const { registry, stop } = current();
    const all = [read(registry.watch("a", stop.signal)), read(registry.watch("", stop.signal))];
    await registry.put("a", "1");
    for (const changes of all) expect(await changes.until("a", "1")).toBe(true);
  });
  test("ends when the signal aborts, also while somebody waits", async () => {
    const { registry, stop } = current();
    const waiting = read(registry.watch("", stop.signal));
    stop.abort();
    expect(await waiting.until("never", "")).toBe(false);
    expect(await read(registry.watch("", stop.signal)).until("never", "")).toBe(false);
  });
  test("ends when the registry closes", async () => {
    const { registry, stop } = current();
    const waiting = read(registry.watch("", stop.signal));
    await registry[Symbol.asyncDispose]();
    expect(await waiting.until("never", "")).toBe(false);
    await expect(registry.get("a")).rejects.toThrow("closed");
  });
}

/** Reads a watch; `until` answers false when the watch ends first. */
function read(watch: AsyncIterable<Change>): {
  readonly seen: readonly Change[];
  until(key: string, value: string | undefined): Promise<boolean>;
} {
  const seen: Change[] = [];
  const source = watch[Symbol.asyncIterator]();
  return {
    seen,
    async until(key, value) {
      for (let next = await source.next(); !next.done; next = await source.next()) {
        seen.push(next.value);
        if (next.value.key === key && next.value.value === value) return true;
      }
      return false;
    },
  };
}
