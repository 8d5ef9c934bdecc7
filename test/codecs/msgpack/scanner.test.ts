import { describe, expect, test } from "vitest";
import type { Decoded } from "../../../src/codecs/codec.ts";
import { MAX_BYTES, MAX_ITEMS, type MsgpackLimits, MsgpackScanner } from "../../../src/codecs/msgpack/scanner.ts";

const scan = (bytes: Uint8Array, limits?: MsgpackLimits): Decoded<undefined> => new MsgpackScanner(limits).scan(bytes);
const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(" ", ""), "hex");
const whole = (size: number) => ({ kind: "frame", size });
const array16 = (count: number): number[] => [0xdc, count >> 8, count & 0xff];

/** One value for each first byte of the specification, in its order; `~` is a byte of a body. */
const formats: readonly (readonly [string, string])[] = [
  ["positive fixint", "00"],
  ["positive fixint, the last", "7f"],
  ["fixmap, empty", "80"],
  ["fixmap", "82 01 02 a1 ~ c0"],
  ["fixmap, the largest", `8f ${"01 02 ".repeat(15)}`],
  ["fixarray, empty", "90"],
  ["fixarray, the largest", `9f ${"c3 ".repeat(15)}`],
  ["fixstr, empty", "a0"],
  ["fixstr, the longest", `bf ${"~ ".repeat(31)}`],
  ["nil", "c0"],
  ["false", "c2"],
  ["true", "c3"],
  ["bin 8", "c4 02 ~ ~"],
  ["bin 16", "c5 00 02 ~ ~"],
  ["bin 32", "c6 00 00 00 02 ~ ~"],
  ["ext 8", "c7 0c ff 00 00 00 00 00 00 00 00 00 00 00 01"],
  ["ext 16", "c8 00 03 05 ~ ~ ~"],
  ["ext 32", "c9 00 00 00 01 05 ~"],
  ["float 32", "ca 3f 80 00 00"],
  ["float 64", "cb 3f f0 00 00 00 00 00 00"],
  ["uint 8", "cc ff"],
  ["uint 16", "cd ff ff"],
  ["uint 32", "ce ff ff ff ff"],
  ["uint 64", "cf ff ff ff ff ff ff ff ff"],
  ["int 8", "d0 80"],
  ["int 16", "d1 80 00"],
  ["int 32", "d2 80 00 00 00"],
  ["int 64", "d3 80 00 00 00 00 00 00 00"],
  ["fixext 1", "d4 05 ~"],
  ["fixext 2", "d5 05 ~ ~"],
  ["fixext 4", "d6 05 ~ ~ ~ ~"],
  ["fixext 8", "d7 05 ~ ~ ~ ~ ~ ~ ~ ~"],
  ["fixext 16", `d8 05 ${"~ ".repeat(16)}`],
  ["str 8", "d9 02 ~ ~"],
  ["str 16", "da 00 02 ~ ~"],
  ["str 32", "db 00 00 00 02 ~ ~"],
  ["array 16", "dc 00 02 c0 c0"],
  ["array 32", "dd 00 00 00 02 c0 c0"],
  ["map 16", "de 00 01 a1 ~ c0"],
  ["map 32", "df 00 00 00 01 a1 ~ c0"],
  ["negative fixint", "e0"],
  ["negative fixint, the last", "ff"],
];

describe.each(formats)("%s", (_name, text) => {
  const bytes = bytesOf(text.replaceAll("~", "c1")); // a body is never looked at: there, the byte that is no format is fine
  const allowed = { extensions: [-1, 5] };

  test("ends where the specification says, alone and with bytes behind", () => {
    expect(scan(bytes, allowed)).toEqual(whole(bytes.length));
    expect(scan(Buffer.concat([bytes, bytesOf("c1 c1")]), allowed)).toEqual(whole(bytes.length));
  });

  test("asks in each of its prefixes for bytes that must still come", () => {
    for (let size = 0; size < bytes.length; size++) {
      const said = scan(bytes.subarray(0, size), allowed);
      expect(said.kind).toBe("more");
      expect(said.kind === "more" && said.atLeast > size && said.atLeast <= bytes.length).toBe(true);
    }
  });
});

describe("what is still to come is known as early as it can be", () => {
  test.each([
    ["the length of a text", "db 00 00 13 88", 5005],
    ["the length of a text, and the values after it", "93 da 13 88", 4 + 5000 + 2],
    ["a byte for each value of an array", "dc 00 64", 103],
    ["two for each entry of a map", "de 00 64", 203],
    ["those of all containers around", "93 92 91", 3 + 1 + 1 + 2],
    ["the length itself", "92 c5", 1 + 3 + 1],
  ])("%s", (_name, text, atLeast) => {
    expect(scan(bytesOf(text))).toEqual({ kind: "more", atLeast });
  });
});

describe("limits", () => {
  const nested = (depth: number): Buffer => Buffer.from([...Array(depth - 1).fill(0x91), 0x90]);

  test("containers may nest 32 deep, or as deep as is told", () => {
    expect(scan(nested(32))).toEqual(whole(32));
    expect(scan(nested(33))).toEqual({ kind: "malformed", reason: "deeper than 32 levels" });
    expect(scan(nested(3), { maxDepth: 2 }).kind).toBe("malformed");
    expect(scan(bytesOf("92 81 01 90 81 01 90"), { maxDepth: 3 })).toEqual(whole(7)); // side by side is not deeper
  });

  test("100,000 arrays within each other are refused at the first too deep", () => {
    const scanner = new MsgpackScanner();
    expect(scanner.scan(nested(100_000)).kind).toBe("malformed");
    expect(scanner.items).toBe(32);
  });

  test("values are counted as soon as they are announced", () => {
    expect(scan(Buffer.from([...array16(MAX_ITEMS - 1), ...Array(MAX_ITEMS - 1).fill(1)])).kind).toBe("frame");
    expect(scan(Buffer.from(array16(MAX_ITEMS)))).toEqual({ kind: "malformed", reason: "more than 4096 values" });
    expect(scan(bytesOf("92 93 01 01 01 93"), { maxItems: 8 })).toEqual({
      kind: "malformed",
      reason: "more than 8 values",
    });
    expect(scan(bytesOf("92 93 01 01 01 93"), { maxItems: 9 }).kind).toBe("more");
  });

  test("bytes are counted as soon as they are announced", () => {
    expect(scan(bytesOf("db 00 00 ff fb"))).toEqual({ kind: "more", atLeast: MAX_BYTES });
    expect(scan(bytesOf("db 00 00 ff fc"))).toEqual({
      kind: "malformed",
      reason: "more than 65536 bytes",
      tooLarge: true,
    });
    expect(scan(bytesOf("93 c4 05"), { maxBytes: 10 })).toEqual({ kind: "more", atLeast: 10 });
    expect(scan(bytesOf("93 c4 06"), { maxBytes: 10 }).kind).toBe("malformed");
  });

  test.each(["df ff ff ff ff", "dd ff ff ff ff", "db ff ff ff ff", "c6 ff ff ff ff", "de ff ff", "c9 ff ff ff ff ff"])(
    "%s announces more than is allowed, and is refused at once",
    (text) => {
      expect(scan(bytesOf(text)).kind).toBe("malformed");
    },
  );
});

describe("refused", () => {
  test.each([
    ["the byte that is no format", "c1", "0xc1 is never used"],
    ["it within a container", "92 01 c1", "0xc1 is never used"],
    ["the record extension of msgpackr", "d4 72 40 91 a1 61 01", "extension type 114 is not allowed"],
    ["its form of two bytes", "d5 72 40 01", "extension type 114 is not allowed"],
    ["its string bundle", "d6 62 00 00 00 00", "extension type 98 is not allowed"],
    ["its RegExp", "d4 78 00 92 a1 61 a0", "extension type 120 is not allowed"],
    ["its undefined", "d4 00 00", "extension type 0 is not allowed"],
    ["an extension of the specification to come", "c7 01 80 00", "extension type -128 is not allowed"],
    ["an array as key", "81 90 01", "a container as map key"],
    ["a map as key", "82 01 02 80 01", "a container as map key"],
    ["bytes as key", "81 c4 01 61 01", "bytes as map key"],
    ["a timestamp as key", "81 d6 ff 00 00 00 00 01", "an extension as map key"],
    ["a timestamp of one byte", "d4 ff 00", "a timestamp of 1 bytes"],
    ["a timestamp of 16 bytes", `d8 ff ${"00 ".repeat(16)}`, "a timestamp of 16 bytes"],
    ["a timestamp of too many nanoseconds", "d7 ff ee 6b 28 00 00 00 00 00", "a timestamp beyond the range of dates"],
    [
      "a later timestamp than a Date",
      "c7 0c ff 00 00 00 00 00 00 07 db a8 21 80 01",
      "a timestamp beyond the range of dates",
    ],
    [
      "the last of all timestamps",
      "c7 0c ff 00 00 00 00 7f ff ff ff ff ff ff ff",
      "a timestamp beyond the range of dates",
    ],
  ])("%s", (_name, text, reason) => {
    expect(scan(bytesOf(text))).toEqual({ kind: "malformed", reason });
  });

  test.each([
    ["text", "81 a1 61 c0"],
    ["a number", "81 cd 01 00 c0"],
    ["nil", "81 c0 c0"],
    ["a container as a value", "81 01 81 02 90"],
    ["the last nanosecond", "d7 ff ee 6b 27 fc 00 00 00 00"],
    ["the last Date", "c7 0c ff 00 00 00 00 00 00 07 db a8 21 80 00"],
  ])("but not %s", (_name, text) => {
    expect(scan(bytesOf(text))).toEqual(whole(bytesOf(text).length));
  });
});

/** Bytes which count how often one of them is read. */
function counted(bytes: Uint8Array): { readonly bytes: Uint8Array; readonly reads: () => number } {
  let reads = 0;
  const proxy = new Proxy(bytes, {
    get(target, key) {
      if (typeof key === "string" && /^\d+$/.test(key)) reads++;
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { bytes: proxy, reads: () => reads };
}

/** Messages that are hard on a scanner: many values, long chains, and trees which never owe much. */
const hard: readonly Hard[] = [
  { name: "4,000 numbers", bytes: repeated(4000, Buffer.of(1)), mostLooks: 4, mostSteps: 4_100 },
  {
    name: "200 texts",
    bytes: repeated(200, Buffer.concat([bytesOf("d9 3c"), Buffer.alloc(60, 0x61)])),
    mostLooks: 150,
    mostSteps: 20_000,
  },
  {
    name: "120 chains of arrays",
    bytes: repeated(120, Buffer.from([...Array(31).fill(0x91), 1])),
    mostLooks: 200,
    mostSteps: 540_000,
  },
  { name: "a tree that owes at most 12 values", bytes: thrifty(12), mostLooks: 400, mostSteps: 800_000 },
  { name: "a tree that owes at most 4 values", bytes: thrifty(4), mostLooks: 1_100, mostSteps: 2_300_000 },
];

interface Hard {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly mostLooks: number;
  readonly mostSteps: number;
}

function repeated(count: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(array16(count)), ...Array(count).fill(value)]);
}

/** As many values as the limit allows, always announced so that few are owed: the worst for who looks from the start each time. */
function thrifty(mostOwed: number): Uint8Array {
  const bytes: number[] = [];
  const left = [1];
  for (let owed = 1, items = 1; left.length > 0; ) {
    const room = Math.min(mostOwed - owed + 1, MAX_ITEMS - items - owed, 15);
    const opens = left.length <= 32 && room > 1;
    left.push((left.pop() ?? 0) - 1);
    bytes.push(opens ? 0x90 | room : 1);
    if (opens) left.push(room);
    owed += opens ? room - 1 : -1;
    items++;
    while (left.at(-1) === 0) left.pop();
  }
  return Uint8Array.from(bytes);
}

describe.each(hard)("the work for $name", ({ bytes, mostLooks, mostSteps }) => {
  test("is the same whether they come at once or one by one", () => {
    const atOnce = counted(bytes);
    expect(new MsgpackScanner().scan(atOnce.bytes)).toEqual(whole(bytes.length));
    const scanner = new MsgpackScanner();
    let reads = 0;
    for (let size = 0; size <= bytes.length; size++) {
      const head = counted(bytes.subarray(0, size));
      const said = scanner.scan(head.bytes);
      expect(said.kind).toBe(size === bytes.length ? "frame" : "more");
      reads += head.reads();
    }
    // one look more per call at the value which is not whole: at most its first byte and four of its length
    expect(reads).toBeLessThanOrEqual(atOnce.reads() + 5 * bytes.length);
    expect(scanner.items).toBeLessThanOrEqual(MAX_ITEMS);
  });

  test("stays bounded for who forgets, and asks again from the start when atLeast is there", () => {
    let looks = 0;
    let steps = 0;
    for (let size = 0; ; ) {
      const scanner = new MsgpackScanner();
      const said = scanner.scan(bytes.subarray(0, size));
      looks++;
      steps += scanner.items;
      if (said.kind !== "more") break;
      size = said.atLeast;
    }
    expect(looks).toBeLessThanOrEqual(mostLooks);
    expect(steps).toBeLessThanOrEqual(mostSteps);
  });
});

test("a scanner that has decided stays with it", () => {
  const done = new MsgpackScanner();
  expect(done.scan(bytesOf("01"))).toEqual(whole(1));
  expect(done.scan(bytesOf("01 c1"))).toEqual(whole(1));
  const refused = new MsgpackScanner();
  expect(refused.scan(bytesOf("91 c1")).kind).toBe("malformed");
  expect(refused.scan(bytesOf("91 c1 01")).kind).toBe("malformed");
});
