import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { line } from "../../src/codecs/line.ts";
import { codecLaws } from "../laws/codec-laws.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const samples = [
  { name: "a word", value: "hello" },
  { name: "nothing", value: "" },
  { name: "all of Unicode", value: "é🎲\u2028" },
  { name: "the longest line", value: "x".repeat(98) },
];
const faults = [
  Buffer.from("a\r\nb\nc\r"),
  Buffer.from("\r\r\n"),
  Buffer.alloc(200, 0x61),
  Buffer.from("\xff\xfe\n", "latin1"),
];
codecLaws(line({ maxBytes: 100 }), samples, faults);
codecLaws(line({ maxBytes: 100, end: "\r\n" }), samples, faults);
codecLaws(line({ maxBytes: 100, end: "\r\n", strict: true }), samples, faults);
codecLaws(line({ maxBytes: 100, strict: true }), [{ name: "a carriage return", value: "a\r" }], faults);
codecLaws(line({ encoding: "latin1" }), [{ name: "every byte but the end", value: "\0\t\x7f\x80ÿ" }], faults);

const decode = (text: string, options?: Parameters<typeof line>[0]) =>
  line(options).decode(Buffer.from(text, "latin1"));

describe("the end of a line", () => {
  test.each([
    ["is LF", "a\nb\n", "a", 2],
    ["is CR LF", "a\r\nb", "a", 3],
    ["may have several CRs", "a\r\r\n", "a", 4],
    ["is no CR alone", "a\rb\n", "a\rb", 4],
  ])("%s", (_name, text, value, size) => {
    expect(decode(text)).toEqual({ kind: "frame", value, size });
  });

  test("is LF alone where that is strict: a CR is a character", () => {
    expect(decode("a\r\n", { strict: true })).toEqual({ kind: "frame", value: "a\r", size: 3 });
  });

  test.each([
    ["a line feed without carriage return", "a\nb\r\n"],
    ["a line feed without carriage return", "\n"],
    ["a carriage return within a line", "a\rb\r\n"],
    ["a carriage return within a line", "a\r\r\n"],
    ["a carriage return within a line", "a\rb\n"],
  ])("is CR LF alone where that is strict: %s in %j (RFC 5321 §2.3.8)", (reason, text) => {
    expect(decode(text, { end: "\r\n", strict: true })).toEqual({ kind: "malformed", reason });
  });
});

describe("a line that is too long", () => {
  const tooLarge = { kind: "malformed", reason: "more than 10 bytes", tooLarge: true };

  test("is refused as soon as its end cannot come in time", () => {
    expect(decode("123456789", { maxBytes: 10 })).toEqual({ kind: "more", atLeast: 10 });
    expect(decode("1234567890", { maxBytes: 10 })).toEqual(tooLarge);
    expect(decode("1234567890\n", { maxBytes: 10 })).toEqual(tooLarge);
    expect(decode("123456789\n", { maxBytes: 10 }).kind).toBe("frame");
  });

  test("has more than 8,192 bytes where nothing is said", () => {
    expect(decode(`${"x".repeat(8_191)}\n`).kind).toBe("frame");
    expect(decode(`${"x".repeat(8_192)}\n`)).toMatchObject({ tooLarge: true });
  });

  test("is not written", () => {
    expect(() => line({ maxBytes: 10 }).encode("1234567890")).toThrow(RangeError);
    expect(Buffer.from(line({ maxBytes: 10 }).encode("123456789")).toString()).toBe("123456789\n");
  });
});

describe("a text that would be two lines is not written", () => {
  test.each([
    ["a line feed", "a\nb", {}],
    ["a carriage return where CR LF is strict", "a\rb", { end: "\r\n", strict: true } as const],
    ["a character whose latin1 is a line feed", "a\u010ab", { encoding: "latin1" } as const],
  ])("%s", (_name, text, options) => {
    expect(() => line(options).encode(text)).toThrow(TypeError);
  });
});

test("wrong options are said at start", () => {
  expect(() => line({ maxBytes: 0 })).toThrow(TypeError);
  expect(() => line({ maxBytes: Number.NaN })).toThrow(TypeError);
  expect(() => line(JSON.parse(`{"end":"\\r"}`))).toThrow(TypeError);
  expect(() => line(JSON.parse(`{"encoding":"utf7"}`))).toThrow(TypeError);
});

test("latin1 gives every byte back", () => {
  const codec = line({ encoding: "latin1", strict: true });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const text = Buffer.concat([bytes.filter((byte) => byte !== 0x0a), Buffer.from("\n")]);
      const decoded = codec.decode(text);
      expect(decoded.kind === "frame" && Buffer.from(codec.encode(decoded.value))).toEqual(text);
    }),
    { numRuns: RUNS },
  );
});

test("1 MiB that comes byte by byte is looked at once", () => {
  const bytes = Buffer.alloc(1_048_576, "x");
  bytes[bytes.length - 1] = 0x0a;
  const codec = line({ maxBytes: bytes.length }).begin?.({});
  const start = performance.now();
  for (let size = 1; size < bytes.length; size++) codec?.decode(bytes.subarray(0, size));
  expect(codec?.decode(bytes).kind).toBe("frame");
  expect(performance.now() - start).toBeLessThan(40_000); // from the start each time it would be 5·10^11 bytes: minutes
});
