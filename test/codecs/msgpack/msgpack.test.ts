import fc from "fast-check";
import { addExtension, Packr } from "msgpackr";
import { describe, expect, test } from "vitest";
import { MsgpackExtension, msgpackCodec, msgpackDecoder } from "../../../src/codecs/msgpack/msgpack.ts";
import { codecLaws } from "../../laws/codec-laws.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
const login = { cmd: "login", user: { name: "ann", roles: ["admin", ""], level: 7 }, at: new Date(1_700_000_000_123) };

codecLaws<unknown>(
  msgpackCodec({ extensions: [-1, 5, -3] }),
  [
    { name: "a login", value: login },
    {
      name: "the scalars",
      value: [null, true, false, 0, 127, 128, 65_536, 2 ** 32, 2 ** 53, 1.5, -1, -33, -129, -40_000, -3e9],
    },
    { name: "bigints that no number holds", value: [2n ** 53n + 1n, 2n ** 64n - 1n, -(2n ** 63n)] },
    {
      name: "texts of every length",
      value: ["", "é", "x".repeat(31), "🎲".repeat(20), "x".repeat(300), "x".repeat(40_000)],
    },
    { name: "bytes", value: { empty: Buffer.alloc(0), some: Buffer.from([0, 255]), many: Buffer.alloc(300, 7) } },
    {
      name: "dates",
      value: [new Date(0), new Date(-1), new Date(2 ** 32 * 1000), new Date(8.64e15), new Date(-8.64e15)],
    },
    {
      name: "extensions",
      value: [new MsgpackExtension(5, Buffer.from("x")), new MsgpackExtension(-3, Buffer.alloc(20))],
    },
    { name: "an extension without bytes", value: [new MsgpackExtension(5, Buffer.alloc(0))] },
    {
      name: "many keys",
      value: Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`key ${index}`, index])),
    },
    { name: "many elements", value: Array.from({ length: 2000 }, (_, index) => index % 300) },
    { name: "a scalar alone", value: 5 },
    { name: "30 levels", value: Array.from({ length: 29 }).reduce<unknown>((inner) => [inner], []) },
  ],
  [bytesOf("93 d4 72 40 c1 c7 0c ff"), bytesOf("81 a1 61 d6 ff 00 00 00 01"), Buffer.alloc(200, 0x93)],
);

describe("what other encoders write", () => {
  test.each<[string, string, unknown]>([
    [
      "integers in their longest form, small ones as numbers",
      "93 cf 00000000 00000005 d3 ffffffff fffffffb d2 00000001",
      [5, -5, 1],
    ],
    ["the last integer that a number holds", "cf 00200000 00000000", 2 ** 53],
    ["the first that it does not", "cf 00200000 00000001", 2n ** 53n + 1n],
    ["float 32", "ca 3f c0 00 00", 1.5],
    ["texts and counts in their longest form", "dd 00000001 db 00000001 61", ["a"]],
    ["a map in its longest form", "df 00000001 da 0001 61 c5 0001 62", { a: Buffer.from("b") }],
    ["keys that are no text, as text", "84 01 a1 61 cd 0100 02 c3 03 c0 04", { "1": "a", "256": 2, true: 3, null: 4 }],
    ["a key twice: the last counts", "82 a1 61 01 a1 61 02", { a: 2 }],
    ["text that is not UTF-8, replaced", "91 a2 ff 61", ["\ufffda"]],
    ["a timestamp of 4 bytes", "d6 ff 65 53 f1 00", new Date(1_700_000_000_000)],
    ["a timestamp of 8 bytes", "d7 ff 1d 53 5f 00 65 53 f1 00", new Date(1_700_000_000_123)],
    ["a timestamp of 12 bytes", "c7 0c ff 3b 8b 87 c0 ff ff ff ff ff ff ff ff", new Date(-1)],
  ])("%s", (_name, hex, value) => {
    const bytes = bytesOf(hex);
    expect(msgpackCodec().decode(bytes)).toEqual({ kind: "frame", value, size: bytes.length });
  });

  test("msgpackr's own messages, its records apart", () => {
    const plain = new Packr({ useRecords: false });
    expect(msgpackCodec().decode(plain.pack(login))).toMatchObject({ kind: "frame", value: login });
    const records = new Packr({ useRecords: true });
    expect(msgpackCodec().decode(records.pack(login))).toEqual({
      kind: "malformed",
      reason: "extension type 114 is not allowed",
    });
  });
});

describe("a client cannot reach anything by a key", () => {
  const decode = (value: unknown) => {
    const decoded = msgpackCodec().decode(new Packr({ useRecords: false }).pack(value));
    return decoded.kind === "frame" ? decoded.value : decoded;
  };

  test("__proto__ is a key like another, under another name", () => {
    const value = decode(new Map([["__proto__", { isAdmin: true }]]));
    expect(value).toEqual({ __proto_: { isAdmin: true } });
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(
      Object.getPrototypeOf(
        decode(
          new Map<string, unknown>([
            ["x".repeat(200), 1],
            ["__proto__", []],
          ]),
        ),
      ),
    ).toBe(Object.prototype);
    expect(Reflect.get({}, "isAdmin")).toBeUndefined();
  });

  test("constructor, toString and the like are the client's own", () => {
    expect(decode({ constructor: 1, toString: 2, hasOwnProperty: 3 })).toEqual({
      constructor: 1,
      toString: 2,
      hasOwnProperty: 3,
    });
  });
});

test("values keep still when the bytes are overwritten", () => {
  const codec = msgpackCodec({ extensions: [5] });
  const value = ["text", Buffer.from("bytes"), new MsgpackExtension(5, Buffer.from("data"))];
  const bytes = Buffer.from(codec.encode(value));
  const decoded = codec.decode(bytes);
  bytes.fill(0xc1);
  expect(decoded).toMatchObject({ kind: "frame", value });
});

test("the caller's bytes are left as they are, without a property more", () => {
  const bytes = new Uint8Array([0x91, 0x01]);
  msgpackCodec().decode(bytes);
  expect(Object.keys(bytes)).toEqual(["0", "1"]);
});

test("bytes in the middle of a larger buffer are read from their own start", () => {
  const decoded = msgpackCodec().decode(bytesOf("c1 c1 92 a1 61 01 c1").subarray(2));
  expect(decoded).toEqual({ kind: "frame", value: ["a", 1], size: 4 });
});

test("deeper than the stack, where the caller allows it, is malformed and no exception", () => {
  const limits = { maxDepth: 1e6, maxItems: 1e6, maxBytes: 1e6 };
  const bytes = Buffer.from([...Array(200_000).fill(0x91), 0x90]);
  expect(msgpackCodec(limits).decode(bytes).kind).toBe("malformed");
  expect(msgpackCodec().decode(bytesOf("91 01"))).toEqual({ kind: "frame", value: [1], size: 2 }); // and no harm is left
});

describe("extensions", () => {
  test("of a listed type come as they are, of another not at all", () => {
    const bytes = bytesOf("91 c7 03 07 01 02 03");
    const allowing = msgpackCodec({ extensions: [7] });
    expect(allowing.decode(bytes)).toMatchObject({ value: [new MsgpackExtension(7, Buffer.from([1, 2, 3]))] });
    expect(msgpackCodec().decode(bytes)).toEqual({ kind: "malformed", reason: "extension type 7 is not allowed" });
  });

  test("need not be timestamps", () => {
    expect(msgpackCodec({ extensions: [] }).decode(bytesOf("d6 ff 00 00 00 00")).kind).toBe("malformed");
  });

  test("which the program taught msgpackr itself are read its way", () => {
    addExtension({ type: 9, unpack: (data: Uint8Array) => `nine ${data.length}` });
    const decoded = msgpackCodec({ extensions: [9] }).decode(bytesOf("d5 09 00 00"));
    expect(decoded).toMatchObject({ kind: "frame", value: "nine 2" });
  });

  test.each([0, 0x42, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 128, -129, 1.5, Number.NaN])(
    "of type %s cannot be allowed",
    (type) => {
      expect(() => msgpackCodec({ extensions: [type] })).toThrow(TypeError);
    },
  );
});

test("undefined is written as nil, since its extension is one of msgpackr alone", () => {
  expect(Buffer.from(msgpackCodec().encode([undefined]))).toEqual(bytesOf("91 c0"));
});

describe("encode refuses", () => {
  test.each<[string, unknown]>([
    ["an integer beyond 64 bits", 2n ** 64n],
    ["one below them", -(2n ** 63n) - 1n],
    ["more bytes than are read back", Buffer.alloc(65_536)],
  ])("%s, with a RangeError", (_name, value) => {
    expect(() => msgpackCodec().encode([value])).toThrow(RangeError);
  });

  test("a Date that is none, with a TypeError: nobody could read its timestamp", () => {
    expect(() => msgpackCodec().encode({ at: new Date(Number.NaN) })).toThrow(TypeError);
  });

  test("nothing else afterwards", () => {
    expect(Buffer.from(msgpackCodec().encode([1]))).toEqual(bytesOf("91 01"));
    expect(Buffer.from(msgpackCodec().encode([2n ** 64n - 1n]))).toEqual(bytesOf("91 cf ffffffff ffffffff"));
  });
});

test("4,000 values that come byte by byte are read once, by a codec that was begun", () => {
  const codec = msgpackCodec();
  const value = Array.from({ length: 4_000 }, (_, index) => index % 100);
  const bytes = codec.encode(value);
  const begun = codec.begin?.({});
  for (let size = 0; size < bytes.length; size++) {
    const decoded = begun?.decode(bytes.subarray(0, size)); // asked too early, it keeps what it knows
    expect(decoded?.kind).toBe("more");
  }
  expect(begun?.decode(bytes)).toEqual({ kind: "frame", value, size: bytes.length });
  expect(begun?.decode(bytesOf("91 01"))).toEqual({ kind: "frame", value: [1], size: 2 }); // the next frame
});

test("a decoder given one byte after the other says at each what a codec says of them all", () => {
  const value = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.oneof(fc.integer(), fc.string({ maxLength: 40 }), fc.boolean(), fc.double(), fc.uint8Array({ maxLength: 9 })),
      fc.array(tie("value"), { maxLength: 4 }),
      fc.dictionary(fc.string({ maxLength: 9 }), tie("value"), { maxKeys: 4 }),
    ),
  })).value;
  fc.assert(
    fc.property(value, (message) => {
      const codec = msgpackCodec();
      const bytes = codec.encode(message);
      const decode = msgpackDecoder();
      for (let size = 0; size <= bytes.length; size++) {
        const head = bytes.subarray(0, size);
        expect(decode(head)).toEqual(codec.decode(head));
      }
    }),
    { numRuns: RUNS / 10 },
  );
});
