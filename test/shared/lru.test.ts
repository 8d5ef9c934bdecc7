import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { lru } from "../../src/shared/lru.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const NOTHING = { value: undefined, stale: undefined, flags: 0 };

describe("an lru", () => {
  test.each([["a text"], [false], [0], [null], [{ deep: [1] }], [() => 1]])("keeps %s as it is", (value) => {
    const made = lru<unknown>(2);
    made.set("key", value);
    expect(made.get("key").value).toBe(value);
  });

  test("knows nothing of what was never there, or was deleted", () => {
    const made = lru<number>(2);
    expect(made.get("key")).toEqual(NOTHING);
    made.set("key", 1);
    made.delete("key");
    expect(made.get("key")).toEqual(NOTHING);
    expect(made.count()).toBe(0);
  });

  test("keeps flags, and forgets them with the next value", () => {
    const made = lru<number>(2);
    made.set("key", 1, { flags: 7 });
    expect(made.get("key")).toEqual({ value: 1, stale: undefined, flags: 7 });
    made.set("key", 2);
    expect(made.get("key").flags).toBe(0);
  });

  test("hands out what is stale apart from what is not, and counts it, until something needs its place", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const made = lru<number>(2);
    made.set("key", 1, { ttlMs: 100, flags: 3 });
    vi.advanceTimersByTime(99);
    expect(made.get("key")).toEqual({ value: 1, stale: undefined, flags: 3 });
    vi.advanceTimersByTime(1);
    expect(made.get("key")).toEqual({ value: undefined, stale: 1, flags: 3 });
    expect(made.count()).toBe(1);
    vi.useRealTimers();
  });

  test("drops what was not used for longest, though something else is stale", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    const made = lru<number>(2);
    made.set("stale", 1, { ttlMs: 1 });
    made.set("fresh", 2);
    vi.advanceTimersByTime(10);
    made.get("stale");
    made.set("third", 3);
    expect(made.keys()).toEqual(["third", "stale"]);
    vi.useRealTimers();
  });

  test("tells its keys, the last used first, and forgets them all at once", () => {
    const made = lru<number>(3);
    for (const key of ["a", "b", "c"]) made.set(key, 1);
    made.get("a");
    expect(made.keys()).toEqual(["a", "c", "b"]);
    expect(made.keys(2)).toEqual(["a", "c"]);
    expect(made.keys(0)).toHaveLength(3);
    expect(made.capacity()).toBe(3);
    made.flushAll();
    expect(made.keys()).toEqual([]);
  });

  test.each([
    ["no item", () => lru(0), "expected a number of items from 1 to 16777216, got 0"],
    ["half an item", () => lru(1.5), "expected a number of items from 1 to 16777216, got 1.5"],
    ["a negative time", () => lru(1).set("key", 1, { ttlMs: -1 }), 'bad "ttl" argument'],
    ["negative flags", () => lru(1).set("key", 1, { flags: -1 }), 'bad "flags" argument'],
  ])("throws a TypeError for %s", (_name, call, message) => {
    expect(call).toThrow(new TypeError(message));
  });

  test("keeps exactly what was used last, whatever the sequence of calls", () => {
    const step = fc.record({
      key: fc.constantFrom("a", "b", "c", "d", "e"),
      does: fc.constantFrom("get", "set", "delete"),
    });
    fc.assert(
      fc.property(fc.array(step), fc.integer({ min: 1, max: 4 }), (steps, max) => {
        const made = lru<string>(max);
        let model: string[] = [];
        for (const { key, does } of steps) {
          const others = model.filter((other) => other !== key);
          if (does === "set") made.set(key, key);
          else if (does === "delete") made.delete(key);
          else expect(made.get(key).value).toBe(model.includes(key) ? key : undefined);
          const isKept = does === "set" || (does === "get" && model.includes(key));
          model = (isKept ? [key, ...others] : others).slice(0, max);
          expect(made.keys()).toEqual(model);
        }
      }),
      { numRuns: RUNS },
    );
  });
});
