import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Relay, RelayCause } from "../../src/stream/relay.ts";
import { wasReset } from "../../src/stream/reset.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";

/** A relay that runs, and the two programs that it connects. */
export interface RelayBench {
  readonly relay: Relay;
  readonly client: Socket;
  readonly peer: Socket;
  /** Bytes that wait in our memory. */
  readonly held: () => number;
  readonly close: () => void;
}

export interface RelayBenchOptions {
  readonly idleTimeoutMs: number;
  /** What the client says before the relay begins, and has been looked at. */
  readonly before: string;
}

/** What every relay of the node path must obey. */
export function relayLaws(name: string, make: (options: RelayBenchOptions) => Promise<RelayBench>): void {
  const open: RelayBench[] = [];
  afterEach(() => {
    for (const bench of open.splice(0)) bench.close();
  });
  const bench = async (options: Partial<RelayBenchOptions> = {}): Promise<RelayBench> => {
    const made = await make({ idleTimeoutMs: 60_000, before: "", ...options });
    open.push(made);
    return made;
  };

  describe(name, () => {
    test("bytes that were looked at before the relay come first, once", async () => {
      const { relay, client, peer } = await bench({ before: "head " });
      client.end("tail");
      peer.end();
      expect((await readAll(peer)).toString()).toBe("head tail");
      await ended(relay);
      expect(relay.bytesUp).toBe(9);
    });

    test("a half-close is passed on while the other direction flows", async () => {
      const { relay, client, peer } = await bench();
      client.end("question");
      expect((await readAll(peer)).toString()).toBe("question");
      peer.write("long ");
      peer.end("answer");
      expect((await readAll(client)).toString()).toBe("long answer");
      expect(await ended(relay)).toBe("client_closed");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([8, 11]);
    });

    test("the side that ends first names the end", async () => {
      const { relay, client, peer } = await bench();
      peer.end();
      await readAll(client);
      client.end();
      await readAll(peer);
      expect(await ended(relay)).toBe("peer_closed");
    });

    describe.each([
      ["client", "client_reset"],
      ["peer", "peer_reset"],
    ] as const)("a reset by the %s", (side, cause) => {
      test("becomes a reset on the other side", async () => {
        const sockets = await bench();
        const other = side === "client" ? sockets.peer : sockets.client;
        sockets.client.write("x");
        await once(sockets.peer, "data");
        other.resume();
        sockets[side].resetAndDestroy();
        await expect(once(other, "close")).rejects.toThrow("ECONNRESET");
        expect(await ended(sockets.relay)).toBe(cause);
      });
    });

    test.each(["client", "peer"] as const)("a reset right behind data is no end: by the %s", async (side) => {
      const sockets = await bench();
      const other = side === "client" ? sockets.peer : sockets.client;
      other.resume();
      await new Promise((resolve) => sockets[side].write("last", resolve));
      sockets[side].resetAndDestroy();
      await new Promise((resolve) => other.once("end", resolve).once("close", resolve));
      expect(wasReset({ stream: other, transport: other }) || other.errored?.message.includes("ECONNRESET")).toBe(true);
      expect(await ended(sockets.relay)).toBe(`${side}_reset`);
    });

    test("a session without bytes in either direction ends at its idle timeout", async () => {
      const { relay, client } = await bench({ idleTimeoutMs: 50 });
      expect(await ended(relay)).toBe("idle_timeout");
      expect((await readAll(client)).length).toBe(0);
    });

    test("activity in one direction keeps both alive", async () => {
      const { relay, client, peer } = await bench({ idleTimeoutMs: 2_500 });
      peer.resume();
      for (let round = 0; round < 28; round++) {
        client.write(".");
        await sleep(100); // 2.8 s in all: longer than the timeout, which nobody is held up for
      }
      await eventually(() => expect(relay.bytesUp).toBe(28));
      expect(await ended(relay)).toBe("idle_timeout");
    });

    test("ended from outside, both sides close and the cause is kept", async () => {
      const { relay, client, peer } = await bench();
      relay.end("killed");
      await Promise.all([readAll(client), readAll(peer)]);
      expect(await ended(relay)).toBe("killed");
    });

    test("a reader that stalls stops the sender, and memory does not grow past the buffers", async () => {
      const { client, peer, relay, held } = await bench();
      const block = Buffer.alloc(65_536, 1);
      let moved = -1;
      let idleRounds = 0;
      while (idleRounds < 5) {
        while (client.writableLength < 1_048_576) client.write(block);
        idleRounds = relay.bytesUp === moved ? idleRounds + 1 : 0;
        moved = relay.bytesUp;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      expect(held()).toBeLessThan(512 * 1_024);
      client.end();
      const all = await readAll(peer);
      expect(all.length).toBe(relay.bytesUp);
    });

    test("bytes that a stalled reader has not taken are never overwritten by those that follow", async () => {
      const { client, peer, relay } = await bench();
      const up = pieces(8);
      const down = pieces(8);
      const [gotUp, gotDown] = await Promise.all([
        readSlowly(peer),
        readSlowly(client),
        send(client, up),
        send(peer, down),
      ]);
      expect(gotUp).toBe(digest(up));
      expect(gotDown).toBe(digest(down));
      await ended(relay);
    });

    test("random pieces in both directions arrive whole and in order", async () => {
      const { client, peer, relay } = await bench();
      const up = pieces(16);
      const down = pieces(16);
      const [gotUp, gotDown] = await Promise.all([readAll(peer), readAll(client), send(client, up), send(peer, down)]);
      expect(digest([gotUp])).toBe(digest(up));
      expect(digest([gotDown])).toBe(digest(down));
      await ended(relay);
    });
  });
}

const ended = (relay: Relay): Promise<RelayCause> => new Promise((resolve) => relay.onEnd(resolve));

/** Stops every now and then, so long that everything in front of it is full. */
async function readSlowly(socket: Socket): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  for await (const chunk of socket) {
    hash.update(chunk);
    if (++count % 16 === 0) await sleep(5);
  }
  return hash.digest("hex");
}

function pieces(megabytes: number): Buffer[] {
  const list: Buffer[] = [];
  for (let left = megabytes * 1_048_576; left > 0; ) {
    const size = Math.min(left, 1 + Math.floor(Math.random() ** 4 * 300_000));
    list.push(Buffer.alloc(size, Math.floor(Math.random() * 256)));
    left -= size;
  }
  return list;
}

async function send(socket: Socket, list: readonly Buffer[]): Promise<void> {
  for (const piece of list) if (!socket.write(piece)) await once(socket, "drain");
  socket.end();
}

function digest(list: readonly Buffer[]): string {
  const hash = createHash("sha256");
  for (const piece of list) hash.update(piece);
  return hash.digest("hex");
}
