import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Reader, Received } from "../../src/stream/reader.ts";
import { closeReaders, reading, said, settle, withClient } from "./reader-rig.ts";

afterEach(closeReaders);

describe("timeouts (§3.2, §3.5)", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  async function pass(ms: number): Promise<void> {
    await settle(); // what waits now is waiting when the time has passed
    vi.advanceTimersByTime(ms);
    await settle();
  }

  test("a timeout hands out the partial bytes once; later reads go on behind them", async () => {
    const { reader, far } = withClient();
    far.push("par\rt");
    const first = reader.receive();
    await pass(60_000);
    expect(said(await first)).toBe("timeout [part]");
    const second = reader.receive();
    await pass(60_000);
    expect(said(await second)).toBe("timeout []");
    far.push("rest\n");
    expect(said(await reader.receive())).toBe("rest");
  });

  test.each<[string, (reader: Reader) => Promise<Received>]>([
    ["receive(10)", (reader) => reader.receive(10)],
    ["receive('*a')", (reader) => reader.receive("*a")],
    ["receiveUntil", (reader) => reader.receiveUntil(";")()],
    ["receiveUntil with a size", (reader) => reader.receiveUntil(";")(10) as Promise<Received>],
  ])("%s times out with its partial bytes, and they are consumed", async (_, read) => {
    const { reader, far } = withClient();
    far.push("part");
    const waiting = read(reader);
    await pass(60_000);
    expect(said(await waiting)).toBe("timeout [part]");
    far.push("next");
    expect(said(await reader.receive(4))).toBe("next");
  });

  test("receiveAny times out without an end", async () => {
    const { reader, far } = withClient();
    const waiting = reader.receiveAny(10);
    await pass(60_000);
    expect(said(await waiting)).toBe("timeout []");
    far.push("x");
    expect(said(await reader.receiveAny(10))).toBe("x");
  });

  test("it is an idle time, begun anew with each byte: one byte per 59 s keeps a read of 60 s alive", async () => {
    const { reader, far } = withClient();
    const read = reader.receive(5);
    for (const byte of "slow") {
      await pass(59_000);
      far.push(byte);
    }
    await pass(59_000);
    far.push("!");
    expect(said(await read)).toBe("slow!");
  });

  test("time between two reads does not count", async () => {
    const { reader, far } = withClient();
    far.push("a");
    expect(said(await reader.receive(1))).toBe("a");
    await pass(100_000);
    const read = reader.receive(1);
    await pass(59_000);
    far.push("b");
    expect(said(await read)).toBe("b");
  });

  test("setTimeout holds for later reads, and 0 stands for the default", async () => {
    const { reader } = withClient();
    const before = reader.receive(1);
    reader.setTimeout(1_000);
    await pass(59_999);
    expect(vi.getTimerCount()).toBe(1);
    await pass(1);
    expect(said(await before)).toBe("timeout []");
    const short = reader.receive(1);
    await pass(1_000);
    expect(said(await short)).toBe("timeout []");
    reader.setTimeout(0);
    const long = reader.receive(1);
    await pass(59_999);
    expect(vi.getTimerCount()).toBe(1);
    await pass(1);
    expect(said(await long)).toBe("timeout []");
  });

  test.each([-1, 2 ** 31, Number.NaN, "1"])("setTimeout(%s) is misuse and throws", (ms) => {
    expect(() => reading().setTimeout(ms as number)).toThrow(new TypeError(`bad timeout value: ${ms}`));
  });

  test("one timer serves all reads", async () => {
    const reader = reading("1\n", "2\n", "3\n", "4");
    for (let count = 0; count < 3; count++) await reader.receive();
    expect(vi.getTimerCount()).toBe(1);
    const read = reader.receive(2);
    await pass(60_000);
    expect(said(await read)).toBe("timeout [4]");
  });

  test("a deadline is the total time, whatever comes in between", async () => {
    const { reader, far } = withClient();
    const read = reader.receive(10, { deadlineMs: 3_000 });
    for (const byte of "ab") {
      await pass(1_000);
      far.push(byte);
    }
    await pass(1_000);
    expect(said(await read)).toBe("timeout [ab]");
    far.push("c");
    expect(said(await reader.receive(1))).toBe("c");
  });

  test("the idle timeout holds within a longer deadline", async () => {
    const { reader } = withClient();
    const read = reader.receive(10, { deadlineMs: 90_000 });
    await pass(60_000);
    expect(said(await read)).toBe("timeout []");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("peek has its own total time, shorter or longer than the idle timeout", async () => {
    const { reader, far } = withClient();
    far.push("ab");
    const short = reader.peek(5, { timeoutMs: 100 });
    await pass(100);
    expect(said(await short)).toBe("timeout [ab]");
    const long = reader.peek(5, { timeoutMs: 90_000 });
    await pass(89_000);
    far.push("cde");
    expect(said(await long)).toBe("abcde");
  });

  test("receiveUntil goes on matching after a timeout, and other reads lose no byte (§3.3)", async () => {
    const { reader, far } = withClient();
    const until = reader.receiveUntil("--abc");
    far.push("x--a");
    const first = until();
    await pass(60_000);
    expect(said(await first)).toBe("timeout [x]");
    far.push("bcy--a");
    expect(said(await until())).toBe("");
    const second = until();
    await pass(60_000);
    expect(said(await second)).toBe("timeout [y]");
    expect(said(await reader.receive(3))).toBe("--a");
  });
});
