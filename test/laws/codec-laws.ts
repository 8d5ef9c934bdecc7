import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Codec, Decoded } from "../../src/codecs/codec.ts";
import { mutated, RUNS } from "./sniffer-laws.ts";

/** A value which a codec can write and read back. */
export interface CodecSample<T> {
  readonly name: string;
  readonly value: T;
}

/** Sizes looked at in one input: all of a short one, evenly spread over a long one. */
const MAX_CUTS = 256;
const MAX_CUTS_OF_RANDOM = 48;

/** What every codec must obey, whatever its format. `extra` are further bytes, good or bad, to make faults in. */
export function codecLaws<T>(
  codec: Codec<T>,
  samples: readonly CodecSample<T>[],
  extra: readonly Uint8Array[] = [],
): void {
  describe.each(samples.map(({ name, value }) => ({ name, value })))(`${codec.name}: $name`, ({ value }) => {
    test("is read back as it was written", () => {
      const bytes = codec.encode(value);
      expect(codec.decode(bytes)).toEqual({ kind: "frame", value, size: bytes.length });
    });
    test("every prefix asks for more, never for bytes beyond the end", () => prefixesAskForMore(codec, value));
    test("is the same for a codec with a memory, however the bytes are cut", () => remembersWell(codec, value));
    test("keeps nothing of the bytes, whose memory is used again", () => {
      const bytes = Buffer.from(codec.encode(value));
      const decoded = codec.decode(bytes);
      bytes.fill(0xc1);
      expect(decoded).toEqual({ kind: "frame", value, size: bytes.length });
    });
    test("does not care about the bytes that follow", () => {
      const bytes = codec.encode(value);
      for (const rest of [Buffer.alloc(1), Buffer.alloc(300, 0xff), Buffer.from(bytes)]) {
        const decoded = codec.decode(Buffer.concat([bytes, rest]));
        expect(decoded).toEqual({ kind: "frame", value, size: bytes.length });
      }
    });
  });
  describe(`${codec.name} on any bytes`, () => {
    const seeds = [...samples.map(({ value }) => codec.encode(value)), ...extra];
    test("keeps the laws on random bytes", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => keepsLaws(codec, bytes)),
        { numRuns: RUNS },
      );
    });
    test("keeps the laws on valid bytes with faults in them", () => {
      fc.assert(
        fc.property(mutated(seeds), (bytes) => keepsLaws(codec, bytes)),
        { numRuns: RUNS },
      );
    });
  });
}

/** A prefix that asked for more than the whole would wait for ever, with all its bytes there. */
function prefixesAskForMore<T>(codec: Codec<T>, value: T): void {
  const bytes = codec.encode(value);
  for (const size of cuts(bytes.length, MAX_CUTS)) {
    const decoded = codec.decode(bytes.subarray(0, size));
    if (decoded.kind !== "more") throw new Error(`said ${decoded.kind} after ${size} of ${bytes.length} bytes`);
    expect(decoded.atLeast).toBeGreaterThan(size);
    expect(decoded.atLeast).toBeLessThanOrEqual(bytes.length);
  }
}

/** Two frames, the second behind the first: what `begin` returns answers at every size as `decode` does, and goes on. */
function remembersWell<T>(codec: Codec<T>, value: T): void {
  const begun = codec.begin?.({}) ?? codec;
  const bytes = codec.encode(value);
  for (const _ of ["first", "second"]) {
    for (const size of cuts(bytes.length, MAX_CUTS)) {
      const head = bytes.subarray(0, size);
      expect(begun.decode(head)).toEqual(codec.decode(head));
    }
    expect(begun.decode(bytes)).toEqual({ kind: "frame", value, size: bytes.length });
  }
  expect(begun.encode(value)).toEqual(bytes);
}

/** Never throws, never asks for bytes which are there, never takes back a frame or a refusal. */
function keepsLaws<T>(codec: Codec<T>, bytes: Uint8Array): void {
  const final = checked(codec, bytes);
  let begun = codec.begin?.({});
  for (const size of cuts(bytes.length, MAX_CUTS_OF_RANDOM)) {
    const early = checked(codec, bytes.subarray(0, size));
    const remembered = begun?.decode(bytes.subarray(0, size));
    if (remembered && !isDeepStrictEqual(remembered, early)) expect(remembered, `after ${size} bytes`).toEqual(early);
    if (early.kind !== "more") begun = undefined; // it has decided
    if (early.kind === "more") {
      if (final.kind === "frame" && early.atLeast > final.size) throw new Error(`asked beyond the end at ${size}`);
    } else if (!isDeepStrictEqual(early, final)) {
      expect(early, `after ${size} bytes`).toEqual(final); // shows the difference
      throw new Error(`changed its mind after ${size} bytes`);
    }
  }
}

function checked<T>(codec: Codec<T>, bytes: Uint8Array): Decoded<T> {
  const decoded = codec.decode(bytes);
  if (decoded.kind === "more") expect(decoded.atLeast).toBeGreaterThan(bytes.length);
  if (decoded.kind === "frame") expect(decoded.size).toBeLessThanOrEqual(bytes.length);
  return decoded;
}

function cuts(length: number, max: number): number[] {
  const step = Math.max(1, Math.floor(length / max));
  return Array.from({ length: Math.ceil(length / step) }, (_, index) => index * step);
}
