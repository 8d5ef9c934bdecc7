import { describe, expect, test } from "vitest";
import { msgpackCodec } from "../../src/codecs/msgpack/msgpack.ts";
import { varintPrefixed } from "../../src/codecs/varint-prefixed.ts";
import { codecLaws } from "../laws/codec-laws.ts";

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
const faults = [bytesOf("80 80 80 80 80 01"), bytesOf("ff ff ff ff 0f"), bytesOf("81 80 00 61"), bytesOf("80 80 04")];

codecLaws(
  varintPrefixed(),
  [
    { name: "nothing", value: Buffer.alloc(0) },
    { name: "127 bytes", value: Buffer.alloc(127, 1) },
    { name: "128 bytes", value: Buffer.alloc(128, 2) },
    { name: "20,000 bytes", value: Buffer.alloc(20_000, 3) },
    { name: "the largest frame", value: Buffer.alloc(65_533, 4) },
  ],
  faults,
);
codecLaws(varintPrefixed({ maxBytes: 200 }), [{ name: "the largest frame", value: Buffer.alloc(198) }], faults);
codecLaws<unknown>(varintPrefixed({ inner: msgpackCodec() }), [{ name: "a message", value: { a: [1] } }], faults);

describe("protobuf's delimited messages", () => {
  test.each([
    ["a length of one byte", "03 08 96 01", "08 96 01", 4],
    ["a length of two bytes", `ac 02 ${"00".repeat(300)}`, "00".repeat(300), 302],
    ["a length with more bytes than it needs", "83 80 80 80 00 08 96 01", "08 96 01", 8],
  ])("%s", (_name, hex, value, size) => {
    expect(varintPrefixed().decode(bytesOf(hex))).toEqual({ kind: "frame", value: bytesOf(value), size });
  });
});

describe("refused", () => {
  const tooLarge = { kind: "malformed", reason: "more than 300 bytes", tooLarge: true };

  test("a frame above the limit, at the first byte that makes it so", () => {
    const codec = varintPrefixed({ maxBytes: 300 });
    expect(codec.decode(bytesOf("80 80"))).toEqual({ kind: "more", atLeast: 3 });
    expect(codec.decode(bytesOf("ff 82"))).toEqual(tooLarge);
    expect(codec.decode(bytesOf("aa 02"))).toEqual({ kind: "more", atLeast: 300 });
    expect(codec.decode(bytesOf("ab 02"))).toEqual(tooLarge);
  });

  test("a length of more than 5 bytes", () => {
    const reason = "a length of more than 5 bytes";
    expect(varintPrefixed().decode(bytesOf("80 80 80 80 80"))).toEqual({ kind: "malformed", reason });
  });

  test("by encode, a frame above the limit", () => {
    expect(() => varintPrefixed({ maxBytes: 300 }).encode(Buffer.alloc(299))).toThrow(RangeError);
  });

  test("a limit that is none", () => {
    expect(() => varintPrefixed({ maxBytes: 0 })).toThrow(TypeError);
  });
});
