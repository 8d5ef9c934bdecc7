import { describe, expect, test } from "vitest";
import { type GrowingHead, preread } from "../../src/preread/engine.ts";
import { match, mismatch, more, type Sniffer, startsWith } from "../../src/preread/sniffer.ts";

/** A client that sends these pieces, one at each wait, then ends, stalls or resets. */
function client(
  pieces: readonly string[],
  then: "ended" | "timeout" | "reset" = "ended",
): GrowingHead & { waits: number[] } {
  let bytes = Buffer.alloc(0);
  const left = [...pieces];
  const waits: number[] = [];
  return {
    waits,
    get bytes() {
      return bytes;
    },
    async grow(atLeast) {
      waits.push(atLeast);
      while (bytes.length < atLeast) {
        const piece = left.shift();
        if (piece === undefined) return then;
        bytes = Buffer.concat([bytes, Buffer.from(piece)]);
      }
      return "enough";
    },
  };
}

const prefix = (text: string): Sniffer => ({
  name: text,
  examples: [],
  sniff: (head) => {
    const verdict = startsWith(head, Buffer.from(text));
    return verdict.kind === "match" ? match({ seen: head.length }) : verdict;
  },
});
/** Wants `size` bytes before it says anything, and counts how often it is asked. */
const hungry = (size: number, verdict: "match" | "mismatch"): Sniffer & { asked: number } => ({
  name: "hungry",
  examples: [],
  asked: 0,
  sniff(head) {
    this.asked++;
    if (head.length < size) return more(size);
    return verdict === "match" ? match({}) : mismatch;
  },
});

describe("the preread engine", () => {
  test("takes the first sniffer that matches, in the order of the list", async () => {
    const found = await preread([prefix("GAME"), prefix("GA")], client(["GAME!"]), 100);
    expect(found).toMatchObject({ index: 0, protocol: "GAME" });
  });

  test("lets a later match wait while an earlier sniffer is hungry, and gives way when that one matches", async () => {
    const found = await preread([prefix("GAME"), prefix("GA")], client(["GA", "ME"]), 100);
    expect(found?.protocol).toBe("GAME");
  });

  test("returns the match that waited once the earlier sniffer gives up", async () => {
    const found = await preread([prefix("GAME"), prefix("GA")], client(["GA", "TE"]), 100);
    expect(found).toEqual({ index: 1, protocol: "GA", info: { seen: 2 } });
  });

  test.each(["ended", "timeout"] as const)("a match that waited wins when the client has %s", async (then) => {
    const found = await preread([prefix("GAME"), prefix("GA")], client(["GA"], then), 100);
    expect(found?.protocol).toBe("GA");
  });

  test("a match that waited wins when the buffer is full", async () => {
    const found = await preread([hungry(50, "match"), prefix("GA")], client(["GATE"]), 10);
    expect(found?.protocol).toBe("GA");
  });

  test("answers undefined as soon as nobody can match any more, without waiting for bytes", async () => {
    const head = client(["X"]);
    expect(await preread([prefix("GAME"), prefix("SSH-")], head, 100)).toBeUndefined();
    expect(head.waits).toEqual([1]);
  });

  test("answers undefined when the client ended before anybody was sure", async () => {
    expect(await preread([prefix("GAME")], client(["GA"]), 100)).toBeUndefined();
  });

  test.each([
    ["RC_PREREAD_TIMEOUT", "timeout", 100],
    ["RC_CLIENT_RESET", "reset", 100],
    ["RC_PREREAD_FULL", "ended", 2],
  ] as const)("fails with %s when it must", async (code, then, maxBytes) => {
    await expect(preread([prefix("GAME")], client(["GA"], then), maxBytes)).rejects.toMatchObject({ code });
  });

  test("asks a sniffer again only when the bytes it wanted are there", async () => {
    const big = hungry(40, "mismatch");
    const found = await preread([big, prefix("0123456789")], client([..."0123456789".repeat(5)]), 100);
    expect(found?.protocol).toBe("0123456789");
    expect(big.asked).toBe(2); // at the start, and when 40 bytes were there
  });

  test("takes a sniffer that is an object of a class, with memory of one client", async () => {
    class Counting implements Sniffer {
      readonly name = "counting";
      readonly examples = [];
      readonly size = 3;
      sniff(head: Uint8Array): ReturnType<Sniffer["sniff"]> {
        return head.length < this.size ? more(this.size) : match({ size: this.size });
      }
      begin(): Sniffer["sniff"] {
        return (head) => this.sniff(head);
      }
    }
    expect(await preread([new Counting()], client(["abc"]), 10)).toMatchObject({
      protocol: "counting",
      info: { size: 3 },
    });
  });

  test("answers at once, without a promise, when the bytes that are there decide", () => {
    const head = { bytes: Buffer.from("GAME"), grow: () => expect.unreachable() };
    const info = { seen: 4 };
    expect(preread([prefix("SSH-"), prefix("GAME")], head, 100)).toEqual({ index: 1, protocol: "GAME", info });
    expect(preread([prefix("SSH-")], head, 100)).toBeUndefined();
  });

  test("a sniffer with memory begins only with a client that it wants more of, and anew with each", async () => {
    let begun = 0;
    const begin = (): Sniffer["sniff"] => {
      begun++;
      return prefix("GAME").sniff;
    };
    const sniffer: Sniffer = { ...prefix("GAME"), begin };
    for (const pieces of [["GAME"], ["SSH-"], ["GA", "ME"], ["G", "A", "ME"]]) {
      const head = client(pieces);
      await head.grow(1, 0);
      await preread([sniffer], head, 100);
    }
    expect(begun).toBe(2);
  });

  test.each([0, 2, Number.NaN])("waits for one more byte at least, though a sniffer asks for %s", async (atLeast) => {
    const stuck: Sniffer = { name: "stuck", examples: [], sniff: () => more(atLeast) };
    const head = client(["ab"], "timeout");
    await expect(preread([stuck], head, 100)).rejects.toMatchObject({ code: "RC_PREREAD_TIMEOUT" });
    expect(head.waits.at(-1)).toBe(3);
  });

  test("never looks beyond the limit, so the verdict does not depend on how much came at once", async () => {
    const whole = client(["GAMEGAMEGAME"]);
    await expect(preread([hungry(8, "match")], whole, 6)).rejects.toMatchObject({ code: "RC_PREREAD_FULL" });
  });
});
