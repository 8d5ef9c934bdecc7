import fc from "fast-check";
import { expect, test } from "vitest";
import { Delimiter } from "../../src/stream/delimiter.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const text = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom("a", "b"), minLength, maxLength });

/** Length of the longest end of `seen` that is a beginning of `pattern`, by trying all. */
function begun(seen: string, pattern: string): number {
  for (let length = Math.min(seen.length, pattern.length - 1); length > 0; length--) {
    if (seen.endsWith(pattern.slice(0, length))) return length;
  }
  return 0;
}

test("the first occurrence is found, and until then the open bytes are known, in any chunks", () => {
  const input = fc.record({ pattern: text(1, 6), input: text(0, 40), step: fc.integer({ min: 1, max: 7 }) });
  fc.assert(
    fc.property(input, ({ pattern, input, step }) => {
      const delimiter = new Delimiter(Buffer.from(pattern));
      const search = { at: 0, matched: 0, rest: Number.POSITIVE_INFINITY };
      const first = input.indexOf(pattern);
      for (let size = 0; size < input.length + step; size += step) {
        const seen = input.slice(0, size);
        const state = delimiter.advance(Buffer.from(seen), search);
        if (state === "found") {
          expect(search).toMatchObject({ at: first + pattern.length, matched: pattern.length });
          return;
        }
        expect(state).toBe("more");
        expect(search).toMatchObject({ at: seen.length, matched: begun(seen, pattern) });
      }
      expect(first).toBe(-1);
    }),
    { numRuns: RUNS },
  );
});

test("a bounded search pauses after about that many bytes, with no byte of the delimiter among them", () => {
  const input = fc.record({ pattern: text(1, 6), input: text(0, 40), size: fc.integer({ min: 1, max: 9 }) });
  fc.assert(
    fc.property(input, ({ pattern, input, size }) => {
      const search = { at: 0, matched: 0, rest: size };
      const state = new Delimiter(Buffer.from(pattern)).advance(Buffer.from(input), search);
      const told = search.at - search.matched;
      expect(told).toBeLessThan(size + pattern.length);
      if (state === "full") expect(told).toBeGreaterThan(0);
      const first = input.indexOf(pattern);
      if (first !== -1) expect(told).toBeLessThanOrEqual(first);
    }),
    { numRuns: RUNS },
  );
});
