import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { StructValue } from "../../../src/codecs/struct/field.ts";
import { decodeFloat16, encodeFloat16 } from "../../../src/codecs/struct/float16.ts";
import { struct } from "../../../src/codecs/struct/struct.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";
import { askPython, type Carried } from "./python.ts";

// Python's own struct module is the judge: formats and values are made at random, and asked about all at once.

interface Item {
  readonly text: string;
  readonly values: readonly unknown[];
}

const LETTERS = "xcbB?hHiIlLqQefdspnN";
const near = (limit: bigint): fc.Arbitrary<bigint> => fc.bigInt(-2n, 2n).map((off) => limit + off);
const whole = fc.oneof(
  fc.bigInt(-130n, 300n),
  ...[7n, 8n, 15n, 16n, 31n, 32n, 63n, 64n].flatMap((bits) => [near(2n ** bits), near(-(2n ** bits))]),
);
const real = fc.oneof(
  fc.double(),
  fc.float(),
  fc.double({ min: -70_000, max: 70_000 }),
  fc.double({ min: -1e-4, max: 1e-4 }),
  fc.integer({ min: -65_536, max: 65_536 }).map((value) => value / 32),
  fc.constantFrom(65_519.999, 65_520, 3.4028235677973366e38, 3.40282356e38, -0, Number.NaN, 2 ** -25, 3 * 2 ** -25),
);

function anyValueOf(letter: string): fc.Arbitrary<unknown> {
  if ("sp".includes(letter)) return fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes));
  if (letter === "c") return fc.uint8Array({ minLength: 1, maxLength: 1 }).map((bytes) => Buffer.from(bytes));
  if (letter === "?") return fc.boolean();
  if ("efd".includes(letter)) return real;
  return "qQnN".includes(letter) ? whole : whole.map(Number);
}

const item = fc
  .tuple(fc.constantFrom(...LETTERS), fc.option(fc.integer({ min: 0, max: 11 }), { nil: undefined }))
  .filter(([letter, count]) => letter !== "p" || count !== 0)
  .chain(([letter, count = undefined]): fc.Arbitrary<Item> => {
    const length = letter === "x" ? 0 : "sp".includes(letter) ? 1 : (count ?? 1);
    const values = fc.array(anyValueOf(letter), { minLength: length, maxLength: length });
    return values.map((list) => ({ text: `${count ?? ""}${letter}`, values: list }));
  });

const question = fc
  .tuple(
    fc.constantFrom("", "@", "=", "<", ">", "!"),
    fc.array(item, { maxLength: 7 }),
    fc.constantFrom("", " ", "\n "),
  )
  .map(([order, items, blank]) => {
    const isNative = order === "" || order === "@";
    const known = items.filter(({ text }) => isNative || !/[nN]/.test(text));
    return { order, items: known, format: order + known.map(({ text }) => text).join(blank) };
  });

/** `@` is `=` here, where Python has its C compiler's sizes and gaps; it alone has `n` and `N`, which are `q` and `Q`. */
function forPython(format: string): string {
  const standard = format.replace(/^@|^(?![=<>!])/, "=");
  return standard.replaceAll("n", "q").replaceAll("N", "Q");
}

function carried(value: unknown): Carried {
  if (typeof value === "bigint") return ["i", String(value)];
  if (typeof value === "boolean") return ["?", String(value)];
  if (value instanceof Uint8Array) return ["s", Buffer.from(value).toString("hex")];
  const double = Buffer.alloc(8);
  double.writeDoubleBE(Number(value));
  return ["f", double.toString("hex")];
}

/** Python tells integers and floats apart by their letter alone. */
function carriedBy(letter: string, value: unknown): Carried {
  return typeof value === "number" && !"efd".includes(letter) ? ["i", String(BigInt(value))] : carried(value);
}

function packedBy(format: string, values: readonly unknown[]): Buffer | undefined {
  try {
    return struct(format).pack(...(values as readonly StructValue[]));
  } catch (cause) {
    if (cause instanceof TypeError && cause.message.startsWith("struct: value ")) return undefined;
    throw cause;
  }
}

test("formats and values at random: the same bytes, the same refusals, the same values back", () => {
  const asked = fc.sample(question, RUNS);
  const answers = askPython(
    asked.map(({ format, items }) => ({
      format: forPython(format),
      values: items.flatMap(({ text, values }) => values.map((value) => carriedBy(text.slice(-1), value))),
    })),
  );
  let packed = 0;
  asked.forEach(({ format, items }, index) => {
    const { size, hex, unpacked = [] } = answers[index] ?? {};
    const values = items.flatMap((one) => one.values);
    const letters = items.flatMap(({ text, values: list }) => list.map(() => text.slice(-1)));
    const bytes = packedBy(format, values);
    expect({ format, values, size: struct(format).size, hex: bytes?.toString("hex") }).toEqual({
      format,
      values,
      size,
      hex,
    });
    if (!bytes) return;
    packed++;
    const back = struct(format)
      .unpack(bytes)
      .map((value, place) => carriedBy(letters[place] ?? "", value));
    expect({ format, back }).toEqual({ format, back: unpacked });
  });
  expect(packed).toBeGreaterThan(RUNS / 4); // both answers must have been seen
  expect(packed).toBeLessThan(RUNS);
});

test("texts at random: a format to both or to none, with the same size", () => {
  const character = fc.constantFrom(...`@=<>!0123456789 \t${LETTERS}zC`);
  const formats = fc
    .sample(fc.array(character, { maxLength: 6 }), RUNS)
    .map((characters) => characters.join(""))
    .filter((format) => !/(?<!\d)0+p/.test(format)); // Python writes it and cannot read it
  const answers = askPython(formats.map((format) => ({ format })));
  formats.forEach((format, index) => {
    const { size } = answers[index] ?? {};
    const isStandard = /^[=<>!]/.test(format);
    let ours: number | undefined;
    try {
      ours = struct(format).size;
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
    }
    if (isStandard) expect({ format, size: ours }).toEqual({ format, size });
    else expect({ format, isOne: ours !== undefined }).toEqual({ format, isOne: size !== undefined });
  });
});

describe("floats of 16 bits", () => {
  test("all 65,536 of them are read as Python reads them, and written back", () => {
    const bits = Array.from({ length: 65_536 }, (_, index) => index);
    const bytes = Buffer.alloc(2 * bits.length);
    for (const value of bits) bytes.writeUInt16BE(value, 2 * value);
    const values = struct(`>${bits.length}e`).unpack(bytes);
    const [answer] = askPython([{ format: `>${bits.length}e`, values: values.map(carried) }]);
    expect(answer?.unpacked).toEqual(values.map(carried));
    const wrong = bits.filter((value) => {
      const number = decodeFloat16(value);
      return encodeFloat16(number) !== (Number.isNaN(number) ? 0x7e00 : value);
    });
    expect(wrong).toEqual([]);
  });
});
