import fc from "fast-check";
import { expect, test } from "vitest";
import { divide, type Use } from "../../../src/stream/limits/shares.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const busy = (allowed: number): Use => ({ moved: allowed, allowed });
const FRESH: Use = { moved: undefined, allowed: 0 };

test.each<[string, readonly Use[], readonly number[]]>([
  ["one has all", [FRESH], [1_000]],
  ["new ones have equal parts", [FRESH, FRESH, FRESH, FRESH], [250, 250, 250, 250]],
  ["busy ones have equal parts", [busy(100), busy(900)], [500, 500]],
  ["what one does not use, the other has", [{ moved: 50, allowed: 500 }, busy(500)], [100, 900]],
  [
    "one that sleeps has an eighth of its part, to wake up with",
    [{ moved: 0, allowed: 500 }, busy(500)],
    [62.5, 937.5],
  ],
  [
    "those who sleep have equal parts",
    [
      { moved: 0, allowed: 9 },
      { moved: 0, allowed: 9 },
    ],
    [500, 500],
  ],
])("%s", (_name, uses, shares) => {
  expect(divide(1_000, uses)).toEqual(shares);
});

test("a division is never more than the rate, nor less, and nobody has nothing", () => {
  const use = fc.record({
    moved: fc.option(fc.double({ min: 0, max: 1e9, noNaN: true }), { nil: undefined }),
    allowed: fc.double({ min: 0, max: 1e9, noNaN: true }),
  });
  const uses = fc.array(use, { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(fc.double({ min: 1, max: 1e10, noNaN: true }), uses, (rate, uses) => {
      const shares = divide(rate, uses);
      expect(sum(shares) / rate).toBeCloseTo(1, 9);
      expect(Math.min(...shares)).toBeGreaterThan(rate / uses.length / 8.001);
    }),
    { numRuns: RUNS },
  );
});
