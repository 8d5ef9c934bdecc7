import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Refusal } from "../../src/errors.ts";
import type { Sniffer } from "../../src/preread/sniffer.ts";
import { RUNS } from "./sniffer-laws.ts";

/** Whatever an operator may write; addresses as `reject` lets them pass. */
const refusals: fc.Arbitrary<Refusal> = fc.record(
  {
    status: fc.integer({ min: 100, max: 599 }),
    reason: fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: fc.constantFrom("\r", "\n", "\0", "é", "🎲", "<", "'", "%", "\ud800") }),
    ),
    retryAfterMs: fc.nat({ max: 2 ** 40 }),
    redirect: fc.stringMatching(/^[\x21-\x7e]{1,253}$/),
  },
  { requiredKeys: ["status", "reason"] },
);

const LARGEST = 4_096;

/** What every sniffer must obey when it refuses a client that it matched. */
export function refusalLaws(sniffer: Sniffer): void {
  describe(`${sniffer.name} refuses`, () => {
    const infos = sniffer.examples.map((example) => {
      const verdict = sniffer.sniff(example);
      return verdict.kind === "match" ? verdict.info : undefined;
    });
    test("with few bytes, whatever the reason, and the same ones for the same reason", () => {
      fc.assert(
        fc.property(refusals, fc.constantFrom(...infos), (refusal, info) => {
          const pieces = piecesOf(sniffer, refusal, info);
          for (const piece of pieces) expect(piece).toBeInstanceOf(Uint8Array);
          for (const piece of pieces) expect(piece.length).toBeGreaterThan(0);
          expect(Buffer.concat(pieces).length).toBeLessThan(LARGEST);
          expect(piecesOf(sniffer, refusal, info)).toEqual(pieces);
        }),
        { numRuns: RUNS },
      );
    });
    test("with a reason of a megabyte, too", () => {
      const long: Refusal = { status: 403, reason: "é\n".repeat(500_000) };
      for (const info of infos) expect(Buffer.concat(piecesOf(sniffer, long, info)).length).toBeLessThan(LARGEST);
    });
  });
}

function piecesOf(sniffer: Sniffer, refusal: Refusal, info: unknown): readonly Uint8Array[] {
  const words = sniffer.refuse?.(refusal, info) ?? [];
  return words instanceof Uint8Array ? [words] : words;
}
