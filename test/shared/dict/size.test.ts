import { describe, expect, test } from "vitest";
import { BLOCK_BYTES, CONTROL_WORDS, layoutOf } from "../../../src/shared/dict/layout.ts";
import { dictBytesOf } from "../../../src/shared/dict/size.ts";

test.each([
  ["8k", 8_192],
  ["8192", 8_192],
  ["100K", 102_400],
  ["10m", 10_485_760],
  ["1g", 1_073_741_824],
  ["4096M", 4_294_967_296],
])("%s is %i bytes", (size, bytes) => {
  expect(dictBytesOf(size)).toBe(bytes);
});

test.each(["", "7k", "8191", "-1m", "1.5m", "10mb", " 10m", "10 m", "m", "4097m", "1t", "0x10000", "9".repeat(20)])(
  "%o is no size",
  (size) => {
    const words = `invalid shared dict size "${size}": expected "8k" to "4g", like "10m"`;
    expect(() => dictBytesOf(size)).toThrow(new TypeError(words));
  },
);

describe.each([8_192, 12_288, 102_400, 999_999, 10 * 2 ** 20, 100 * 2 ** 20, 2 ** 32])(
  "a layout of %i bytes",
  (size) => {
    const layout = layoutOf(size);
    test("uses all of it that fits into one buffer of Node, and no more", () => {
      const used = layout.totalBytes - CONTROL_WORDS * 4;
      const usable = Math.min(size, 2 ** 32 - CONTROL_WORDS * 4);
      expect(used).toBeLessThanOrEqual(usable);
      expect(usable - used).toBeLessThan(BLOCK_BYTES * layout.shards);
    });
    test("has room for what is in it", () => {
      const words = 32 + layout.buckets + layout.blocks * 32;
      expect(words).toBeLessThanOrEqual(layout.shardWords);
      expect(layout.blocks * BLOCK_BYTES).toBeGreaterThan((size / layout.shards) * 0.9);
      expect(Math.log2(layout.buckets) % 1).toBe(0);
    });
  },
);

test.each([
  ["15m", 1],
  ["16m", 4],
  ["100m", 16],
  ["1g", 256],
  ["4g", 256],
])("%s has %i shards", (size, shards) => {
  expect(layoutOf(dictBytesOf(size)).shards).toBe(shards);
});
