import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import { frames } from "../../../src/stream/filter/frames.ts";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { benchWith } from "../filter/filter-rig.ts";

// A session with filters says goodbye by itself, since it knows best where a message ends.

const WORDS = Buffer.from("\0\x03bye");
const frame = (text: string): Buffer => Buffer.from(`\0${String.fromCharCode(text.length)}${text}`);
const framed = frames(lengthPrefixed({ size: 2 }), () => undefined);
const raw = (): undefined => undefined;

/** All that comes until the end, which is answered by one's own. */
async function toEnd(socket: Socket): Promise<string> {
  const all = await readAll(socket);
  socket.end();
  return all.toString("latin1");
}

describe("where the bytes to the client leave in frames", () => {
  test("the words stand behind a whole frame, at once, however busy it is", async () => {
    using bench = await benchWith({ upstream: framed });
    const { relay, client, peer, ended } = bench;
    peer.write(Buffer.concat([frame("one"), frame("two"), Buffer.from("\0\x0aunfin")]));
    await eventually(() => expect(relay.bytesDown).toBe(10));
    const heard = toEnd(client);
    expect(relay.leave(WORDS, 60_000)).toBe(true);
    expect(await heard).toBe(`${frame("one")}${frame("two")}${WORDS}`);
    expect(await toEnd(peer)).toBe("");
    expect(await ended).toMatchObject({ cause: "drained", error: undefined });
    expect(relay.bytesDown).toBe(15);
  });

  test("frames that were read go before them, through filters that wait as well", async () => {
    const slow = frames(lengthPrefixed({ size: 2 }), async () => void (await sleep(20)));
    using bench = await benchWith({ upstream: [raw, slow] });
    const { relay, client, peer, ended } = bench;
    const heard = toEnd(client);
    peer.write(Buffer.concat(["a", "b", "c", "d"].map(frame)));
    await eventually(() => expect(relay.bytesDown).toBeGreaterThan(0));
    expect(relay.leave(WORDS, 60_000)).toBe(true);
    expect(await heard).toBe(`${["a", "b", "c", "d"].map(frame).join("")}${WORDS}`);
    peer.end();
    expect((await ended).cause).toBe("drained");
  });

  test("a filter that fails behind them is not followed by them", async () => {
    let calls = 0;
    let goOn = (): void => {};
    const left = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const failing = frames(lengthPrefixed({ size: 2 }), async () => {
      if (++calls === 1) return;
      await left;
      throw new Error("no");
    });
    using bench = await benchWith({ upstream: failing });
    const { relay, client, peer, ended } = bench;
    peer.write(Buffer.concat(["a", "b", "c"].map(frame)));
    const heard = toEnd(client);
    await eventually(() => expect(relay.bytesDown).toBe(3));
    expect(relay.leave(WORDS, 60_000)).toBe(true);
    goOn();
    expect(await heard).toBe(String(frame("a")));
    expect(await ended).toMatchObject({ error: { code: "RC_HOOK_FAILED" } });
  });
});

describe("where nobody knows frames", () => {
  test("they wait for rest", async () => {
    using bench = await benchWith({ upstream: [framed, raw] });
    const { relay, client, peer, ended } = bench;
    peer.write("half a mess");
    peer.write(frame("x"));
    expect(relay.leave(WORDS, 60_000)).toBe(false);
    client.write("question");
    await once(peer, "data");
    expect(relay.leave(WORDS, 60_000)).toBe(false);
    await sleep(300);
    const heard = toEnd(client);
    expect(relay.leave(WORDS, 250)).toBe(true);
    expect((await heard).endsWith(String(WORDS))).toBe(true);
    expect(await toEnd(peer)).toBe("");
    expect((await ended).cause).toBe("drained");
  });

  test("and for a filter that still has something to say", async () => {
    let answer = (): void => {};
    const waiting = () =>
      new Promise<undefined>((resolve) => {
        answer = () => resolve(undefined);
      });
    using bench = await benchWith({ client: waiting });
    bench.client.write("hello");
    await eventually(() => expect(bench.relay.bytesUp).toBe(5));
    expect(bench.relay.leave(WORDS, 0)).toBe(false);
    answer();
    await once(bench.peer, "data");
    expect(bench.relay.leave(WORDS, 0)).toBe(true);
  });
});

test.each(["client", "peer"] as const)("there is nobody to say it to once the %s has ended all", async (side) => {
  using bench = await benchWith({ upstream: framed });
  const { relay, client, peer, ended } = bench;
  bench[side].end();
  await readAll(side === "client" ? peer : client);
  if (side === "client")
    expect(relay.leave(WORDS, 0)).toBe(true); // it has asked all, and still reads
  else expect(relay.leave(WORDS, 0)).toBe(false);
  const heard = side === "client" ? toEnd(client) : Promise.resolve(String(WORDS));
  for (const socket of [client, peer]) socket.end();
  expect(await heard).toBe(String(WORDS));
  await ended;
  expect(relay.leave(WORDS, 0)).toBe(false);
});

test("it is said once, and an end that is in a hurry cuts it short", async () => {
  using bench = await benchWith({ upstream: framed });
  expect(bench.relay.leave(WORDS, 0)).toBe(true);
  expect(bench.relay.leave(WORDS, 0)).toBe(false);
  bench.relay.end("shutdown");
  expect((await bench.ended).cause).toBe("drained");
});
