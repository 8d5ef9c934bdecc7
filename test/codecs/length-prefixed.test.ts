import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import type { Codec } from "../../src/codecs/codec.ts";
import { type LengthPrefixedOptions, lengthPrefixed } from "../../src/codecs/length-prefixed.ts";
import { line } from "../../src/codecs/line.ts";
import { msgpackCodec } from "../../src/codecs/msgpack/msgpack.ts";
import { lengthPrefixed as sniffer } from "../../src/preread/length-prefixed.ts";
import { codecLaws } from "../laws/codec-laws.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
const samples = [
  { name: "text", value: Buffer.from("hello") },
  { name: "one byte", value: Buffer.from([255]) },
  { name: "200 bytes", value: Buffer.alloc(200, 7) },
];
const empty = { name: "nothing", value: Buffer.alloc(0) };
const faults = [bytesOf("00 00 00 00"), bytesOf("ff ff ff ff ff ff ff ff 00"), bytesOf("01 00 00 00 00 00 00 00 61")];

for (const size of [1, 2, 3, 4, 8] as const) {
  codecLaws(lengthPrefixed({ size }), [...samples, empty], faults);
  codecLaws(lengthPrefixed({ size, endian: "little", includesHeader: true }), [...samples, empty], faults);
}
codecLaws(lengthPrefixed({ size: 2, offset: 3, maxBytes: 300 }), samples.slice(0, 1).concat(samples.slice(2)), faults);
codecLaws(lengthPrefixed({ size: 3, offset: 1, includesHeader: true, adjust: 1 }), samples.slice(2), faults);
codecLaws<unknown>(
  lengthPrefixed({ size: 4, inner: msgpackCodec() }),
  [
    { name: "a msgpack message", value: { type: "hello", n: [1, 2] } },
    { name: "a number", value: 5 },
  ],
  faults,
);

describe("frames of known protocols", () => {
  const row = (options: LengthPrefixedOptions, hex: string, value: string) => ({ options, hex, value });
  test.each([
    { name: "Kafka, a request", ...row({ size: 4 }, "00000003 616263", "616263") },
    {
      name: "MongoDB: the length counts itself",
      ...row({ size: 4, endian: "little", includesHeader: true }, "07000000 616263", "616263"),
    },
    {
      name: "TPKT: version, reserved, a length of all",
      ...row({ offset: 2, size: 2, includesHeader: true }, "03 00 0007 616263", "0300616263"),
    },
    {
      name: "Diameter: version, a length of all in 3 bytes",
      ...row({ offset: 1, size: 3, includesHeader: true }, "01 000007 616263", "01616263"),
    },
    {
      name: "PostgreSQL: type, a length that counts itself alone",
      ...row({ offset: 1, size: 4, adjust: -4 }, "51 00000007 616263", "51616263"),
    },
    {
      name: "AMQP: type, channel, length, and a mark behind the payload",
      ...row({ offset: 3, size: 4, adjust: 1 }, "01 0001 00000002 6162 ce", "0100016162ce"),
    },
    { name: "a length of 8 bytes", ...row({ size: 8, endian: "little" }, "0300000000000000 616263", "616263") },
  ])("$name", ({ options, hex, value }) => {
    const codec = lengthPrefixed(options);
    const bytes = bytesOf(hex);
    expect(codec.decode(Buffer.concat([bytes, bytes]))).toEqual({
      kind: "frame",
      value: bytesOf(value),
      size: bytes.length,
    });
    expect(codec.encode(bytesOf(value))).toEqual(bytes);
  });
});

describe("refused", () => {
  test("a length above the limit, with the last byte that says it", () => {
    const codec = lengthPrefixed({ size: 2, maxBytes: 12 });
    expect(codec.decode(bytesOf("00"))).toEqual({ kind: "more", atLeast: 2 });
    expect(codec.decode(bytesOf("000a"))).toEqual({ kind: "more", atLeast: 12 });
    expect(codec.decode(bytesOf("000b"))).toEqual({ kind: "malformed", reason: "more than 12 bytes", tooLarge: true });
  });

  test("more than 65,535 bytes behind the header, where nothing is said", () => {
    expect(lengthPrefixed({ size: 2 }).decode(bytesOf("ffff"))).toEqual({ kind: "more", atLeast: 65_537 });
    expect(lengthPrefixed({ size: 4 }).decode(bytesOf("00010000")).kind).toBe("malformed");
    expect(lengthPrefixed({ size: 8 }).decode(bytesOf("ffffffffffffffff")).kind).toBe("malformed");
  });

  test("a length that counts its header, and is less than that", () => {
    const codec = lengthPrefixed({ size: 4, includesHeader: true });
    expect(codec.decode(bytesOf("00000003"))).toEqual({
      kind: "malformed",
      reason: "a length that does not count its own header",
    });
    expect(codec.decode(bytesOf("00000004"))).toEqual({ kind: "frame", value: Buffer.alloc(0), size: 4 });
  });

  test.each([
    ["a value that goes on beyond the frame", "0001 93", "msgpack: the frame ends within the value"],
    ["bytes behind the value", "0003 010203", "msgpack: 2 bytes behind the value"],
    ["what the inner codec refuses", "0001 c1", "msgpack: 0xc1 is never used"],
    ["no value at all", "0000", "msgpack: the frame ends within the value"],
  ])("%s", (_name, hex, reason) => {
    const codec = lengthPrefixed({ size: 2, inner: msgpackCodec() });
    expect(codec.decode(bytesOf(hex))).toEqual({ kind: "malformed", reason });
  });
});

test("encode refuses what the field, the limit or the offset has no room for", () => {
  expect(() => lengthPrefixed({ size: 1 }).encode(Buffer.alloc(256))).toThrow(RangeError);
  expect(() => lengthPrefixed({ size: 1, includesHeader: true }).encode(Buffer.alloc(255))).toThrow(RangeError);
  expect(() => lengthPrefixed({ size: 4, maxBytes: 10 }).encode(Buffer.alloc(7))).toThrow(RangeError);
  expect(() => lengthPrefixed({ size: 2, offset: 3 }).encode(Buffer.alloc(2))).toThrow(RangeError);
  expect(() => lengthPrefixed({ size: 2, adjust: 5 }).encode(Buffer.alloc(4))).toThrow(RangeError);
});

test("wrong options are said at start", () => {
  const wrong: readonly unknown[] = [
    { size: 5 },
    { size: 4, offset: -1 },
    { size: 4, maxBytes: 3 },
    { size: 4, adjust: 0.5 },
    { size: 4, endian: "big " },
  ];
  for (const options of wrong) {
    expect(() => lengthPrefixed(JSON.parse(JSON.stringify(options))), JSON.stringify(options)).toThrow(TypeError);
  }
});

test("what it writes, the sniffer of the same shape matches", () => {
  const shape = fc.record({
    size: fc.constantFrom(1 as const, 2 as const, 4 as const),
    endian: fc.constantFrom("big" as const, "little" as const),
    includesHeader: fc.boolean(),
  });
  fc.assert(
    fc.property(shape, fc.uint8Array({ minLength: 1, maxLength: 200 }), (options, payload) => {
      const bytes = lengthPrefixed(options).encode(Buffer.from(payload));
      expect(sniffer(options).sniff(bytes)).toMatchObject({ kind: "match", info: { length: payload.length } });
    }),
    { numRuns: RUNS },
  );
});

test("the values are those of the inner codec, by type and with its memory", () => {
  const texts = lengthPrefixed({ size: 2, inner: line() });
  expectTypeOf(texts).toEqualTypeOf<Codec<string>>();
  expectTypeOf(lengthPrefixed({ size: 2 })).toEqualTypeOf<Codec<Buffer>>();
  expect(texts.begin?.({}).decode(bytesOf("0002 610a"))).toEqual({ kind: "frame", value: "a", size: 4 });
  expect(lengthPrefixed({ size: 2 }).begin).toBeUndefined();
});
