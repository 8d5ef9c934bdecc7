import { describe, expect, test } from "vitest";
import { type Codec, frame, needs } from "../../../src/codecs/codec.ts";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import { line } from "../../../src/codecs/line.ts";
import { msgpackCodec } from "../../../src/codecs/msgpack/msgpack.ts";
import type { Filter } from "../../../src/stream/filter/body-filter.ts";
import { type FrameFilter, type FrameOptions, type FrameResult, frames } from "../../../src/stream/filter/frames.ts";
import { readAll, readUntil } from "../../support/client.ts";
import { ScriptedSocket } from "../../support/scripted-socket.ts";
import { benchWith, relayWith } from "./filter-rig.ts";

const calm = { pauses: [0], lags: [0], room: 1_048_576 };

/** What a peer gets of the client's chunks, and in how many writes. */
async function through(filter: Filter, ...chunks: Uint8Array[]): Promise<{ bytes: string; writes: number }> {
  const [client, peer] = [new ScriptedSocket(calm), new ScriptedSocket(calm)];
  const { ended } = relayWith(client, peer, { client: filter });
  await Promise.all([client.deliver(chunks), peer.deliver([]), ended]);
  const { error } = await ended;
  if (error) throw error;
  return { bytes: Buffer.concat(peer.written).toString("latin1"), writes: peer.writes };
}

const textFrames = (onFrame: FrameFilter<string>, options?: FrameOptions): Filter => frames(line(), onFrame, options);

describe("a frame filter returns", () => {
  test.each<[string, FrameResult<string>, string]>([
    ["undefined: the frame goes on as it came", undefined, "a\r\n"],
    ["the frame itself: the same", "a", "a\r\n"],
    ["another value: it is encoded", "b", "b\n"],
    ["a list: each of it is encoded, in order", ["b", "c"], "b\nc\n"],
    ["bytes: they are sent as they are", Buffer.from("raw"), "raw"],
    ["a list of both", ["b", Buffer.from("raw")], "b\nraw"],
    ["null: the frame is dropped", null, ""],
    ["an empty list: the same", [], ""],
  ])("%s", async (_, returned, arrives) => {
    const sync = await through(
      textFrames(() => returned),
      Buffer.from("a\r\n"),
    );
    const later = await through(
      textFrames(async () => returned),
      Buffer.from("a\r\n"),
    );
    expect([sync.bytes, later.bytes]).toEqual([arrives, arrives]);
  });

  test("bytes for a codec whose values are bytes: they are encoded", async () => {
    const filter = frames(lengthPrefixed({ size: 2 }), () => Buffer.from("xyz"));
    expect((await through(filter, Buffer.from("\0\x01a"))).bytes).toBe("\0\x03xyz");
  });

  test.each([
    ["a value that the codec cannot write", "two\nlines", "line: the text holds a line feed"],
    ["a value of another type", 5, "hook failed: bodyFilter"],
  ])("%s: the session ends with RC_HOOK_FAILED", async (_, returned, reason) => {
    const failed = through(
      textFrames(() => returned as string),
      Buffer.from("a\n"),
    );
    await expect(failed).rejects.toMatchObject({
      code: "RC_HOOK_FAILED",
      message: expect.stringContaining(reason),
    });
  });
});

describe("a frame that is an object", () => {
  const pack = msgpackCodec();
  /** `{ a: 1 }` with numbers and text longer than they need to be, as no encoder of ours writes it. */
  const odd = Buffer.from("\xde\x00\x01\xd9\x01a\xcd\x00\x01", "latin1");
  const got = async (onFrame: FrameFilter<unknown>): Promise<string> =>
    (await through(frames(pack, onFrame), odd, Buffer.from([1]))).bytes;

  test("goes on byte for byte when it is returned untouched", async () => {
    expect(await got((value) => value)).toBe(`${odd.toString("latin1")}\x01`);
    expect(await got(async (value) => value)).toBe(`${odd.toString("latin1")}\x01`);
  });

  test("is encoded when it was changed in place and returned", async () => {
    const onFrame = (value: unknown): unknown =>
      typeof value === "object" && value !== null ? Object.assign(value, { a: 2 }) : undefined;
    expect(await got(onFrame)).toBe("\x81\xa1a\x02\x01");
  });

  test("that is a list is sent as one in a list", async () => {
    expect(await got((value) => (typeof value === "object" ? [[1, 2]] : null))).toBe("\x92\x01\x02");
  });
});

describe("frames", () => {
  const log = (): { filter: Filter; seen: string[] } => {
    const seen: string[] = [];
    return { filter: textFrames((text) => void seen.push(text)), seen };
  };

  test("are told one by one, however they are cut, and go on with one write per chunk", async () => {
    const { filter, seen } = log();
    const { bytes, writes } = await through(filter, Buffer.from("one\ntwo\nthr"), Buffer.from("ee\nfour\n"));
    expect(seen).toEqual(["one", "two", "three", "four"]);
    expect(bytes).toBe("one\ntwo\nthree\nfour\n");
    expect(writes).toBe(2);
  });

  test("wait for the one before them", async () => {
    const order: string[] = [];
    const filter = textFrames(async (text) => {
      order.push(`${text}?`);
      await new Promise((resolve) => setTimeout(resolve, text === "slow" ? 20 : 0));
      order.push(`${text}!`);
    });
    expect((await through(filter, Buffer.from("slow\nfast\n"))).bytes).toBe("slow\nfast\n");
    expect(order).toEqual(["slow?", "slow!", "fast?", "fast!"]);
  });

  test("are held until they are whole, and an answer comes between those of the other side", async () => {
    using bench = await benchWith({
      client: textFrames((text, session) => {
        session.inject("client", `+${text}\n`);
        return null;
      }),
      upstream: textFrames(() => undefined),
    });
    bench.peer.write("half");
    bench.client.write("ping\n");
    expect(await readUntil(bench.client, (text) => text.endsWith("\n"))).toBe("+ping\n");
    bench.peer.end(" and half\n");
    expect((await readAll(bench.client)).toString()).toBe("half and half\n");
  });

  test("of several filters: the second sees what the first returns", async () => {
    const { filter, seen } = log();
    const first = textFrames((text) => [text, `${text}${text}`]);
    using bench = await benchWith({ client: [first, filter] });
    bench.client.end("a\nb\n");
    bench.peer.end();
    expect((await readAll(bench.peer)).toString()).toBe("a\naa\nb\nbb\n");
    expect(seen).toEqual(["a", "aa", "b", "bb"]);
  });

  test("behind an end of the session are not asked about, and do not pass", async () => {
    const seen: string[] = [];
    using bench = await benchWith({
      client: textFrames((text, session) => {
        seen.push(text);
        if (text === "quit") session.end();
      }),
    });
    bench.client.write("a\nquit\nsecret\nunfinished");
    expect((await readAll(bench.peer)).toString()).toBe("a\nquit\n");
    expect(seen).toEqual(["a", "quit"]);
  });
});

describe("an unfinished frame at the end", () => {
  test("goes on as it is, then the end, while the other direction flows", async () => {
    using bench = await benchWith({ client: textFrames((text) => text.toUpperCase()) });
    bench.client.end("whole\nhalf");
    expect((await readAll(bench.peer)).toString()).toBe("WHOLE\nhalf");
    bench.peer.end("answer");
    expect((await readAll(bench.client)).toString()).toBe("answer");
    expect(await bench.ended).toEqual({ cause: "client_closed", error: undefined });
  });

  test.each<[string, FrameOptions["end"], string]>([
    ["is dropped", () => null, "A\n"],
    ["is replaced", (rest) => rest.toString().toUpperCase(), "A\nB"],
    ["is replaced later", async (rest) => ["(", rest, ")"], "A\n(b)"],
  ])("%s, where the filter's `end` says so", async (_, end, arrives) => {
    const filter = textFrames((text) => text.toUpperCase(), { ...(end && { end }) });
    expect((await through(filter, Buffer.from("a\nb"))).bytes).toBe(arrives);
  });

  test("is empty where none was begun", async () => {
    const rests: number[] = [];
    const filter = textFrames(() => undefined, { end: (rest) => void rests.push(rest.length) });
    await through(filter, Buffer.from("a\n"));
    expect(rests).toEqual([0]);
  });
});

describe.each([
  ["client", "RC_FRAME", 400],
  ["upstream", "RC_PEER_FRAME", 502],
] as const)("bytes of the %s", (side, code, status) => {
  const run = async (codec: Codec<unknown>, bytes: string, options?: FrameOptions) => {
    using bench = await benchWith({ [side]: frames(codec, () => undefined, options) });
    const [from, to] = side === "client" ? [bench.client, bench.peer] : [bench.peer, bench.client];
    from.write(Buffer.from(bytes, "latin1"));
    const arrived = await readAll(to);
    return { arrived: arrived.toString("latin1"), error: (await bench.ended).error };
  };

  test("that are no frame end the session", async () => {
    const { arrived, error } = await run(msgpackCodec(), "\x01\xc1");
    expect(error).toMatchObject({ code, status, message: expect.stringContaining("msgpack: ") });
    expect(arrived).toBe("\x01");
  });

  test("that announce a frame above the codec's limit end it, before the frame has come", async () => {
    const { error } = await run(lengthPrefixed({ size: 4, maxBytes: 1_000 }), "\0\0\x10\0");
    expect(error).toMatchObject({ code: `${code}_TOO_LARGE`, status });
  });

  test("that announce a frame above the filter's limit end it", async () => {
    const { error } = await run(lengthPrefixed({ size: 2 }), "\x10\0", { maxBytes: 1_000 });
    expect(error).toMatchObject({ code: `${code}_TOO_LARGE`, message: expect.stringContaining("1000 bytes") });
  });

  test("that are a frame above the filter's limit end it, also when it comes at once", async () => {
    const { error } = await run(lengthPrefixed({ size: 1 }), "\x05abcde", { maxBytes: 5 });
    expect(error?.code).toBe(`${code}_TOO_LARGE`);
  });
});

describe("a codec", () => {
  const counting = (answers: Codec<null>["decode"]): { codec: Codec<null>; calls: number[] } => {
    const calls: number[] = [];
    const decode: Codec<null>["decode"] = (bytes) => {
      calls.push(bytes.length);
      return answers(bytes);
    };
    return { codec: { name: "own", decode, encode: () => Buffer.alloc(0) }, calls };
  };
  const pass = (): undefined => undefined;
  const trickled = Array.from({ length: 1_000 }, () => Buffer.from("x"));

  test("is asked again only when as many bytes are there as it wants", async () => {
    const { codec, calls } = counting((bytes) =>
      bytes.length < 10 ? needs(10) : bytes.length < 1_000 ? needs(1_000) : frame(null, 1_000),
    );
    expect((await through(frames(codec, pass), ...trickled)).bytes).toHaveLength(1_000);
    expect(calls).toEqual([1, 10, 1_000]);
  });

  test("that wants nothing is asked with the next bytes", async () => {
    const { codec, calls } = counting((bytes) => (bytes.length < 4 ? needs(0) : frame(null, 4)));
    await through(frames(codec, pass), ...trickled.slice(0, 8));
    expect(calls).toEqual([1, 2, 3, 4, 1, 2, 3, 4]);
  });

  test.each([0, -1, 2, Number.NaN])("that tells a frame of %d bytes out of one ends the session", async (size) => {
    const { codec } = counting(() => frame(null, size));
    await expect(through(frames(codec, pass), Buffer.from("x"))).rejects.toMatchObject({
      code: "RC_HOOK_FAILED",
      message: expect.stringContaining("own: "),
    });
  });

  test("that throws ends the session", async () => {
    const { codec } = counting(() => {
      throw new Error("no luck");
    });
    await expect(through(frames(codec, pass), Buffer.from("x"))).rejects.toThrow("bodyFilter: no luck");
  });

  test("begins once for each direction, both with the same conversation", async () => {
    const conversations: object[] = [];
    const codec: Codec<string> = {
      ...line(),
      begin: (conversation) => {
        conversations.push(conversation);
        return line();
      },
    };
    const filter = frames(codec, pass);
    using bench = await benchWith({ client: filter, upstream: filter });
    bench.client.end("a\nb\n");
    bench.peer.end("c\nd\n");
    await bench.ended;
    expect(conversations).toHaveLength(2);
    expect(conversations[0]).toBe(conversations[1]);
  });
});

test.each([
  ["a codec", [{}, () => undefined], "frames: expected a codec"],
  ["a function", [line(), 5], "frames: expected a function"],
  ["a limit", [line(), () => undefined, { maxBytes: 0 }], "frames: maxBytes is 0"],
])("frames() without %s throws", (_, [codec, onFrame, options], reason) => {
  expect(() => frames(codec as Codec<string>, onFrame as FrameFilter<string>, options as FrameOptions)).toThrow(reason);
});

test("a chunk of many tiny frames leaves others their turn, and arrives in order", async () => {
  using bench = await benchWith({ client: textFrames(() => void seen++) });
  let seen = 0;
  let most = 0;
  let before = 0;
  const look = (): void => {
    most = Math.max(most, seen - before);
    before = seen;
    if (seen < 20_000) setImmediate(look);
  };
  setImmediate(look);
  const sent = Array.from({ length: 20_000 }, (_, index) => `${index}\n`).join("");
  bench.client.end(sent);
  expect((await readAll(bench.peer)).toString()).toBe(sent);
  expect(most).toBeLessThanOrEqual(2_048);
});
