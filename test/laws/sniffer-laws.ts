import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Sniffer, Verdict } from "../../src/preread/sniffer.ts";

/** Bytes and what a sniffer must say of all of them; a match also compares `info` when given. */
export interface Sample {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly verdict: Verdict["kind"];
  readonly info?: unknown;
}

/** Random inputs per law: few by default, 10^5 in the long run (`npm run test:long`). */
export const RUNS = process.env["RESTYCONF_LONG"] ? 100_000 : 1_000;

/** What every sniffer must obey, whatever its protocol. */
export function snifferLaws(sniffer: Sniffer, samples: readonly Sample[]): void {
  describe.each(samples)(`${sniffer.name}: $name`, ({ bytes, verdict, info }) => {
    test(`says ${verdict}`, () => {
      const said = sniffer.sniff(bytes);
      expect(said.kind).toBe(verdict);
      if (info !== undefined) expect(said).toEqual({ kind: "match", info });
    });
    test("never changes its mind as bytes arrive one by one", () => neverChangesItsMind(sniffer, bytes));
    test("only asks for bytes it does not have", () => onlyAsksForBytesToCome(sniffer, bytes));
  });
  test(`${sniffer.name} matches its own examples`, () => {
    expect(sniffer.examples.length).toBeGreaterThan(0);
    for (const example of sniffer.examples) expect(sniffer.sniff(example).kind).toBe("match");
  });
  describe(`${sniffer.name} on any bytes`, () => {
    const valid = samples.map(({ bytes }) => bytes);
    test("keeps the laws on random bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => keepsLaws(sniffer, bytes)),
        { numRuns: RUNS },
      );
    });
    test("keeps the laws on valid bytes with faults in them", () => {
      fc.assert(
        fc.property(mutated(valid), (bytes) => keepsLaws(sniffer, bytes)),
        { numRuns: RUNS },
      );
    });
  });
}

function keepsLaws(sniffer: Sniffer, bytes: Uint8Array): void {
  const step = Math.max(1, Math.floor(bytes.length / 48)); // long inputs are looked at in 48 places
  neverChangesItsMind(sniffer, bytes, step);
  onlyAsksForBytesToCome(sniffer, bytes, step);
}

function neverChangesItsMind(sniffer: Sniffer, bytes: Uint8Array, step = 1): void {
  const final = sniffer.sniff(bytes);
  for (const head of prefixes(bytes, step)) {
    const early = sniffer.sniff(head);
    if (early.kind !== "more") expect(early, `after ${head.length} bytes`).toEqual(final);
  }
}

function onlyAsksForBytesToCome(sniffer: Sniffer, bytes: Uint8Array, step = 1): void {
  for (const head of [...prefixes(bytes, step), bytes]) {
    const early = sniffer.sniff(head);
    if (early.kind === "more") expect(early.atLeast).toBeGreaterThan(head.length);
  }
}

function prefixes(bytes: Uint8Array, step: number): Uint8Array[] {
  const heads: Uint8Array[] = [];
  for (let size = 0; size < bytes.length; size += step) heads.push(bytes.subarray(0, size));
  return heads;
}

/** Valid bytes with some overwritten, cut, doubled or inserted: the faults a fuzzer makes. */
export function mutated(valid: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const fault = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    kind: fc.constantFrom("set", "cut", "insert", "double"),
    byte: fc.integer({ min: 0, max: 255 }),
  });
  return fc.tuple(fc.constantFrom(...valid), fc.array(fault, { minLength: 1, maxLength: 4 })).map(([bytes, faults]) => {
    let result = Buffer.from(bytes);
    for (const { at, kind, byte } of faults) {
      const index = Math.floor(at * result.length);
      if (kind === "set") result.set([byte].slice(0, result.length - index), index);
      else if (kind === "cut") result = result.subarray(0, index);
      else if (kind === "insert") result = insert(result, index, Buffer.of(byte));
      else result = insert(result, index, result.subarray(index, index + 8));
    }
    return result;
  });
}

function insert(bytes: Buffer, index: number, extra: Uint8Array): Buffer<ArrayBuffer> {
  return Buffer.concat([bytes.subarray(0, index), extra, bytes.subarray(index)]);
}
