import { afterEach, describe, expect, test } from "vitest";
import type { Received, RunEnd } from "../../src/stream/reader.ts";
import { memorySocket } from "../support/memory-socket.ts";
import { all, closeReaders, readerOf, reading, said } from "./reader-rig.ts";

afterEach(closeReaders);

describe("receiveUntil (§3.3)", () => {
  test.each([
    ["abcabd", "abcabcabd\n", "abc", "\n"],
    ["aa", "abcabcaad\n", "abcabc", "d\n"],
    ["aaa", "abaabcaaaef\n", "abaabc", "ef\n"],
    ["aaaaad", "baaaaaaaaeaaaaaaadf\n", "baaaaaaaaeaa", "f\n"],
    ["abcabdabcabe", "abcabdabcabdabcabe\n", "abcabd", "\n"],
    ["abcabdabcabe", "ababcabdabcabe\n", "ab", "\n"],
    ["--abc", "----abc\n", "--", "\n"],
    ["\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\nbody", "GET / HTTP/1.0\r\nHost: a", "body"],
  ])("up to %j in %j comes %j", async (delimiter, input, data, rest) => {
    for (const chunks of [[input], [...input]]) {
      const reader = reading(...chunks, null);
      const until = reader.receiveUntil(delimiter);
      expect(await all(until, until)).toEqual([data, `closed [${rest}]`]);
      const again = reading(...chunks, null);
      const inclusive = again.receiveUntil(delimiter, { inclusive: true });
      expect(await all(inclusive, inclusive)).toEqual([data + delimiter, `closed [${rest}]`]);
    }
  });

  test("is binary safe", async () => {
    const reader = readerOf(memorySocket(Buffer.from("00ff0a00ff0a01", "hex")));
    const { data } = await reader.receiveUntil(Buffer.from("ff0a01", "hex"))();
    expect(data?.toString("hex")).toBe("00ff0a00");
  });

  test("a size gives chunks, then once {}, then starts anew", async () => {
    for (const chunks of [["hello, world ----abc\n"], [..."hello, world ----abc\n"]]) {
      const until = reading(...chunks, null).receiveUntil("--abc");
      const read = (): Promise<Received | RunEnd> => until(4);
      const words = ["hell", "o, w", "orld", " --", "", "{}", "closed [\n]"];
      expect(await all(...words.map(() => read))).toEqual(words);
    }
  });

  test("inclusive chunks end with the delimiter", async () => {
    const until = reading("hello, world ----abc\n", null).receiveUntil("--abc", { inclusive: true });
    const words = ["hell", "o, w", "orld", " --", "--abc", "{}", "closed [\n]"];
    expect(await all(...words.map(() => () => until(4)))).toEqual(words);
  });

  test("a run may be finished without a size; of a run that a chunk has ended, nothing is left", async () => {
    const until = reading("hello--abcxy--abcz", null).receiveUntil("--abc");
    const reads = [() => until(2), () => until(), () => until(8), () => until(), () => until(8)];
    expect(await all(...reads)).toEqual(["he", "llo", "xy", "", "closed [z]"]);
  });

  test("a negative size is no size", async () => {
    expect(said(await reading("abc;").receiveUntil(";")(-1))).toBe("abc");
  });

  test("without the delimiter the end answers closed; a beginning of it is in partial (design: no byte is lost)", async () => {
    const reader = reading("data--ab", null);
    const until = reader.receiveUntil("--abc");
    expect(await all(until, until)).toEqual(["closed [data--ab]", "closed []"]);
  });

  test("several iterators and plain receives may alternate", async () => {
    const reader = reading(..."hello, world ----abc\n", null);
    const until = reader.receiveUntil("--abc");
    const byte = (): Promise<Received> => reader.receive(1);
    const read = (): Promise<Received | RunEnd> => until(4);
    const words = ["hell", "o", ", wo", "r", "ld -", "-", "", "\n", "{}", "closed []"];
    expect(await all(read, byte, read, byte, read, byte, read, byte, read, byte)).toEqual(words);
    const other = reading("a;b,c;d");
    const [semicolon, comma] = [other.receiveUntil(";"), other.receiveUntil(",")];
    expect(await all(semicolon, comma, semicolon)).toEqual(["a", "b", "c"]);
  });

  test("more than maxBytes before the delimiter answers 'buffer full' with the first of them", async () => {
    for (const chunks of [["123456;"], [..."123456;"]]) {
      const until = reading(...chunks).receiveUntil(";", { maxBytes: 4 });
      expect(await all(until, until)).toEqual(["buffer full [1234]", "56"]);
    }
  });

  test("an empty delimiter answers 'pattern is empty'", async () => {
    const until = reading("x").receiveUntil("");
    expect(await all(until, () => until(3))).toEqual(["pattern is empty []", "pattern is empty []"]);
  });

  test("an inclusive that is no boolean is misuse and throws", () => {
    const options = { inclusive: "true" } as unknown as { inclusive: boolean };
    expect(() => reading().receiveUntil("a", options)).toThrow(
      new TypeError('bad "inclusive" option value type: string'),
    );
  });

  test("a size that is no number is misuse and throws", async () => {
    await expect(reading("x").receiveUntil(";")(Number.NaN)).rejects.toThrow(new TypeError("bad size argument: NaN"));
  });
});
