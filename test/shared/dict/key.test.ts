import { expect, test } from "vitest";
import { Key } from "../../../src/shared/dict/key.ts";

function hashOf(text: string, seed0 = 1, seed1 = 2): number {
  const key = new Key(seed0, seed1);
  key.set(text);
  return key.hash;
}

const texts = Array.from({ length: 20_000 }, (_, index) => `10.${index >> 8}.${index & 255}.1`);

test("keys that look alike spread over buckets and shards", () => {
  const buckets = new Map<number, number>();
  const shards = new Map<number, number>();
  for (const text of texts) {
    const hash = hashOf(text);
    buckets.set(hash & 16_383, (buckets.get(hash & 16_383) ?? 0) + 1);
    shards.set(hash >>> 26, (shards.get(hash >>> 26) ?? 0) + 1);
  }
  expect(Math.max(...buckets.values())).toBeLessThan(12);
  expect([Math.min(...shards.values()) > 200, Math.max(...shards.values()) < 450]).toEqual([true, true]);
});

test("who shares a bucket depends on the seed, both halves of it", () => {
  const colliding = texts.filter((text) => (hashOf(text) & 255) === 7).slice(0, 50);
  for (const [seed0, seed1] of [
    [9, 2],
    [1, 9],
  ] as const) {
    expect(new Set(colliding.map((text) => hashOf(text, seed0, seed1) & 255)).size).toBeGreaterThan(25);
  }
});

test("keys that differ in length, script or one character have hashes of their own", () => {
  const keys = ["a", "a\0", "a\0\0\0", "aa", "\u0161", "a\u0161", "b", "\u6161", "x".repeat(100), "x".repeat(101)];
  expect(new Set(keys.map((key) => hashOf(key))).size).toBe(keys.length);
});
