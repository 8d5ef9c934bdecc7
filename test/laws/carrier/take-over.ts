import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Incoming } from "../../../src/stream/incoming.ts";
import type { Inlet } from "../../../src/stream/inlet.ts";
import { RUNS } from "../sniffer-laws.ts";
import { type CarrierBench, closed, endOf, type Peer, relayOptions } from "./bench.ts";

/** Each run is a connection of its own. */
const NETWORK_RUNS = RUNS / 5;

/** From some moment on JavaScript owns the bytes, or the peer gets them: none is lost, doubled or out of order. */
export function takeOverLaws(bench: () => CarrierBench): void {
  describe("taking over", () => {
    test("before any byte has come", async () => {
      const { incoming, client } = await bench().accept();
      const inlet = incoming.takeOver();
      client.end("all of it");
      expect(await rest(inlet)).toBe("all of it");
      await finish(incoming, inlet);
    });

    test("before any byte has been looked at", async () => {
      const { incoming, client } = await bench().accept({ says: "first " });
      client.end("second");
      const inlet = incoming.takeOver();
      expect(await rest(inlet)).toBe("first second");
      expect(inlet.received).toBe(12);
      await finish(incoming, inlet);
    });

    test("in the middle of a wait, which goes on", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const growing = incoming.head.grow(3);
      const inlet = incoming.takeOver();
      client.write("b");
      await turn();
      client.write("cd");
      expect(await growing).toBe("enough");
      client.end();
      expect(await rest(inlet)).toBe("abcd");
      await finish(incoming, inlet);
    });

    test("in the middle of a wait that has a time", async () => {
      const { incoming } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const growing = incoming.head.grow(3, performance.now() + 50);
      const inlet = incoming.takeOver();
      expect(await growing).toBe("timeout");
      inlet.stream.destroy();
      await closed(incoming);
    });

    test("after the end", async () => {
      const { incoming, client } = await bench().accept();
      client.end("bye");
      expect(await incoming.head.grow(100)).toBe("ended");
      const inlet = incoming.takeOver();
      expect(await rest(inlet)).toBe("bye");
      await answer(inlet.stream, client, "so long");
      await finish(incoming, inlet);
    });

    test("after some bytes were consumed", async () => {
      const { incoming, client } = await bench().accept({ says: "PROXY hello" });
      await incoming.head.grow(11);
      incoming.head.consume(6);
      const inlet = incoming.takeOver();
      expect([inlet.bytes.toString(), inlet.received]).toEqual(["hello", 11]);
      client.end(" world");
      expect(await rest(inlet)).toBe("hello world");
      await finish(incoming, inlet);
    });

    test("after a reset: no byte comes any more, and it can be closed", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(1);
      client.resetAndDestroy();
      expect(await growing).toBe("reset");
      const inlet = incoming.takeOver();
      expect(await inlet.grow(1)).toBe("reset");
      inlet.abort();
      await closed(incoming);
    });

    test("a watch goes on", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const told = new Promise((resolve) => incoming.head.watch(resolve));
      incoming.takeOver();
      client.resetAndDestroy();
      await told;
      incoming.close("reset");
      await closed(incoming);
    });

    test("twice gives the same bytes once", async () => {
      const { incoming, client } = await bench().accept({ says: "once" });
      const inlet = incoming.takeOver();
      expect(incoming.takeOver()).toBe(inlet);
      client.end();
      expect(await rest(inlet)).toBe("once");
      await finish(incoming, inlet);
    });

    test("afterwards the bytes can still be relayed", async () => {
      const { incoming, client } = await bench().accept({ says: "head " });
      await incoming.head.grow(5);
      incoming.takeOver();
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions());
      const far = await peer.next();
      client.end("tail");
      far.end("answer");
      expect(await text(far)).toBe("head tail");
      expect(await text(client)).toBe("answer");
      await endOf(relay);
      await closed(incoming);
    });

    test("bytes may be split, looked at, waited for and consumed in any way", { timeout: 600_000 }, async () => {
      const peer = await bench().peer();
      await fc.assert(
        fc.asyncProperty(lives, (life) => runLife(bench(), peer, life)),
        { numRuns: NETWORK_RUNS },
      );
    });
  });
}

/** What a client sends, in which pieces, and what is done with its first bytes. */
interface Life {
  readonly bytes: Uint8Array;
  readonly pieces: readonly number[];
  readonly steps: readonly Step[];
  readonly goesTo: "javascript" | "peer";
  /** The last step leaves a wait behind. */
  readonly leftWait: boolean;
  readonly says: boolean;
}

interface Step {
  readonly kind: "grow" | "consume" | "short wait" | "turn";
  readonly size: number;
}

const steps: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("grow", "consume", "short wait", "turn"),
  size: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 30_000 })),
});
const lives: fc.Arbitrary<Life> = fc.record({
  bytes: fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 100 }),
    fc.integer({ min: 1, max: 200_000 }).map((size) => Uint8Array.from({ length: size }, (_, at) => (at * 31) >> 3)),
  ),
  pieces: fc.array(fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 20_000 })), { maxLength: 12 }),
  steps: fc.array(steps, { maxLength: 6 }),
  goesTo: fc.constantFrom("javascript", "peer"),
  leftWait: fc.boolean(),
  says: fc.boolean(),
});

async function runLife(bench: CarrierBench, peer: Peer, life: Life): Promise<void> {
  const bytes = Buffer.from(life.bytes);
  const first = life.says ? bytes.subarray(0, life.pieces[0] ?? bytes.length) : Buffer.alloc(0);
  const { incoming, client } = await bench.accept(life.says ? { says: first } : {});
  const sent = send(client, bytes.subarray(first.length), life.pieces.slice(1));
  const consumed = await walk(incoming, life.steps, bytes.length);
  if (life.leftWait) void incoming.head.grow(incoming.head.size + 1);
  const got = life.goesTo === "javascript" ? readOn(incoming) : relayOn(incoming, client, peer);
  const all = Buffer.concat([consumed, await got]);
  await sent;
  await closed(incoming);
  expect(all.length).toBe(bytes.length);
  expect(digest(all)).toBe(digest(bytes));
}

async function walk(incoming: Incoming, list: readonly Step[], most: number): Promise<Buffer> {
  const consumed: Buffer[] = [];
  const { head } = incoming;
  for (const { kind, size } of list) {
    if (kind === "turn") await turn();
    else if (kind === "consume") consumed.push(Buffer.from(head.consume(size)));
    else if (kind === "short wait") await head.grow(head.size + size, performance.now() + 1);
    else await head.grow(Math.min(size, most - head.received + head.size));
  }
  return Buffer.concat(consumed);
}

async function readOn(incoming: Incoming): Promise<Buffer> {
  const inlet = incoming.takeOver();
  if (inlet.busy) inlet.unwatch(); // the wait that was left behind
  const all = Buffer.from(await restBytes(inlet));
  inlet.stream.destroy();
  return all;
}

async function relayOn(incoming: Incoming, client: Socket, peer: Peer): Promise<Buffer> {
  const relaying = incoming.relayTo(peer.endpoint, relayOptions());
  const far = await peer.next();
  const relay = await relaying;
  far.end();
  client.resume();
  const all = await bytesOf(far);
  await endOf(relay);
  return all;
}

async function send(client: Socket, bytes: Buffer, pieces: readonly number[]): Promise<void> {
  let at = 0;
  for (const size of pieces) {
    client.write(bytes.subarray(at, at + size));
    at += size;
    await turn();
  }
  client.end(bytes.subarray(at));
}

async function rest(inlet: Inlet): Promise<string> {
  return (await restBytes(inlet)).toString();
}

/** All that comes, in some bites. */
async function restBytes(inlet: Inlet): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const growth = await inlet.grow(1);
    if (growth !== "enough") return Buffer.concat(chunks);
    chunks.push(Buffer.from(inlet.consume(7_777)));
  }
}

async function answer(stream: Socket, client: Socket, words: string): Promise<void> {
  stream.end(words);
  expect(await text(client)).toBe(words);
}

async function finish(incoming: Incoming, inlet: Inlet): Promise<void> {
  inlet.close();
  await closed(incoming);
}

async function text(socket: Socket): Promise<string> {
  return (await bytesOf(socket)).toString();
}

async function bytesOf(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  if (!socket.readableEnded) await once(socket, "end");
  return Buffer.concat(chunks);
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
