import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import type { StructValue } from "../../../src/codecs/struct/field.ts";
import { struct } from "../../../src/codecs/struct/struct.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
const lua = { dialect: "lua" } as const;

codecLaws(struct("<IHb?2xqd4s"), [
  { name: "all kinds of values", value: [1, 2, -3, true, -4n, 0.5, Buffer.from("abcd")] },
  { name: "the largest", value: [2 ** 32 - 1, 65_535, 127, false, 2n ** 63n - 1n, Number.MAX_VALUE, Buffer.alloc(4)] },
]);
codecLaws(struct(">BHx", ["kind", "length"]), [{ name: "a header by names", value: { kind: 7, length: 512 } }]);
codecLaws(struct("@5p2ceN"), [], [Buffer.alloc(20, 9)]);
codecLaws(
  struct(">sBc0<lHc0s", { ...lua, maxBytes: 60 }),
  [
    { name: "texts of three kinds", value: ["a", "bc", 5n, "def", ""].map(asBytes) },
    { name: "nothing at all", value: ["", "", 0n, "", ""].map(asBytes) },
    { name: "the largest", value: ["x".repeat(47), "", 0n, "", ""].map(asBytes) },
  ],
  [Buffer.alloc(80, 1), bytesOf("00 ff 01"), Buffer.alloc(30, 255)],
);
codecLaws(struct("bc0", lua), [{ name: "127 bytes", value: [Buffer.alloc(127)] }], [bytesOf("ff 00")]);

function asBytes(value: string | bigint): StructValue {
  return typeof value === "string" ? Buffer.from(value) : value;
}

describe("orders", () => {
  test.each([
    ["<", "0100 02000000"],
    [">", "0001 00000002"],
    ["!", "0001 00000002"],
  ])("%s", (order, hex) => {
    expect(struct(`${order}HI`).pack(1, 2)).toEqual(bytesOf(hex));
  });

  test("of this machine: @, = and none, without gaps", () => {
    for (const order of ["@", "=", ""]) {
      const { buffer } = Uint32Array.of(0x01020304);
      expect(struct(`${order}BIx`).pack(9, 0x01020304)).toEqual(
        Buffer.concat([Buffer.of(9), Buffer.from(buffer), Buffer.of(0)]),
      );
    }
  });
});

describe("errors name the field", () => {
  const header = struct("<IHq5s", ["id", "kind", "at", "name"]);
  const good = { id: 1, kind: 2, at: 3n, name: "abc" };

  test.each<[string, object, string]>([
    ["a number out of its range", { kind: 65_536 }, "struct: kind (H): 65536 is not between 0 and 65535"],
    ["a fraction", { id: 1.5 }, "struct: id (I): 1.5 is no integer"],
    ["text for a number", { id: "secret" }, "struct: id (I): a string is no integer"],
    ["a value that is not there", { kind: undefined }, "struct: kind (H): undefined is no integer"],
    [
      "a bigint out of its range",
      { at: 2n ** 63n },
      `struct: at (q): ${2n ** 63n} is not between ${-(2n ** 63n)} and ${2n ** 63n - 1n}`,
    ],
    ["a number that is no safe integer", { at: 2 ** 53 }, `struct: at (q): ${2 ** 53} is no bigint`],
    ["a number for bytes", { name: 5 }, "struct: name (5s): 5 is neither bytes nor text"],
  ])("%s", (_name, change, message) => {
    const values = { ...good, ...change } as typeof good;
    expect(() => header.pack(values)).toThrow(new TypeError(message));
    expect(() => header.encode({ ...values } as never)).toThrow(new TypeError(message));
  });

  test("or its number, where it has no name", () => {
    expect(() => struct("<I?").pack(1, 2 as never)).toThrow(new TypeError("struct: value 2 (?): 2 is no boolean"));
    expect(() => struct("<If").pack(1, 1e39)).toThrow(
      new TypeError("struct: value 2 (f): 1e+39 is too large for 4 bytes"),
    );
    expect(() => struct("c").pack("ab")).toThrow(new TypeError("struct: value 1 (c): 2 bytes are not one"));
  });

  test("that the bytes end in", () => {
    const message = "struct: too few bytes for at (q): 13, not 19";
    expect(() => header.unpack(Buffer.alloc(13))).toThrow(new RangeError(message));
    expect(() => header.unpackFrom(Buffer.alloc(20), 7)).toThrow(new RangeError(message));
    expect(() => struct("Hc0", { ...lua, name: "chat" }).unpack(bytesOf("0300 61"))).toThrow(
      new RangeError("chat: too few bytes for value 1 (c0): 3, not 5"),
    );
  });

  test("when there are too many values, or too few", () => {
    expect(() => struct("<II").pack(...([1] as unknown as [number, number]))).toThrow(
      new TypeError("struct: 1 values for 2"),
    );
    expect(() => struct("<II").pack(...([1, 2, 3] as unknown as [number, number]))).toThrow(
      new TypeError("struct: 3 values for 2"),
    );
    expect(() => header.pack(null as never)).toThrow(new TypeError("struct: the values are no object"));
  });

  test("and unpack takes no more bytes than the struct has", () => {
    expect(() => struct("<H").unpack(Buffer.alloc(3))).toThrow(new RangeError("struct: 1 bytes too many"));
    expect(struct("<H").unpackFrom(bytesOf("ff 0100 ff"), 1)).toEqual([1]);
  });
});

describe("what is no format is said at start", () => {
  test.each([
    ["a letter that there is not", "<Iz", 'struct: bad char "z" at 2 of "<Iz"'],
    ["a pointer, which means nothing elsewhere", "P", 'struct: bad char "P" at 0 of "P"'],
    ["n with an order that is not native", "<n", 'struct: bad char "n" at 1 of "<n"'],
    ["an order in the middle", "I<I", 'struct: bad char at 1 of "I<I"'],
    ["a count without letter", "I5", 'struct: bad char at 1 of "I5"'],
    ["a blank behind a count", "5 I", 'struct: bad char at 0 of "5 I"'],
    ["a Pascal string without its length", "0p", 'struct: bad char "p" at 1 of "0p"'],
    ["more values than a table", "99999999I", "struct: more than 65536 values"],
    ["more values than a table, in parts", "40000I40000I", "struct: more than 65536 values"],
    ["more bytes than memory", "99999999999s", 'struct: "99999999999s" is too long'],
    ["more bytes than memory, in parts", "2147483647s2147483647s", "struct: more than 2147483647 bytes"],
  ])("%s", (_name, format, message) => {
    expect(() => struct(format)).toThrow(new TypeError(message));
  });

  test.each([
    ["a letter of Python's alone", "Q", 'struct: bad char "Q": "Q" at 0'],
    ["c without size", "Bc", 'struct: bad char "c": "Bc" at 1'],
    ["c0 at the start", "c0", 'struct: no integer in front of c0 at 0 of "c0"'],
    ["c0 behind a float", "fc0", 'struct: no integer in front of c0 at 1 of "fc0"'],
    ["c0 behind text", "c4c0", 'struct: no integer in front of c0 at 2 of "c4c0"'],
    ["a sign", "B*", 'struct: bad char at 1 of "B*"'],
    ["more bytes than memory", "c99999999999", "struct: c99999999999 is too long"],
  ])("of lua-struct: %s", (_name, format, message) => {
    expect(() => struct(format, lua)).toThrow(new TypeError(message));
  });

  test("names that do not fit the values", () => {
    expect(() => struct("<2H", ["one"])).toThrow(new TypeError("struct: 1 names for 2 values"));
    expect(() => struct("<2H", ["one", "one"])).toThrow(TypeError);
    expect(() => struct("<H", ["__proto__"])).toThrow(TypeError);
  });

  test("a limit that is none", () => expect(() => struct("s", { ...lua, maxBytes: 0 })).toThrow(TypeError));
});

describe("lua-struct's formats", () => {
  test.each<[string, string, readonly (number | bigint | string)[], string]>([
    ["little-endian until told otherwise", "HH>H<H", [1, 1, 1, 1], "0100 0100 0001 0100"],
    ["l and L have 8 bytes", "lL", [-1n, 1n], "ffffffffffffffff 0100000000000000"],
    ["s ends with a zero", "sB", ["abc", 7], "61626300 07"],
    ["cN has N bytes", "c2B", ["ab", 7], "6162 07"],
    ["cN is filled with spaces", "c4", ["ab "], "61622020"],
    ["c0 has as many as the number in front says", ">Hc0B", ["abc", 7], "0003 616263 07"],
    ["several of them", "Bc0lc0s", ["a", "bc", ""], "01 61 0200000000000000 6263 00"],
    ["floats", "fd", [0.5, -2], "0000003f 00000000000000c0"],
    ["blanks are nothing", " B  H ", [1, 2], "01 0200"],
  ])("%s", (_name, format, values, hex) => {
    const codec = struct(format, lua);
    expect(codec.pack(...values)).toEqual(bytesOf(hex));
    const back = codec.unpack(bytesOf(hex)).map((value) => (Buffer.isBuffer(value) ? value.toString() : value));
    expect(back.join().trimEnd()).toEqual(values.join().trimEnd());
  });

  test("text with a zero in it, or longer than its number can say, is not written", () => {
    expect(() => struct("s", lua).pack("a\0b")).toThrow("value 1 (s): a zero within the text would end it");
    expect(() => struct("Bc0", lua).pack("x".repeat(256))).toThrow(
      "value 1 (c0): its length 256 is not between 0 and 255",
    );
    expect(() => struct("s", lua).pack(5)).toThrow("value 1 (s): 5 is neither bytes nor text");
    expect(() => struct("s", { ...lua, maxBytes: 4 }).pack("abcd")).toThrow(RangeError);
  });

  test("a number that cannot be a length is malformed", () => {
    expect(struct("bc0", lua).decode(bytesOf("ff"))).toEqual({ kind: "malformed", reason: "a length of -1" });
    expect(struct("lc0", lua).decode(bytesOf("ffffffffffffff7f"))).toMatchObject({ kind: "malformed", tooLarge: true });
    expect(() => struct("bc0", lua).unpack(bytesOf("ff"))).toThrow(new RangeError("struct: a length of -1"));
  });

  test("more than maxBytes are refused as soon as they are sure to come", () => {
    const codec = struct(">Hc0s", { ...lua, maxBytes: 10 });
    expect(codec.decode(bytesOf("0007"))).toEqual({ kind: "more", atLeast: 10 });
    expect(codec.decode(bytesOf("0008"))).toEqual({ kind: "malformed", reason: "more than 10 bytes", tooLarge: true });
    expect(codec.decode(Buffer.alloc(10, 1))).toMatchObject({ tooLarge: true });
  });
});

describe("size and needed", () => {
  test("of values with fixed places are the same", () => {
    const header = struct("<IH2x");
    expect(header.size).toBe(8);
    expect([0, 5, 8, 20].map((length) => header.needed(Buffer.alloc(length)))).toEqual([8, 8, 8, 8]);
  });

  test("of values whose bytes tell their end: the least, and what these bytes need", () => {
    const codec = struct("Bc0sH", lua);
    expect(codec.size).toBe(4);
    expect(
      ["", "05", "05 6162", "05 6162636465", "05 6162636465 66", "05 6162636465 6600"].map((hex) =>
        codec.needed(bytesOf(hex)),
      ),
    ).toEqual([4, 9, 9, 9, 10, 10]);
    expect(codec.needed(bytesOf("05 6162636465 00 0100 ffff"))).toBe(9);
  });

  test("are not more than there is, where no bytes would help", () => {
    expect(struct("bc0", lua).needed(bytesOf("ff 00"))).toBe(2);
  });
});

test("a format without bytes packs, but frames nothing: there would be no end of frames", () => {
  expect(struct("").pack()).toEqual(Buffer.alloc(0));
  expect(struct("0I").unpack(Buffer.alloc(0))).toEqual([]);
  expect(struct("").decode(Buffer.alloc(3)).kind).toBe("malformed");
});

test("what is cut off or filled up is Python's way", () => {
  expect(struct("4s4s").pack("abcdef", Buffer.of(1))).toEqual(bytesOf("61626364 01000000"));
  expect(struct("4p").pack("abcdef")).toEqual(bytesOf("03616263"));
  expect(struct("4p").unpack(bytesOf("ff616263"))).toEqual([Buffer.from("abc")]);
});

test("bytes are copies, and read from their own place in a larger buffer", () => {
  const large = bytesOf("ffff 0100 6162 ffff");
  const [, text] = struct("<H2s").unpack(large.subarray(2, 6));
  large.fill(0);
  expect(text.toString()).toBe("ab");
  expect(struct("<H").unpack(new Uint8Array([1, 2]))).toEqual([0x0201]);
});

test("the compiler knows the values of a format", () => {
  const header = struct("<I2Hq 4s?x3c");
  expectTypeOf(header.unpack).returns.toEqualTypeOf<
    readonly [number, number, number, bigint, Buffer, boolean, Buffer, Buffer, Buffer]
  >();
  const named = struct(">BQ8s", ["kind", "at", "name"]);
  expectTypeOf(named.unpack).returns.toEqualTypeOf<{
    readonly kind: number;
    readonly at: bigint;
    readonly name: Buffer;
  }>();
  expect(named.pack({ kind: 1, at: 2, name: "x" })).toHaveLength(17);
  // @ts-expect-error text is no number
  expect(() => named.pack({ kind: "1", at: 2n, name: "x" })).toThrow(TypeError);
  // @ts-expect-error a value is missing
  expect(() => header.pack(1, 2)).toThrow(TypeError);
  expectTypeOf(struct("Hc0", lua).unpack).returns.toEqualTypeOf<readonly StructValue[]>();
  expectTypeOf(struct(String("<H")).unpack).returns.toEqualTypeOf<readonly StructValue[]>();
  const frames = lengthPrefixed({ size: 2, inner: struct("<IQ") }).decode(Buffer.alloc(0));
  if (frames.kind === "frame") expectTypeOf(frames.value).toEqualTypeOf<readonly [number, bigint]>();
});

test("lua-struct's texts at random come back, in any pieces", () => {
  const codec = struct(">sHc0Bc0s", lua);
  const text = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0)));
  fc.assert(
    fc.property(
      text,
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 255 }),
      text,
      (first, long, short, last) => {
        const values = [first, Buffer.from(long), Buffer.from(short), last];
        const bytes = codec.pack(...values);
        const begun = codec.begin?.({});
        for (let size = 0; size < bytes.length; size += 1 + (size % 7)) {
          expect(begun?.decode(bytes.subarray(0, size)).kind).toBe("more");
        }
        expect(begun?.decode(bytes)).toEqual({ kind: "frame", value: values, size: bytes.length });
      },
    ),
    { numRuns: RUNS / 4 },
  );
});

test("1 MiB of text that comes byte by byte is looked at once", () => {
  const bytes = Buffer.alloc(1_048_576, "x");
  bytes[bytes.length - 1] = 0;
  const codec = struct("s", { ...lua, maxBytes: bytes.length }).begin?.({});
  const start = performance.now();
  for (let size = 1; size < bytes.length; size++) codec?.decode(bytes.subarray(0, size));
  expect(codec?.decode(bytes).kind).toBe("frame");
  expect(performance.now() - start).toBeLessThan(40_000); // from the start each time it would be 5·10^11 bytes: minutes
});
