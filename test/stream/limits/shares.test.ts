import fc from "fast-check";
import { expect, test } from "vitest";
import { divide, type Want } from "../../../src/stream/limits/shares.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const hungry = (weight = 1): Want => ({ amount: Number.POSITIVE_INFINITY, weight });
const wants = (amount: number): Want => ({ amount, weight: 1 });

test.each<[string, readonly Want[], readonly number[]]>([
  ["one has all", [wants(0)], [800]],
  ["hungry ones have equal parts", [hungry(), hungry(), hungry(), hungry()], [200, 200, 200, 200]],
  [
    "with three times as many sessions one has three times as much, but for what each has anyway",
    [hungry(3), hungry()],
    [575, 225],
  ],
  ["what one does not want, the other has", [wants(100), hungry()], [100, 700]],
  ["one that sleeps has an eighth of its part, to wake up with", [wants(0), hungry()], [50, 750]],
  ["those who sleep have equal parts", [wants(0), wants(0)], [400, 400]],
])("%s", (_name, all, shares) => {
  expect(divide(800, all)).toEqual(shares);
});

test("a division is never more than the whole, nor less, and nobody has nothing", () => {
  const amount = fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.double({ min: 0, max: 1e10, noNaN: true }));
  const all = fc.array(fc.record({ amount, weight: fc.integer({ min: 1, max: 50_000 }) }), {
    minLength: 1,
    maxLength: 50,
  });
  fc.assert(
    fc.property(fc.double({ min: 1, max: 1e10, noNaN: true }), all, (whole, some) => {
      const shares = divide(whole, some);
      expect(sum(shares) / whole).toBeCloseTo(1, 9);
      expect(Math.min(...shares)).toBeGreaterThan(whole / some.length / 8.001);
    }),
    { numRuns: RUNS },
  );
});

test("nobody has less than he wants while another has more than he wants", () => {
  const all = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 20 });
  fc.assert(
    fc.property(all, (amounts) => {
      const shares = divide(1, amounts.map(wants));
      const isPoor = shares.some((share, at) => share < (amounts[at] ?? 0) - 1e-9);
      const least = 1 / amounts.length / 8;
      const isRich = shares.some((share, at) => share > Math.max(amounts[at] ?? 0, least) + 1e-9);
      expect(isPoor && isRich).toBe(false);
    }),
    { numRuns: RUNS },
  );
});
