import { afterEach, describe, expect, test } from "vitest";
import type { Received } from "../../src/stream/reader.ts";
import { all, closeReaders, reading, said } from "./reader-rig.ts";

afterEach(closeReaders);

describe("peek (§4.1, and design: an error instead of the session's end)", () => {
  test("always starts at byte 0 of the unread bytes and consumes nothing", async () => {
    const reader = reading("ab", "cdef");
    const peek = (size: number) => (): Promise<Received> => reader.peek(size);
    expect(await all(peek(3), peek(5), peek(1), () => reader.receive(2), peek(2))).toEqual([
      ...["abc", "abcde", "a"],
      ...["ab", "cd"],
    ]);
  });

  test("peek(0) is empty data", async () => {
    expect(said(await reading().peek(0))).toBe("");
  });

  test("more than the preread buffer answers 'buffer full' with what is there", async () => {
    const reader = reading("abc");
    expect(
      await all(
        () => reader.peek(2),
        () => reader.peek(17),
      ),
    ).toEqual(["ab", "buffer full [abc]"]);
    expect(said(await reader.receive(3))).toBe("abc");
  });

  test("the end answers closed with what is there, which stays unread", async () => {
    const reader = reading("abc", null);
    const peek = (): Promise<Received> => reader.peek(5);
    expect(await all(peek, peek, () => reader.receive(3), peek)).toEqual([
      ...["closed [abc]", "closed [abc]"],
      ...["abc", "closed []"],
    ]);
  });

  test("orLess is content with what is there, but at least one byte", async () => {
    const reader = reading("abc", null);
    const peek = (): Promise<Received> => reader.peek(1_000, { orLess: true });
    expect(await all(peek, () => reader.receive(3), peek)).toEqual(["abc", "abc", "closed []"]);
  });

  test.each([-1, 1.5, Number.NaN, undefined])("peek(%s) is misuse and throws", async (size) => {
    await expect(reading("x").peek(size as number)).rejects.toThrow(new TypeError(`bad size argument: ${size}`));
  });
});
