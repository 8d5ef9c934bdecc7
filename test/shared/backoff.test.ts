import fc from "fast-check";
import { expect, test } from "vitest";
import { backoffMs } from "../../src/shared/backoff.ts";
import { TIMING } from "../../src/worker/link/limits.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

test("waits twice as long after each failure, up to the longest", () => {
  const waits = [1, 2, 3, 6, 7, 1_000_000].map((failures) => backoffMs(failures, TIMING, () => 1));
  expect(waits).toEqual([250, 500, 1_000, 8_000, 10_000, 10_000]);
});

test("half of each wait is random", () => {
  const wait = fc.record({
    failures: fc.integer({ min: 1, max: 40 }),
    random: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(wait, ({ failures, random }) => {
      const longest = backoffMs(failures, TIMING, () => 1);
      const ms = backoffMs(failures, TIMING, () => random);
      expect(ms).toBeGreaterThanOrEqual(Math.floor(longest / 2));
      expect(ms).toBeLessThanOrEqual(longest);
    }),
    { numRuns: RUNS },
  );
  const waits = new Set(Array.from({ length: 100 }, () => backoffMs(6, TIMING)));
  expect(waits.size).toBeGreaterThan(50);
});
