import { expect, test, vi } from "vitest";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Change } from "../../src/registry/registry.ts";
import { Watch } from "../../src/registry/watch.ts";
import { registryLaws } from "../laws/registry-laws.ts";

registryLaws("memory", async () => memoryRegistry());

const forever = new AbortController().signal;

test("a reader that is far behind is told of all that is another way than he knows, and of nothing else", async () => {
  const registry = memoryRegistry();
  await registry.put("old", "1");
  const watch = registry.watch("", forever);
  for (let index = 0; index < 60_000; index++) await registry.put(`key:${index}`, "1");
  await registry.put("key:7", "2");
  await registry.delete("key:8");
  await registry.delete("old");
  const seen = new Map<string, string | undefined>();
  const reader = watch[Symbol.asyncIterator]();
  while (!seen.has("old")) {
    const { value } = await reader.next();
    seen.set(value.key, value.value);
  }
  expect(seen.size).toBe(60_000);
  expect([seen.get("key:7"), seen.has("key:8"), seen.get("old")]).toEqual(["2", false, undefined]);
  await registry[Symbol.asyncDispose]();
});

test("what comes and goes while nobody reads fills no memory", async () => {
  const told: Change[] = [];
  const watch = new Watch("", forever, () => {});
  for (let index = 0; index < 50_000; index++) {
    watch.push({ key: `key:${index}`, value: "1" }, false);
    watch.push({ key: `key:${index}`, value: undefined }, true);
  }
  watch.push({ key: "end", value: "1" }, false);
  for await (const change of watch.changes()) {
    told.push(change);
    if (told.length === 1) watch.push({ key: "end", value: undefined }, true); // he knows it by now
    if (change.value === undefined) break;
  }
  expect(told).toEqual([
    { key: "end", value: "1" },
    { key: "end", value: undefined },
  ]);
});

test("what was shown before it went fills some memory: a reader that is too far behind is told so, and lists anew", async () => {
  const registry = memoryRegistry();
  const watch = registry.watch("", forever);
  for (let index = 0; index <= 200_000; index++) {
    await registry.put(`key:${index}`, "1");
    await registry.get(`key:${index}`);
    await registry.delete(`key:${index}`);
  }
  await expect(watch[Symbol.asyncIterator]().next()).rejects.toThrow("more than 200000 changes unread");
  await registry[Symbol.asyncDispose]();
});

test("holds a bounded number of keys, and room comes back with time", async () => {
  vi.useFakeTimers();
  try {
    const registry = memoryRegistry();
    for (let index = 0; index < 100_000; index++) await registry.put(`key:${index}`, "", { ttlMs: 1_000 });
    await expect(registry.put("one more", "")).rejects.toThrow("registry is full");
    await registry.put("key:7", "changed", { ttlMs: 1_000 });
    vi.advanceTimersByTime(1_100);
    await registry.put("one more", "");
    expect((await registry.list("")).size).toBe(1);
    await registry[Symbol.asyncDispose]();
  } finally {
    vi.useRealTimers();
  }
});

test("has one timer for all keys, and none when there is nothing to expire", async () => {
  vi.useFakeTimers();
  try {
    const registry = memoryRegistry();
    await registry.put("kept", "");
    expect(vi.getTimerCount()).toBe(0);
    for (const ttlMs of [5_000, 1_000, 3_000, 2 ** 40]) await registry.put(`key:${ttlMs}`, "", { ttlMs });
    expect(vi.getTimerCount()).toBe(1);
    vi.advanceTimersByTime(6_000);
    expect((await registry.list("")).size).toBe(2);
    expect(vi.getTimerCount()).toBe(1);
    await registry[Symbol.asyncDispose]();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
