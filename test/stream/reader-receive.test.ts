import { afterEach, describe, expect, test } from "vitest";
import type { Received } from "../../src/stream/reader.ts";
import { all, closeReaders, reading, said, settle, withClient } from "./reader-rig.ts";

afterEach(closeReaders);

describe("receive lines (§3.2)", () => {
  test.each([
    ["a line ends with LF, which is dropped", "one\ntwo\n", ["one", "two"]],
    ["all CRs are dropped, wherever they stand", "a\rb\r\nc\r\r\n", ["ab", "c"]],
    ["an empty line is empty data", "\n\r\n", ["", ""]],
  ])("%s", async (_, input, lines) => {
    const reader = reading(input);
    expect(await all(...lines.map(() => () => reader.receive()))).toEqual(lines);
  });

  test("no argument means *l", async () => {
    const reader = reading("a\r\nb\r\n");
    expect(
      await all(
        () => reader.receive("*l"),
        () => reader.receive(),
      ),
    ).toEqual(["a", "b"]);
  });

  test("bytes after LF stay buffered", async () => {
    const reader = reading("line\nre", "st", null);
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(4),
      ),
    ).toEqual(["line", "rest"]);
  });

  test("the end before LF answers closed with the partial line, CRs removed; then just closed", async () => {
    const reader = reading("par\rt", null);
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(),
      ),
    ).toEqual(["closed [part]", "closed []"]);
  });

  test("a line of maxBytes is a line; one more is 'line too long', and reading goes on behind those bytes", async () => {
    const reader = reading("12345\n1234567\n");
    const line = (): Promise<Received> => reader.receive("*l", { maxBytes: 5 });
    expect(await all(line, line, line)).toEqual(["12345", "line too long [12345]", "67"]);
  });

  test("a long line is refused before its end has come", async () => {
    const reader = reading("x".repeat(100));
    expect(said(await reader.receive("*l", { maxBytes: 10 }))).toBe(`line too long [${"x".repeat(10)}]`);
  });
});

describe("receive all (§3.2)", () => {
  test("*a gives all bytes until the end, CRs kept", async () => {
    expect(said(await reading("a\r\n", "b\r\n", null).receive("*a"))).toBe("a\r\nb\r\n");
  });

  test("*a at an end with nothing before it is empty data, also when repeated", async () => {
    const reader = reading(null);
    const read = (): Promise<Received> => reader.receive("*a");
    expect(await all(read, read, read)).toEqual(["", "", ""]);
  });

  test("*a after lines gives only the rest", async () => {
    const reader = reading("a\nb\nc", null);
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive("*a"),
      ),
    ).toEqual(["a", "b\nc"]);
  });

  test("*a never fails with closed: also after a line has told the end it is empty", async () => {
    const reader = reading("x", null);
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive("*a"),
      ),
    ).toEqual(["closed [x]", ""]);
  });

  test("*a beyond maxBytes answers 'buffer full' with the first of them", async () => {
    const reader = reading("123", "456", null);
    const read = (): Promise<Received> => reader.receive("*a", { maxBytes: 4 });
    expect(await all(read, read)).toEqual(["buffer full [1234]", "56"]);
  });
});

describe("receive a size (§3.2)", () => {
  test("exactly that many bytes, in whatever chunks they come", async () => {
    const reader = reading("1", "23", "456");
    expect(
      await all(
        () => reader.receive(5),
        () => reader.receive(1),
      ),
    ).toEqual(["12345", "6"]);
  });

  test("numeric text is a size", async () => {
    const reader = reading("1234567890x");
    expect(said(await reader.receive("10"))).toBe("1234567890");
  });

  test("an early end answers closed with what was read; then just closed", async () => {
    const reader = reading("123", null);
    expect(
      await all(
        () => reader.receive(5),
        () => reader.receive(5),
      ),
    ).toEqual(["closed [123]", "closed []"]);
  });

  test("0 is empty data at once, but closed once the end was told", async () => {
    const reader = reading("x", null);
    const nothing = (): Promise<Received> => reader.receive(0);
    expect(await all(nothing, () => reader.receive(2), nothing)).toEqual(["", "closed [x]", "closed []"]);
  });

  test("a size beyond maxBytes answers 'buffer full' and reads nothing", async () => {
    const reader = reading("12345");
    const read = (): Promise<Received> => reader.receive(5, { maxBytes: 4 });
    expect(await all(read, () => reader.receive(5))).toEqual(["buffer full []", "12345"]);
    expect((await reader.receive(1_048_577)).err).toBe("buffer full");
  });

  test.each([
    ["*x", "bad pattern argument: *x"],
    ["l", "bad pattern argument: l"],
    ["", "bad pattern argument: "],
    ["1.5", "bad pattern argument: 1.5"],
    [1.5, "bad pattern argument: 1.5"],
    [Number.NaN, "bad pattern argument: NaN"],
    [null, "bad pattern argument: null"],
    [-1, "bad size argument: -1"],
    ["-1", "bad size argument: -1"],
  ])("receive(%j) is misuse and throws", async (pattern, message) => {
    await expect(reading("x").receive(pattern as number)).rejects.toThrow(new TypeError(message));
  });
});

describe("receiveAny (§3.4)", () => {
  test("gives what is there, at most max; the rest stays buffered", async () => {
    const reader = reading("hello world");
    expect(
      await all(
        () => reader.receiveAny(7),
        () => reader.receiveAny(7),
      ),
    ).toEqual(["hello w", "orld"]);
  });

  test("waits for at least one byte", async () => {
    const { reader, far } = withClient();
    const read = reader.receiveAny(10);
    await settle();
    far.push("x");
    expect(said(await read)).toBe("x");
  });

  test("the end answers closed", async () => {
    const reader = reading("x", null);
    const read = (): Promise<Received> => reader.receiveAny(10);
    expect(await all(read, read, read)).toEqual(["x", "closed []", "closed []"]);
  });

  test.each([0, -1, 1.5, Number.NaN, undefined])("receiveAny(%s) is misuse and throws", async (max) => {
    await expect(reading("x").receiveAny(max as number)).rejects.toThrow(new TypeError(`bad max argument: ${max}`));
  });
});
