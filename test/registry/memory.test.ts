import { expect, test, vi } from "vitest";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { registryLaws } from "../laws/registry-laws.ts";

registryLaws("memory", async () => memoryRegistry());

const forever = new AbortController().signal;

test("a reader that is too far behind is told so instead of filling memory", async () => {
  const registry = memoryRegistry();
  const watch = registry.watch("", forever);
  for (let index = 0; index <= 10_000; index++) await registry.put(`key:${index}`, "");
  const reading = async (): Promise<void> => {
    for await (const { key } of watch) expect(key).toBe("nothing is read");
  };
  await expect(reading()).rejects.toThrow("more than 10000 changes unread");
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
