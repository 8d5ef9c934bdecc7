import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { wasReset } from "../../../src/stream/reset.ts";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { type CarrierBench, closed, endOf, type Place } from "./bench.ts";

const MEGABYTE = 1_048_576;

/** More than all buffers of the kernel on the way hold together. */
const STALLED_BYTES = 64 * MEGABYTE;

/** A running relay, beyond what `relayLaws` say of every relay. */
export function relayingLaws(bench: () => CarrierBench): void {
  describe("relaying", () => {
    test.each(["127.0.0.1:0", "unix"] as const)("an end glued to the first byte comes with it: %s", async (at) => {
      const { incoming, client, relay, peer, ended } = await bench().relayed({
        says: "x",
        ends: true,
        at: at as Place,
      });
      expect((await readAll(peer)).toString()).toBe("x");
      peer.end("y");
      expect((await readAll(client)).toString()).toBe("y");
      expect(await ended).toBe("client_closed");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([1, 1]);
      await closed(incoming);
    });

    test.each(["client", "peer"] as const)(
      "one byte and the end at once, from the %s of a running relay",
      async (side) => {
        const { incoming, client, peer, ended } = await bench().relayed({ says: "hello" });
        await once(peer.resume(), "data");
        const [from, to] = side === "client" ? [client, peer] : [peer, client];
        from.end("x");
        expect((await readAll(to)).toString()).toBe("x");
        to.end();
        await readAll(from);
        expect(await ended).toBe(`${side}_closed`);
        await closed(incoming);
      },
    );

    test("a peer that half-closes gets all that the client still sends", async () => {
      const { incoming, client, relay, peer, ended } = await bench().relayed({ says: "!" });
      const bytes = randomBytes(500_000);
      peer.end("enough");
      expect((await readAll(client)).toString()).toBe("enough");
      const pieces = 50;
      for (let at = 0; at < pieces; at++) {
        client.write(bytes.subarray((at * bytes.length) / pieces, ((at + 1) * bytes.length) / pieces));
        await new Promise((resolve) => setImmediate(resolve));
      }
      client.end();
      const got = await readAll(peer);
      expect(got.length).toBe(1 + bytes.length);
      expect(digest(got.subarray(1))).toBe(digest(bytes));
      expect(await ended).toBe("peer_closed");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([500_001, 6]);
      await closed(incoming);
    });

    test.each([
      ["client", "127.0.0.1:0"],
      ["peer", "127.0.0.1:0"],
      ["client", "[::1]:0"],
    ] as const)("a reset by the %s in the middle of a stream becomes a reset: %s", async (side, at) => {
      const { incoming, client, peer, ended } = await bench().relayed({ says: "!", at, to: at });
      const [from, to] = side === "client" ? [client, peer] : [peer, client];
      const reset = new Promise<boolean>((resolve) => {
        to.on("error", (cause: NodeJS.ErrnoException) => resolve(cause.code === "ECONNRESET"));
        to.once("end", () => resolve(wasReset({ stream: to, transport: to })));
      });
      to.resume();
      for (let round = 0; round < 32; round++) from.write(Buffer.alloc(65_536, round));
      await sleep(5);
      from.resetAndDestroy();
      expect(await reset).toBe(true);
      expect(await ended).toBe(`${side}_reset`);
      await closed(incoming);
    });

    test.each(["client", "peer"] as const)(
      "a reset by the %s behind bytes that nobody takes ends the relay",
      async (side) => {
        const { incoming, client, peer, relay, ended } = await bench().relayed({
          says: "!",
          relay: { idleTimeoutMs: 600 },
        });
        const [from, to] = side === "client" ? [client, peer] : [peer, client];
        to.pause();
        from.write(Buffer.alloc(STALLED_BYTES));
        await settled(() => relay.bytesUp + relay.bytesDown);
        from.resetAndDestroy();
        // A reset shows to who reads: a carrier that has stopped reading may not see it before the time is over, as nginx does.
        expect([`${side}_reset`, "idle_timeout"]).toContain(await ended);
        await closed(incoming);
        to.destroy();
      },
    );

    test.each(["client", "peer"] as const)(
      "a reset by a %s that stalls while it is sent to ends the relay",
      async (side) => {
        const { incoming, client, peer, relay, ended } = await bench().relayed({ says: "!" });
        const [staller, sender] = side === "client" ? [client, peer] : [peer, client];
        staller.pause();
        sender.write(Buffer.alloc(STALLED_BYTES));
        await settled(() => relay.bytesUp + relay.bytesDown);
        staller.resetAndDestroy();
        expect(await ended).toBe(`${side}_reset`);
        await eventually(() => expect(sender.closed).toBe(true));
        await closed(incoming);
      },
    );

    test("a reset by a peer, after the client has ended, is not what ended it", async () => {
      const { incoming, client, peer, ended } = await bench().relayed({ says: "!" });
      client.end();
      await readAll(peer);
      peer.resetAndDestroy();
      expect(await ended).toBe("client_closed"); // the first event names the end
      await closed(incoming);
    });

    test("bytes are counted while they move", async () => {
      const { incoming, client, peer, relay, ended } = await bench().relayed({ says: "12345" });
      await once(peer.resume(), "data");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([5, 0]);
      client.write("678");
      await once(peer, "data");
      expect(relay.bytesUp).toBe(8);
      peer.write("answer");
      await once(client, "data");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([8, 6]);
      client.destroy();
      peer.end();
      await ended;
      expect([relay.bytesUp, relay.bytesDown]).toEqual([8, 6]);
      await closed(incoming);
      expect([relay.bytesUp, relay.bytesDown]).toEqual([8, 6]); // also when nothing is left of it
    });
  });
  stallLaws(bench);
  relayEndLaws(bench);
}

function stallLaws(bench: () => CarrierBench): void {
  describe("a reader that stalls", () => {
    test.each([
      ["client", "127.0.0.1:0"],
      ["peer", "127.0.0.1:0"],
      ["peer", "unix"],
    ] as const)("stops the sender; then all bytes arrive, in order: the %s of %s", async (side, to) => {
      const { incoming, client, peer, relay, ended } = await bench().relayed({ says: "!", to: to as Place });
      const bytes = randomBytes(STALLED_BYTES);
      const [reader, sender] = side === "client" ? [client, peer] : [peer, client];
      const moved = (): number => (side === "client" ? relay.bytesDown : relay.bytesUp);
      reader.pause();
      const before = process.memoryUsage();
      sender.end(bytes);
      const stopped = await settled(moved);
      expect(stopped).toBeLessThan(STALLED_BYTES / 2); // what the kernel holds, which it limits
      const after = process.memoryUsage();
      expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(16 * MEGABYTE); // garbage of reads, not 64
      const got = await hashOf(reader);
      expect(got.bytes).toBe(bytes.length + (side === "peer" ? 1 : 0));
      expect(got.hash).toBe(digest(side === "peer" ? Buffer.concat([Buffer.from("!"), bytes]) : bytes));
      reader.end();
      sender.resume();
      await ended;
      await closed(incoming);
    });

    test("and has stopped both sides does not stop the end of the session", async () => {
      const { incoming, client, peer, relay, ended } = await bench().relayed({ says: "!" });
      for (const socket of [client, peer]) socket.pause().write(Buffer.alloc(STALLED_BYTES));
      await settled(() => relay.bytesUp + relay.bytesDown);
      relay.end("killed");
      expect(await ended).toBe("killed");
      await closed(incoming);
    });

    test("is idle when no byte moves for long enough", async () => {
      const { incoming, client, ended } = await bench().relayed({ says: "!", relay: { idleTimeoutMs: 300 } });
      client.write(Buffer.alloc(STALLED_BYTES));
      expect(await ended).toBe("idle_timeout");
      await closed(incoming);
    });

    test("slowly, a byte now and then, is not idle", async () => {
      const { incoming, client, peer, relay, ended } = await bench().relayed({
        says: "!",
        relay: { idleTimeoutMs: 2_500 },
      });
      for (let round = 0; round < 11; round++) {
        peer.write(".");
        await sleep(250); // 2.75 seconds in all: longer than the timeout
      }
      await eventually(() => expect(relay.bytesDown).toBe(11));
      client.destroy();
      peer.resume().end();
      await ended;
      await closed(incoming);
    });
  });
}

function relayEndLaws(bench: () => CarrierBench): void {
  describe("the end of a relay", () => {
    test.each(["killed", "shutdown", "drained", "idle_timeout"] as const)("can be brought about: %s", async (cause) => {
      const { incoming, client, peer, relay, ended } = await bench().relayed({ says: "!" });
      relay.end(cause);
      await Promise.all([readAll(client), readAll(peer)]);
      expect(await ended).toBe(cause);
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test("is told once, however often it is ended", async () => {
      const { incoming, client, peer, relay } = await bench().relayed({ says: "!" });
      const told: string[] = [];
      relay.onEnd((cause) => told.push(cause));
      relay.end("killed");
      relay.end("shutdown");
      client.destroy();
      peer.destroy();
      await closed(incoming);
      relay.end("drained");
      await sleep(20);
      expect(told).toEqual(["killed"]);
    });

    test("is told to who asks late, at once", async () => {
      const { incoming, relay, ended } = await bench().relayed({ says: "!" });
      relay.end("killed");
      await ended;
      const told: string[] = [];
      relay.onEnd((cause) => told.push(cause));
      expect(told).toEqual(["killed"]);
      await closed(incoming);
      expect(await endOf(relay)).toBe("killed");
    });

    test("closes both sockets before it is told", async () => {
      const { incoming, client, peer, ended } = await bench().relayed({ says: "!" });
      const ends = Promise.all([readAll(client), readAll(peer)]);
      client.end();
      peer.end();
      expect(await ended).toMatch(/^(client|peer)_closed$/);
      await ends;
      await closed(incoming);
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
    });
  });
}

/** Waits until a number has not changed for a while, and returns it. */
async function settled(count: () => number): Promise<number> {
  for (let last = -1, rounds = 0; ; ) {
    await sleep(20);
    const now = count();
    rounds = now === last ? rounds + 1 : 0;
    last = now;
    if (rounds === 8) return now;
  }
}

async function hashOf(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  if (!socket.readableEnded) await once(socket.resume(), "end");
  return { bytes, hash: hash.digest("hex") };
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
