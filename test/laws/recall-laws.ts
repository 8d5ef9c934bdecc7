import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep, setImmediate as turn } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import type { Inlet } from "../../src/stream/inlet.ts";
import { NodeRelay, type Recalled, type Relay, type RelayCause } from "../../src/stream/relay.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import type { RelayBench, RelayBenchOptions } from "./relay-laws.ts";
import { RUNS } from "./sniffer-laws.ts";

/** Each run is two connections of its own. */
const NETWORK_RUNS = RUNS / 20;

/** What every relay must obey that can be taken back at a moment of rest. */
export function recallLaws(name: string, make: (options: RelayBenchOptions) => Promise<RelayBench>): void {
  const open: { close(): void }[] = [];
  afterEach(() => {
    for (const one of open.splice(0)) one.close();
  });
  const bench = async (options: Partial<RelayBenchOptions> = {}): Promise<RelayBench> => {
    const made = await make({ idleTimeoutMs: 60_000, before: "", ...options });
    open.push(made);
    return made;
  };
  const kept = (recalled: Recalled): Recalled => {
    open.push({ close: () => void [recalled.client, recalled.peer].map((side) => side.destroy()) });
    return recalled;
  };
  const rested = async (relay: Relay, restMs = 0): Promise<Recalled> => kept(await atRest(relay, restMs));
  /** Both directions have moved messages, often enough that an engine knows them for what they are. */
  const spoken = async (options?: Partial<RelayBenchOptions>): Promise<RelayBench> => {
    const made = await bench(options);
    for (let round = 0; round < 30; round++) await exchange(made);
    return made;
  };

  describe(name, () => {
    test("at rest both sides come back, and what either says afterwards arrives there", async () => {
      const { relay, client, peer } = await spoken();
      const recalled = await rested(relay, 20);
      client.write("from the client");
      peer.write("from the peer");
      client.end();
      peer.end();
      expect(await rest(recalled.client)).toBe("from the client");
      expect(await rest(recalled.peer)).toBe("from the peer");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([30 * QUESTION.length, 30 * ANSWER.length]);
    });

    test("one that has moved nothing yet", async () => {
      const { relay, client, peer } = await bench();
      const recalled = await rested(relay);
      client.end("a");
      peer.end("b");
      expect([await rest(recalled.client), await rest(recalled.peer)]).toEqual(["a", "b"]);
      expect([relay.bytesUp, relay.bytesDown]).toEqual([0, 0]);
    });

    test("what is said to both sides arrives, and the ends behind it", async () => {
      const { relay, client, peer } = await spoken();
      const recalled = await rested(relay);
      recalled.client.stream.end("goodbye, client");
      recalled.peer.stream.end("goodbye, peer");
      const [down, up] = await Promise.all([readAll(client), readAll(peer)]);
      expect([down.toString(), up.toString()]).toEqual(["goodbye, client", "goodbye, peer"]);
    });

    test("a new relay between the sides carries on, and counts from there", async () => {
      const { relay, client, peer } = await spoken();
      const { client: from, peer: to } = await rested(relay);
      const next = new NodeRelay(from, to, { idleTimeoutMs: 60_000 });
      for (let round = 0; round < 5; round++) await exchange({ client, peer });
      client.end("the end");
      expect((await readAll(peer)).toString()).toBe("the end");
      peer.end();
      expect(await ended(next)).toBe("client_closed");
      expect([next.bytesUp, next.bytesDown]).toEqual([5 * QUESTION.length + 7, 5 * ANSWER.length]);
      expect([relay.bytesUp, relay.bytesDown]).toEqual([30 * QUESTION.length, 30 * ANSWER.length]);
    });

    test("it is told whose bytes were the last ones", async () => {
      const answered = await spoken();
      expect((await rested(answered.relay)).spokeLast).toBe("peer");
      const asked = await spoken();
      asked.client.write("and?");
      await once(asked.peer, "data");
      expect((await rested(asked.relay)).spokeLast).toBe("client");
      const silent = await bench();
      expect((await rested(silent.relay)).spokeLast).toBe("client");
    });

    test("a large message afterwards is whole", async () => {
      const { relay, client, peer } = await spoken();
      const { client: from, peer: to } = await rested(relay);
      new NodeRelay(from, to, { idleTimeoutMs: 60_000 });
      client.end(pattern);
      peer.end(pattern);
      const [down, up] = await Promise.all([readAll(client), readAll(peer)]);
      expect([digest(down), digest(up)]).toEqual([digest(pattern), digest(pattern)]);
    });

    test("the one that is recalled is over: nothing of it acts any more", async () => {
      const { relay, client, peer } = await spoken({ idleTimeoutMs: 3_000 });
      let told = 0;
      relay.onEnd(() => told++);
      const recalled = await rested(relay);
      for (const cause of ["killed", "drained"] as const) relay.end(cause);
      relay.limit({ up: 1, down: 1 });
      expect(await relay.recall(0)).toBeUndefined();
      await sleep(3_100); // past its idle timeout
      client.end("still here");
      peer.end("and here");
      expect([await rest(recalled.client), await rest(recalled.peer)]).toEqual(["still here", "and here"]);
      expect(told).toBe(0);
    });

    test("a byte that has just moved is no rest: it goes on as before", async () => {
      const { relay, client, peer } = await spoken();
      expect(await relay.recall(60_000)).toBeUndefined();
      for (let round = 0; round < 30; round++) await exchange({ client, peer });
      await goesOn({ relay, client, peer });
    });

    test("rest is as long as it is asked for", async () => {
      const { relay, client, peer } = await spoken();
      const before = performance.now();
      await exchange({ client, peer });
      await rested(relay, 250);
      expect(performance.now() - before).toBeGreaterThan(200); // clocks are coarse
    });

    test("in the middle of streams it goes on, and no byte is missing", async () => {
      const { relay, client, peer } = await bench();
      const all = Promise.all([readAll(client), readAll(peer)]);
      client.end(Buffer.concat([pattern, pattern]));
      peer.end(Buffer.concat([pattern, pattern]));
      for (let round = 0; round < 20; round++) {
        const recalled = await relay.recall(30_000);
        expect(recalled).toBeUndefined();
        await turn();
      }
      for (const got of await all) expect(digest(got)).toBe(digest(Buffer.concat([pattern, pattern])));
    });

    test.each(["client", "peer"] as const)("bytes that the %s has not taken are no rest", async (side) => {
      const made = await bench();
      const { relay } = made;
      const other = side === "client" ? made.peer : made.client;
      made[side].pause();
      other.end(Buffer.concat(Array.from({ length: 12 }, () => pattern)));
      await settled(relay);
      expect(await relay.recall(0)).toBeUndefined();
      made[side].resume();
      expect(digest(await readAll(made[side]))).toBe(digest(Buffer.concat(Array.from({ length: 12 }, () => pattern))));
    });

    test.each(["client", "peer"] as const)("one that the %s has ended its side of is no rest", async (side) => {
      const made = await spoken();
      const other = side === "client" ? made.peer : made.client;
      made[side].end("the last");
      expect((await readAll(other)).toString()).toBe("the last");
      expect(await made.relay.recall(0)).toBeUndefined();
      other.end("answer");
      expect((await readAll(made[side])).toString()).toBe("answer");
      expect(await ended(made.relay)).toBe(`${side}_closed`);
      expect(await made.relay.recall(0)).toBeUndefined();
    });

    test.each(["client", "peer"] as const)("one that the %s resets is over, whoever looks first", async (side) => {
      const made = await spoken();
      const other = side === "client" ? made.peer : made.client;
      made[side].resetAndDestroy();
      const recalled = await made.relay.recall(0);
      if (recalled) {
        kept(recalled); // the reset came behind the look: it shows to whoever reads
        expect(await recalled[side].grow(1)).toBe("reset");
      } else {
        other.resume();
        expect(await ended(made.relay)).toBe(`${side}_reset`);
        expect(await made.relay.recall(0)).toBeUndefined();
      }
    });

    test("under a limit it can be recalled, unless the limit holds bytes back", async () => {
      const { relay, client, peer } = await bench();
      relay.limit({ up: 100, down: 1_000_000 });
      client.write(pattern.subarray(0, 8_000));
      await eventually(() => expect(relay.bytesUp).toBeGreaterThan(0));
      expect(await relay.recall(0)).toBeUndefined();
      relay.limit({ up: 20_000, down: 1_000_000 });
      await eventually(() => expect(relay.bytesUp).toBe(8_000));
      const recalled = await rested(relay);
      expect(peer.read(8_000)).toEqual(pattern.subarray(0, 8_000));
      client.end(pattern);
      peer.end();
      expect(digest(await bytesOf(recalled.client))).toBe(digest(pattern)); // and the limit is gone
    });

    test("of two at once, one gets the sides", async () => {
      const { relay } = await spoken();
      await sleep(20);
      const both = await Promise.all([relay.recall(0), relay.recall(0)]);
      expect(both.filter((one) => one !== undefined).length).toBe(1);
      for (const one of both) if (one) kept(one);
    });

    test.each(["killed", "drained"] as const)("ended while it is recalled, it is ended: %s", async (cause) => {
      const { relay, client, peer } = await spoken();
      await sleep(20);
      const recalling = relay.recall(0);
      relay.end(cause);
      expect(await recalling).toBeUndefined();
      const all = await Promise.all([readAll(client), readAll(peer)]);
      expect(all.map(String)).toEqual(["", ""]);
      client.end();
      peer.end();
      expect(await ended(relay)).toBe(cause);
    });

    test.each(["killed", "drained"] as const)(
      "ended at any moment of a recall, by one of the two: %s",
      async (cause) => {
        for (let delay = 0; delay < 12; delay++) {
          const { relay, client, peer } = await bench();
          await exchange({ client, peer });
          const recalling = relay.recall(0);
          for (let wait = 0; wait < delay; wait++) await turn();
          relay.end(cause);
          const recalled = await recalling;
          if (recalled) for (const side of [recalled.client, recalled.peer]) side.stream.end();
          for (const got of await Promise.all([readAll(client), readAll(peer)])) expect(got.length).toBe(0);
          client.end();
          peer.end();
          if (!recalled) expect(await ended(relay)).toBe(cause);
        }
      },
    );

    test("recalled again and again, at any moment, no byte is lost, doubled or moved", {
      timeout: 600_000,
    }, async () => {
      await fc.assert(
        fc.asyncProperty(lives, async (life) => {
          const made = await make({ idleTimeoutMs: 60_000, before: "" });
          try {
            await runLife(made, life);
          } finally {
            made.close();
          }
        }),
        { numRuns: NETWORK_RUNS },
      );
    });
  });
}

/** What both sides say, in which pieces, and how often somebody recalls the relay between two of them. */
interface Life {
  readonly up: readonly number[];
  readonly down: readonly number[];
  /** Turns to wait, then a recall at so much rest. */
  readonly recalls: readonly { readonly turns: number; readonly restMs: number }[];
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 100_000 })), {
  maxLength: 8,
});
const lives: fc.Arbitrary<Life> = fc.record({
  up: sizes,
  down: sizes,
  recalls: fc.array(fc.record({ turns: fc.nat({ max: 6 }), restMs: fc.constantFrom(0, 0, 0, 1, 3) }), {
    minLength: 1,
    maxLength: 6,
  }),
});

async function runLife({ relay, client, peer }: RelayBench, life: Life): Promise<void> {
  const all = Promise.all([readAll(client), readAll(peer)]);
  const sent = Promise.all([say(client, life.up), say(peer, life.down)]);
  const relays = [relay];
  for (const { turns, restMs } of life.recalls) {
    for (let wait = 0; wait < turns; wait++) await turn();
    const recalled = await relays.at(-1)?.recall(restMs);
    if (recalled) relays.push(new NodeRelay(recalled.client, recalled.peer, { idleTimeoutMs: 60_000 }));
  }
  const [up, down] = await sent;
  client.end();
  peer.end();
  const [gotDown, gotUp] = await all;
  expect([gotUp.length, gotDown.length]).toEqual([up.length, down.length]);
  expect([digest(gotUp), digest(gotDown)]).toEqual([digest(up), digest(down)]);
  expect(await ended(relays.at(-1) ?? relay)).toMatch(/_closed$/);
  expect(relays.reduce((sum, { bytesUp }) => sum + bytesUp, 0)).toBe(up.length);
  expect(relays.reduce((sum, { bytesDown }) => sum + bytesDown, 0)).toBe(down.length);
}

async function say(socket: Socket, list: readonly number[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const size of list) {
    const piece = pattern.subarray(at, at + size);
    at += size;
    pieces.push(piece);
    socket.write(piece);
    await turn();
    await turn();
  }
  return Buffer.concat(pieces);
}

const QUESTION = "how are you?";
const ANSWER = "fine";
const pattern = Buffer.from(Uint8Array.from({ length: 4_000_000 }, (_, at) => (at * 31) >> 7));

/** A question and its answer. */
async function exchange({ client, peer }: Pick<RelayBench, "client" | "peer">): Promise<void> {
  client.write(QUESTION);
  expect(String(await read(peer, QUESTION.length))).toBe(QUESTION);
  peer.write(ANSWER);
  expect(String(await read(client, ANSWER.length))).toBe(ANSWER);
}

/** So many bytes; the socket stands still afterwards. */
async function read(socket: Socket, size: number): Promise<Buffer> {
  for (;;) {
    const got: Buffer | null = socket.read(size);
    if (got) return got;
    await once(socket, "readable");
  }
}

async function goesOn({ relay, client, peer }: Pick<RelayBench, "relay" | "client" | "peer">): Promise<void> {
  const all = Promise.all([readAll(client), readAll(peer)]);
  client.end(pattern);
  peer.end(pattern);
  for (const got of await all) expect(digest(got)).toBe(digest(pattern));
  expect(await ended(relay)).toMatch(/_closed$/);
}

/** Asks until it is at rest. */
async function atRest(relay: Relay, restMs: number): Promise<Recalled> {
  return eventually(async () => {
    const recalled = await relay.recall(restMs);
    if (!recalled) throw new Error("not at rest");
    return recalled;
  });
}

async function settled(relay: Relay): Promise<void> {
  for (let last = -1, rounds = 0; rounds < 8; ) {
    await sleep(20);
    const now = relay.bytesUp + relay.bytesDown;
    rounds = now === last ? rounds + 1 : 0;
    last = now;
  }
}

async function rest(inlet: Inlet): Promise<string> {
  return (await bytesOf(inlet)).toString();
}

/** All that comes, in some bites. */
async function bytesOf(inlet: Inlet): Promise<Buffer> {
  const chunks: Buffer[] = [];
  while ((await inlet.grow(1)) === "enough") chunks.push(Buffer.from(inlet.consume(7_777)));
  return Buffer.concat(chunks);
}

const ended = (relay: Relay): Promise<RelayCause> => new Promise((resolve) => relay.onEnd(resolve));

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
