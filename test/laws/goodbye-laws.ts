import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Goodbye, Sniffer } from "../../src/preread/index.ts";
import { RUNS } from "./sniffer-laws.ts";

const goodbyes: fc.Arbitrary<Goodbye> = fc.record({
  why: fc.constantFrom("drained", "shutdown"),
  bytesSent: fc.oneof(fc.constant(0), fc.nat()),
});

/** A goodbye is written to thousands at once. */
const LARGEST = 256;

/** What every sniffer must obey that says goodbye to a client which it matched. */
export function goodbyeLaws(sniffer: Sniffer): void {
  const infos = sniffer.examples.map((example) => {
    const verdict = sniffer.sniff(example);
    return verdict.kind === "match" ? verdict.info : undefined;
  });
  describe(`${sniffer.name} says goodbye`, () => {
    test("in a few bytes or not at all, and in the same ones each time", () => {
      fc.assert(
        fc.property(goodbyes, fc.constantFrom(...infos), (goodbye, info) => {
          const words = sniffer.goodbye?.(goodbye, info);
          expect(words?.length ?? 1).toBeGreaterThan(0);
          expect(words?.length ?? 0).toBeLessThan(LARGEST);
          expect(sniffer.goodbye?.(goodbye, info)).toEqual(words);
        }),
        { numRuns: RUNS },
      );
    });
    test("the same words, however much was sent before", () => {
      const wordsAt = (bytesSent: number, why: Goodbye["why"], info: unknown) =>
        sniffer.goodbye?.({ why, bytesSent }, info);
      for (const info of infos)
        for (const why of ["drained", "shutdown"] as const)
          expect(wordsAt(1e12, why, info)).toEqual(wordsAt(1, why, info));
    });
  });
}
