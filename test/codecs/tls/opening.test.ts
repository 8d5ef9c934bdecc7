import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tlsOpening } from "../../../src/codecs/tls/opening.ts";
import { recorded } from "../../fixtures/client-hello/recorded.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

// 46 bytes: seven ciphers of three bytes, no session id, a challenge of 16.
const SSLV2 = Buffer.from(`802e010002001500000010${"010080020080".repeat(3)}${"00".repeat(3)}${"7".repeat(32)}`, "hex");
const V2_WITH_TLS1 = Buffer.from(SSLV2).fill(Buffer.of(3, 1), 3, 5);

test.each([...recorded])("%s opens TLS with its first three bytes", (_name, bytes) => {
  expect(tlsOpening(bytes.subarray(0, 3))).toEqual({ kind: "tls" });
  expect(tlsOpening(bytes)).toEqual({ kind: "tls" });
});

test.each([0, 1, 2, 3, 4])("version 3.%i opens TLS", (minor) => {
  expect(tlsOpening(Buffer.of(0x16, 3, minor))).toEqual({ kind: "tls" });
});

describe("plain at the first byte that TLS cannot have", () => {
  test.each([
    ["HTTP", "G"],
    ["an MQTT CONNECT", "\x10"],
    ["another TLS record", "\x15"],
    ["a byte after 0x16", "\x16\x04"],
    ["an unknown version", "\x16\x03\x05"],
    ["a msgpack map", "\x81"],
    ["an empty msgpack map before other bytes", "\x80\x80\x80"],
    ["0x80 with another version", "\x80\x2e\x01\x05\x00"],
    ["0x80 with lengths that do not add up", "\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x20"],
    ["0x80 with half a cipher", "\x80\x2d\x01\x00\x02\x00\x14\x00\x00\x00\x10"],
  ])("%s", (_name, text) => {
    expect(tlsOpening(Buffer.from(text, "latin1"))).toEqual({ kind: "plain" });
  });
});

test.each([
  ["of SSL 2.0", SSLV2],
  ["for TLS 1.0 in the old form", V2_WITH_TLS1],
])("an SSLv2 hello %s is told by its first eleven bytes", (_name, bytes) => {
  expect(tlsOpening(bytes.subarray(0, 11))).toEqual({ kind: "sslv2" });
  for (let size = 0; size < 11; size++) expect(tlsOpening(bytes.subarray(0, size)).kind).toBe("more");
});

test("only bytes to come are asked for, and no answer is taken back", () => {
  const start = fc.constantFrom(
    [],
    [0x16],
    [0x16, 3],
    [0x80],
    [0x80, 0x2e, 1],
    [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0],
  );
  fc.assert(
    fc.property(start, fc.uint8Array({ maxLength: 12 }), (first, rest) => {
      const bytes = Uint8Array.of(...first, ...rest);
      const final = tlsOpening(bytes);
      for (let size = 0; size <= bytes.length; size++) {
        const early = tlsOpening(bytes.subarray(0, size));
        if (early.kind === "more") expect(early.atLeast).toBeGreaterThan(size);
        else expect(early).toEqual(final);
      }
    }),
    { numRuns: RUNS },
  );
});
