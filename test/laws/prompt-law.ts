import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Sniffer } from "../../src/preread/sniffer.ts";
import { mutated, RUNS, type Sample } from "./sniffer-laws.ts";

/**
 * A sniffer that asks for more bytes than it needs lets a client wait which has said all that it says: between the bytes
 * it saw and those it asks for, there must be none that would have decided.
 */
export function promptLaw(sniffer: Sniffer, samples: readonly Sample[]): void {
  describe(`${sniffer.name} asks for no byte more than decides`, () => {
    test.each(samples)("on $name", ({ bytes }) => decidesInTime(sniffer, bytes));
    test("on valid bytes with faults in them", () => {
      const valid = samples.map(({ bytes }) => bytes);
      fc.assert(
        fc.property(mutated(valid), (bytes) => decidesInTime(sniffer, bytes.subarray(0, 300))),
        { numRuns: RUNS / 10 },
      );
    });
  });
}

function decidesInTime(sniffer: Sniffer, bytes: Uint8Array): void {
  for (let size = 0; size <= bytes.length; ) {
    const verdict = sniffer.sniff(bytes.subarray(0, size));
    if (verdict.kind !== "more") return;
    for (let between = size + 1; between < Math.min(verdict.atLeast, bytes.length + 1); between++) {
      const said = sniffer.sniff(bytes.subarray(0, between)).kind;
      expect(said, `asked for ${verdict.atLeast} after ${size} bytes, but decides after ${between}`).toBe("more");
    }
    size = verdict.atLeast;
  }
}
