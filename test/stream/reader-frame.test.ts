import { afterEach, describe, expect, test } from "vitest";
import { line } from "../../src/codecs/line.ts";
import type { ReceivedFrame } from "../../src/stream/reader.ts";
import { closeReaders, netstring, reading, said, withClient } from "./reader-rig.ts";

afterEach(closeReaders);

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

test("a codec with a memory is begun once for each frame, however its bytes trickle in", async () => {
  const bytes = Buffer.from(`${"x".repeat(5_000)}\nnext\n`);
  const reader = reading(...[...bytes].map((byte) => String.fromCharCode(byte)), null);
  const looks: number[] = [];
  const codec = line();
  const counting = {
    ...codec,
    decode: () => expect.unreachable("decode starts anew each time"),
    begin: (conversation: object) => {
      const begun = line().begin?.(conversation) ?? codec;
      looks.push(0);
      return { ...begun, decode: (head: Uint8Array) => begun.decode(head) };
    },
  };
  expect((await reader.receiveFrame(counting)).value).toBe("x".repeat(5_000));
  expect((await reader.receiveFrame(counting)).value).toBe("next");
  expect((await reader.receiveFrame(counting)).err).toBe("closed");
  expect(looks).toHaveLength(3);
});

test("a frame above the codec's own limit throws RC_FRAME_TOO_LARGE", async () => {
  await expect(reading("x".repeat(20)).receiveFrame(line({ maxBytes: 10 }))).rejects.toMatchObject({
    code: "RC_FRAME_TOO_LARGE",
    message: "frame too large: line: more than 10 bytes",
  });
});
