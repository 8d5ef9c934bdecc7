import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import type { Relay, RelayCause } from "../../src/stream/relay.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import type { RelayBench, RelayBenchOptions } from "./relay-laws.ts";

/** What every relay must obey when its bytes are limited. Times have a lower bound only, but for what is far from it. */
export function rateLaws(name: string, make: (options: RelayBenchOptions) => Promise<RelayBench>): void {
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
    test.each(["up", "down"] as const)(
      "%s moves no faster than its rate, whole, and the end behind it",
      async (way) => {
        const sockets = await bench();
        const [from, to] = ends(sockets, way);
        sockets.relay.limit({ [way]: 1_000_000 });
        const before = performance.now();
        to.end(); // the other direction is over
        from.end(pattern.subarray(0, 600_000));
        const got = await readAll(to);
        expect(performance.now() - before).toBeGreaterThan(450); // a tenth of a second's worth was there at the start
        expect(got.equals(pattern.subarray(0, 600_000))).toBe(true);
        expect(await ended(sockets.relay)).toMatch(/^(client|peer)_closed$/);
        expect([sockets.relay.bytesUp, sockets.relay.bytesDown].sort()).toEqual([0, 600_000]);
      },
    );

    test("the other direction is as fast as ever", async () => {
      const { relay, client, peer } = await bench();
      relay.limit({ up: 50_000 });
      client.write(pattern.subarray(0, 1_000_000));
      peer.end(pattern);
      expect((await readAll(client)).equals(pattern)).toBe(true);
      expect(relay.bytesUp).toBeLessThan(500_000);
    });

    test("a stream that runs is slowed down, and goes on at once when the limit is lifted", async () => {
      const { relay, client, peer } = await bench();
      const times = 20;
      const all = readAll(peer);
      for (let time = 0; time < times; time++) client.write(pattern);
      await eventually(() => expect(relay.bytesUp).toBeGreaterThan(pattern.length / 2));
      relay.limit({ up: 100_000 });
      await eventually(async () => {
        const began = performance.now(); // again, as long as what is under way moves on
        const before = relay.bytesUp;
        expect(before).toBeLessThan(times * pattern.length);
        await sleep(400);
        const moved = relay.bytesUp - before;
        expect(moved).toBeLessThanOrEqual(((performance.now() - began) / 1_000) * 100_000 + 10_000 + 4_096);
      });
      expect(relay.bytesUp).toBeLessThan(times * pattern.length);
      relay.limit(undefined);
      client.end();
      expect((await all).equals(Buffer.alloc(times * pattern.length, pattern))).toBe(true);
    });

    test("who waits for his turn hears of a higher rate", async () => {
      const { relay, client, peer } = await bench();
      relay.limit({ up: 10, down: 10 });
      client.end(pattern.subarray(0, 200_000));
      await sleep(50);
      expect(relay.bytesUp).toBeLessThanOrEqual(4_200);
      const before = performance.now();
      relay.limit({ up: 10_000_000, down: 10 });
      expect((await readAll(peer)).equals(pattern.subarray(0, 200_000))).toBe(true);
      expect(performance.now() - before).toBeLessThan(20_000); // and not five hours
    });

    test("messages below the rate are not held up", async () => {
      const { relay, client, peer } = await bench();
      peer.on("data", (chunk) => peer.write(chunk));
      const talk = async (): Promise<number> => {
        const before = performance.now();
        for (let round = 0; round < 50; round++) {
          client.write("a message");
          await once(client, "data");
        }
        return performance.now() - before;
      };
      const usual = await talk();
      relay.limit({ up: 1_000_000, down: 1_000_000 });
      let talks = 1;
      await eventually(async () => {
        talks++; // again, if it was the machine that held them up
        expect(await talk()).toBeLessThan(4 * usual + 2_000);
      });
      expect([relay.bytesUp, relay.bytesDown]).toEqual([talks * 450, talks * 450]);
    });

    test("random rates in both directions change nothing of the bytes", async () => {
      const { relay, client, peer } = await bench();
      const both = Promise.all([readAll(client), readAll(peer)]);
      client.end(pattern);
      peer.end(pattern);
      for (let round = 0; round < 40; round++) {
        const rate = 10 ** (3 + Math.random() * 5);
        relay.limit(round % 5 === 4 ? undefined : { up: rate, down: round % 3 === 0 ? undefined : rate * 2 });
        await sleep(Math.random() * 20);
      }
      relay.limit({});
      for (const got of await both) expect(got.equals(pattern)).toBe(true);
      await ended(relay);
    });

    test("a slow session that moves is not idle", async () => {
      const { relay, client, peer } = await bench({ idleTimeoutMs: 3_000 });
      relay.limit({ up: 20_000 });
      client.end(pattern.subarray(0, 80_000)); // three seconds and more
      expect((await readAll(peer)).length).toBe(80_000);
      peer.end();
      expect(await ended(relay)).toBe("client_closed");
    });

    test("ended gently, what was taken in goes out without a limit", async () => {
      const { relay, client, peer } = await bench();
      relay.limit({ up: 100, down: 100 });
      client.write(pattern.subarray(0, 300_000));
      await sleep(100);
      const before = performance.now();
      relay.end("drained");
      const got = await readAll(peer);
      peer.end();
      client.resume().end();
      expect(await ended(relay)).toBe("drained");
      expect(performance.now() - before).toBeLessThan(20_000); // at its rate it would take minutes
      expect(got.length).toBe(relay.bytesUp);
      expect(got.equals(pattern.subarray(0, got.length))).toBe(true);
    });

    test.each([0, -1, Number.NaN, Number.NEGATIVE_INFINITY])("%d is no rate", async (rate) => {
      const { relay, client, peer } = await bench();
      expect(() => relay.limit({ up: rate })).toThrow(RangeError);
      expect(() => relay.limit({ down: rate })).toThrow(RangeError);
      relay.limit({ up: Number.POSITIVE_INFINITY });
      client.end("as fast as ever");
      expect((await readAll(peer)).toString()).toBe("as fast as ever");
    });

    test("one that is over hears of no rate", async () => {
      const { relay } = await bench();
      relay.limit({ up: 1_000 });
      relay.end("killed");
      expect(await ended(relay)).toBe("killed");
      relay.limit({ up: 2_000 });
      relay.limit(undefined);
    });
  });
}

const pattern = Buffer.from(Uint8Array.from({ length: 4_000_000 }, (_, at) => (at * 31) >> 7));

const ended = (relay: Relay): Promise<RelayCause> => new Promise((resolve) => relay.onEnd(resolve));

/** Where the bytes of a direction come from, and where they go. */
function ends({ client, peer }: RelayBench, way: "up" | "down"): readonly [Socket, Socket] {
  return way === "up" ? [client, peer] : [peer, client];
}
