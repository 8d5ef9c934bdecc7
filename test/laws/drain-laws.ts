import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { DRAIN_MS, LINGER_MS } from "../../src/stream/drain.ts";
import type { Relay, RelayCause } from "../../src/stream/relay.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import type { RelayBench, RelayBenchOptions } from "./relay-laws.ts";

/** More than all buffers on the way hold together. */
const STALLED_BYTES = 48 * 1_048_576;

/** What a busy machine may add to a bound: less than the idle time-out, by which all ends. */
const SLACK_MS = 20_000;

/** So often is done what a busy machine may hold up at any time: the shortest counts. */
const TIMES = 3;

/** What every relay must obey when it is ended gently. */
export function drainLaws(name: string, make: (options: RelayBenchOptions) => Promise<RelayBench>): void {
  const open: RelayBench[] = [];
  afterEach(() => {
    for (const bench of open.splice(0)) bench.close();
  });
  const bench = async (before = ""): Promise<RelayBench> => {
    const made = await make({ idleTimeoutMs: 60_000, before });
    open.push(made);
    return made;
  };
  /** Both sides have sent all that they could, and read nothing. */
  const stalled = async (): Promise<RelayBench> => {
    const made = await bench();
    for (const socket of [made.client, made.peer]) socket.pause().write(pattern);
    await settled(made.relay);
    return made;
  };

  describe(name, () => {
    test("an idle one sees the end on both sides, and is over when they have ended theirs", async () => {
      const took: number[] = [];
      for (let time = 0; time < TIMES; time++) {
        const { relay, client, peer } = await bench("hello");
        await once(peer, "data");
        const before = performance.now();
        relay.end("drained");
        await Promise.all([politeEnd(client), politeEnd(peer)]);
        expect(await ended(relay)).toBe("drained");
        took.push(performance.now() - before);
        expect([relay.bytesUp, relay.bytesDown]).toEqual([5, 0]);
      }
      expect(Math.min(...took)).toBeLessThan(LINGER_MS); // it did not have to wait
    });

    test("all that was taken in arrives, in both directions, and a clean end behind it", async () => {
      const { relay, client, peer } = await stalled();
      relay.end("drained");
      const [down, up] = await Promise.all([politeEnd(client), politeEnd(peer)]);
      expect(await ended(relay)).toBe("drained");
      expect([up.length, down.length]).toEqual([relay.bytesUp, relay.bytesDown]);
      expect(up.equals(pattern.subarray(0, up.length))).toBe(true);
      expect(down.equals(pattern.subarray(0, down.length))).toBe(true);
      expect(up.length).toBeLessThan(STALLED_BYTES);
    });

    test("no byte is taken in any more", async () => {
      const { relay, client, peer } = await bench("before");
      expect((await once(peer, "data")).toString()).toBe("before");
      relay.end("drained");
      client.write("behind");
      peer.write("behind");
      const all = await Promise.all([politeEnd(client), politeEnd(peer)]);
      expect(all.map(String)).toEqual(["", ""]);
      expect(await ended(relay)).toBe("drained");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([6, 0]);
    });

    test("sides that do not end theirs, and go on talking, are not waited for", async () => {
      const { relay, client, peer } = await bench();
      const before = performance.now();
      relay.end("drained");
      const over = ended(relay);
      for (const socket of [client, peer]) {
        const talking = setInterval(() => socket.write("and another thing"), 50);
        socket.resume().once("close", () => clearInterval(talking));
      }
      expect(await over).toBe("drained");
      expect(performance.now() - before).toBeLessThan(LINGER_MS + SLACK_MS);
    });

    test("a reader that takes nothing is waited for, but not for ever", async () => {
      const { relay } = await stalled();
      const before = performance.now();
      relay.end("drained");
      expect(await ended(relay)).toBe("drained");
      expect(performance.now() - before).toBeGreaterThan(DRAIN_MS / 2);
      expect(performance.now() - before).toBeLessThan(DRAIN_MS + LINGER_MS + SLACK_MS);
    });

    test("another end cuts it short, and the first one names it", async () => {
      const { relay } = await stalled();
      relay.end("drained");
      relay.end("drained");
      const before = performance.now();
      relay.end("killed");
      expect(await ended(relay)).toBe("drained");
      expect(performance.now() - before).toBeLessThan(DRAIN_MS - 500);
      relay.end("drained"); // over is over
    });

    test.each(["client", "peer"] as const)("a reset by the %s takes nothing from the other side", async (side) => {
      const sockets = await stalled();
      const other = side === "client" ? sockets.peer : sockets.client;
      sockets.relay.end("drained");
      sockets[side].resetAndDestroy();
      const got = await politeEnd(other);
      expect(await ended(sockets.relay)).toBe("drained");
      expect(got.length).toBe(side === "client" ? sockets.relay.bytesUp : sockets.relay.bytesDown);
      expect(got.equals(pattern.subarray(0, got.length))).toBe(true);
    });

    test("one side that had ended before names the end", async () => {
      const { relay, client, peer } = await bench();
      client.end("question");
      expect((await readAll(peer)).toString()).toBe("question");
      peer.write("half an answ");
      await eventually(() => expect(relay.bytesDown).toBe(12));
      relay.end("drained");
      const all = politeEnd(client);
      peer.end();
      expect((await all).toString()).toBe("half an answ");
      expect(await ended(relay)).toBe("client_closed");
    });
  });
}

const pattern = Buffer.from(Uint8Array.from({ length: STALLED_BYTES }, (_, at) => (at * 31) >> 7));

const ended = (relay: Relay): Promise<RelayCause> => new Promise((resolve) => relay.onEnd(resolve));

/** Reads to the other side's end, which must be a clean one, then ends its own. */
async function politeEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  let wasClean = false;
  await new Promise<void>((resolve) => {
    socket
      .once("close", () => resolve())
      .once("end", () => {
        wasClean = true;
        resolve();
      });
  });
  expect(wasClean).toBe(true);
  socket.end();
  return Buffer.concat(chunks);
}

/** Waits until no byte has moved for a while. */
async function settled(relay: Relay): Promise<void> {
  for (let last = -1, rounds = 0; rounds < 15; ) {
    await sleep(20);
    const now = relay.bytesUp + relay.bytesDown;
    rounds = now === last && relay.bytesUp > 0 && relay.bytesDown > 0 ? rounds + 1 : 0;
    last = now;
  }
}
