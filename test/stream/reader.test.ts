import type { Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Codec, frame, malformed, needs } from "../../src/codecs/codec.ts";
import { Inlet } from "../../src/stream/inlet.ts";
import { Reader, type Received, type ReceivedFrame, type RunEnd } from "../../src/stream/reader.ts";
import { memorySocket } from "../support/memory-socket.ts";
import { socketPair } from "../support/sockets.ts";

const open: { destroy(): unknown }[] = [];
const readers: Reader[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const reader of readers.splice(0)) reader.stop();
});

function readerOf(socket: Socket): Reader {
  const reader = new Reader(new Inlet(socket), { peekBytes: 16 });
  open.push(socket);
  readers.push(reader);
  return reader;
}

/** A reader of bytes which are there from the start, in these chunks; null is the end. */
const reading = (...chunks: (string | null)[]): Reader => readerOf(memorySocket(...chunks));

/** Results as text: `data`, `err [partial]`, or `{}`. */
function said(result: Received | RunEnd | ReceivedFrame<string>): string {
  if (result.err !== undefined) return `${result.err} [${result.partial}]`;
  if ("value" in result) return String(result.value);
  return result.data === undefined ? "{}" : result.data.toString();
}

async function all(...reads: (() => Promise<Received | RunEnd>)[]): Promise<string[]> {
  const results: string[] = [];
  for (const read of reads) results.push(said(await read()));
  return results;
}

/** What the client does is told by `far`; time passes by the test's own clock. */
function withClient(): { reader: Reader; far: Socket } {
  const far = memorySocket();
  return { reader: readerOf(far), far };
}

/** Two lets of the queue: a push arrives, a read goes on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)));

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

describe("timeouts (§3.2, §3.5)", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
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

  test("one timer serves all reads, and stop ends it", async () => {
    const reader = reading("1\n", "2\n", "3\n", "4");
    for (let count = 0; count < 3; count++) await reader.receive();
    expect(vi.getTimerCount()).toBe(1);
    reader.stop();
    expect(vi.getTimerCount()).toBe(0);
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

describe("one reader at a time (§3.6)", () => {
  test("a second read answers 'socket busy reading' at once, whatever both are", async () => {
    const { reader, far } = withClient();
    const reads: (() => Promise<Received | RunEnd | ReceivedFrame<string>>)[] = [
      () => reader.receive(),
      () => reader.receive("*a"),
      () => reader.receive(0),
      () => reader.receiveAny(1),
      () => reader.receiveUntil(";")(),
      () => reader.peek(1),
      () => reader.receiveFrame(netstring),
    ];
    const first = reader.receive(3);
    for (const read of reads) expect(said(await read())).toBe("socket busy reading []");
    far.push("abc");
    expect(said(await first)).toBe("abc");
  });

  test("the reader is free again after each kind of answer", async () => {
    const reader = reading("!\n", null);
    await expect(reader.receiveFrame(netstring)).rejects.toThrow();
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(),
        () => reader.receive(),
      ),
    ).toEqual([...["!", "closed []", "closed []"]]);
  });
});

/** `5:hello,`: a frame with a length in front. */
const netstring: Codec<string> = {
  name: "netstring",
  decode(bytes) {
    const text = Buffer.from(bytes).toString("latin1");
    const [, digits, colon] = /^(\d{0,3})(:?)/.exec(text) ?? [];
    if (digits === undefined || (colon === "" && text.length > digits.length)) return malformed("bad length");
    if (colon === "") return needs(text.length + 1);
    const end = digits.length + 1 + Number(digits);
    if (text.length <= end) return needs(end + 1);
    return text[end] === "," ? frame(text.slice(digits.length + 1, end), end + 1) : malformed("no comma");
  },
  encode: (value) => Buffer.from(`${value.length}:${value},`),
};

describe("receiveFrame", () => {
  test("gives one frame after another, in whatever chunks they come", async () => {
    for (const chunks of [["5:hello,0:,2:ab,"], [..."5:hello,0:,2:ab,"]]) {
      const reader = reading(...chunks, null);
      const results = [];
      for (let count = 0; count < 4; count++) results.push(said(await reader.receiveFrame(netstring)));
      expect(results).toEqual(["hello", "", "ab", "closed []"]);
    }
  });

  test("bytes that are no frame throw RC_FRAME with the codec's name and reason", async () => {
    await expect(reading("x").receiveFrame(netstring)).rejects.toMatchObject({
      code: "RC_FRAME",
      message: "malformed frame: netstring: bad length",
    });
  });

  test("an end inside a frame answers closed with what was there", async () => {
    const reader = reading("5:hel", null);
    const read = (): Promise<ReceivedFrame<string>> => reader.receiveFrame(netstring);
    expect([said(await read()), said(await read())]).toEqual(["closed [5:hel]", "closed []"]);
  });

  test("after a timeout the frame may still be received whole", async () => {
    const { reader, far } = withClient();
    reader.setTimeout(1);
    far.push("5:hel");
    expect(said(await reader.receiveFrame(netstring))).toBe("timeout [5:hel]");
    far.push("lo,");
    expect(said(await reader.receiveFrame(netstring))).toBe("hello");
  });

  test("a frame beyond maxBytes answers 'buffer full' and stays unread", async () => {
    for (const chunks of [["5:hello,"], [..."5:hello,"]]) {
      const reader = reading(...chunks);
      expect((await reader.receiveFrame(netstring, { maxBytes: 7 })).err).toBe("buffer full");
      expect(said(await reader.receiveFrame(netstring, { maxBytes: 8 }))).toBe("hello");
    }
  });
});

describe("over a real connection", () => {
  async function connected(): Promise<{ reader: Reader; far: Socket }> {
    const { near, far } = await socketPair();
    open.push(far);
    return { reader: readerOf(near), far };
  }

  test("a reset answers 'connection reset by peer' with what had come; then closed (§3.2)", async () => {
    const { reader, far } = await connected();
    far.write("part");
    expect(said(await reader.peek(4))).toBe("part");
    const read = reader.receive();
    far.resetAndDestroy();
    expect(said(await read)).toBe("connection reset by peer [part]");
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive("*a"),
        () => reader.receiveAny(1),
      ),
    ).toEqual([...["closed []", "closed []", "closed []"]]);
  });

  test("after the client's end its reading half still takes bytes (§3.2: only the read half is finished)", async () => {
    const { near, far } = await socketPair();
    open.push(far);
    const reader = readerOf(near);
    far.end("bye\n");
    expect(
      await all(
        () => reader.receive(),
        () => reader.receive(),
      ),
    ).toEqual(["bye", "closed []"]);
    near.end("answer");
    const chunks: Buffer[] = [];
    for await (const chunk of far) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("answer");
  });

  test("data handed out stays the same while later bytes arrive", async () => {
    const { reader, far } = await connected();
    const lines = Array.from({ length: 500 }, (_, index) => `line ${index} ${"x".repeat(index)}`);
    far.end(lines.map((line) => `${line}\n`).join(""));
    const received: Buffer[] = [];
    for (let result = await reader.receive(); result.data; result = await reader.receive()) received.push(result.data);
    expect(received.map(String)).toEqual(lines);
  });

  test("a delimiter in 8 MiB is found in linear time, byte sequences like it on the way", async () => {
    const { reader, far } = await connected();
    const noise = Buffer.alloc(8_388_608, "ab");
    far.end(Buffer.concat([noise, Buffer.from("abc")]));
    const began = performance.now();
    const { data } = await reader.receiveUntil("ababababababc", { maxBytes: 16_777_216 })();
    expect(data?.length).toBe(noise.length + 3 - 13);
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
