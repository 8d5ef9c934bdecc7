import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { openFilesOf } from "../../support/process.ts";
import { type CarrierBench, closed, type Peer, relayOptions } from "./bench.ts";

const CROWD = 500;

/** Pipes that a carrier may keep for the next stream, both ends of each. */
const SPARE_PIPE_ENDS = 32;

const POOL = Buffer.from(Array.from({ length: 1_000_000 }, (_, at) => (at * 2_654_435_761) >>> 24));

/** Many clients at once, each with a mind of its own. */
export function crowdLaws(bench: () => CarrierBench): void {
  describe(`${CROWD} clients at once`, () => {
    test("each is served to its end, told of once, and leaves nothing behind", { timeout: 120_000 }, async () => {
      const sockets = openFilesOf(process.pid, "socket:");
      const peer = await bench().peer();
      await Promise.all(Array.from({ length: CROWD }, (_, at) => live(bench(), peer, at)));
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
      await bench().clear();
      // The ports that this test opened first may be still open.
      await eventually(() => expect(openFilesOf(process.pid, "socket:")).toBeLessThanOrEqual(sockets + 2));
      await eventually(() =>
        expect(openFilesOf(process.pid, "pipe:")).toBeLessThanOrEqual(pipesBefore() + SPARE_PIPE_ENDS),
      );
    });

    test("streams that break off with bytes on their way leave no pipe behind", { timeout: 120_000 }, async () => {
      for (let round = 0; round < 3; round++) await Promise.all(Array.from({ length: 40 }, () => breakOff(bench())));
      await bench().clear();
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
      await eventually(() =>
        expect(openFilesOf(process.pid, "pipe:")).toBeLessThanOrEqual(pipesBefore() + SPARE_PIPE_ENDS),
      );
    });
  });
}

/** Those of the process that runs the tests: its channel and its standard streams. */
const PIPES = openFilesOf(process.pid, "pipe:");
const pipesBefore = (): number => PIPES;

/** What becomes of a client, by its number. */
async function live(bench: CarrierBench, peer: Peer, number: number): Promise<void> {
  await sleep(Math.random() * 300);
  const says = String(number).padStart(6, "0");
  const { incoming, client } = await bench.accept({ says });
  const fate = number % 10;
  await incoming.head.grow(6, performance.now() + Math.random() * 20);
  if (fate === 0) return leave(bench, incoming, client);
  if (fate === 1) incoming.takeOver();
  if (fate === 2) incoming.stop("killed");
  else {
    const relay = await incoming.relayTo(peer.endpoint, relayOptions());
    let told = 0;
    const ended = new Promise<void>((resolve) => {
      relay.onEnd(() => {
        told++;
        resolve();
      });
    });
    const far = await peer.next(); // any of those that came in; the pairs do not matter
    await talk(client, far, fate);
    relay.end("killed");
    await ended;
    relay.end("shutdown");
    await sleep(10);
    expect(told).toBe(1);
  }
  incoming.close("end");
  await closed(incoming);
}

async function leave(bench: CarrierBench, incoming: Parameters<typeof closed>[0], client: Socket): Promise<void> {
  client.resetAndDestroy();
  await incoming.head.grow(7);
  incoming.close("reset");
  await closed(incoming);
  expect(bench.carrier.sessions()).toBeLessThanOrEqual(CROWD);
}

async function talk(client: Socket, far: Socket, fate: number): Promise<void> {
  for (const socket of [client, far]) socket.on("data", () => {});
  const size = Math.floor(Math.random() ** 3 * POOL.length);
  const at = Math.floor(Math.random() * (POOL.length - size));
  client.write(POOL.subarray(at, at + size));
  far.write(POOL.subarray(at, at + size));
  await sleep(Math.random() * 50);
  if (fate < 5) client.end();
  else if (fate === 5) client.resetAndDestroy();
  else if (fate === 6) far.resetAndDestroy();
  else if (fate === 7) far.end();
  else client.destroy();
  await sleep(Math.random() * 50);
}

async function breakOff(bench: CarrierBench): Promise<void> {
  const { client, peer, relay, ended, incoming } = await bench.relayed({
    says: "!",
    relay: { idleTimeoutMs: 1_000 },
  });
  const way = Math.random();
  peer.on("data", () => {
    if (way < 0.5) peer.pause(); // bytes stay in the pipe
  });
  client.write(Buffer.alloc(8_000_000));
  await sleep(Math.random() * 100);
  if (way < 0.3) relay.end("killed");
  else if (way < 0.6) client.resetAndDestroy();
  else peer.resetAndDestroy();
  await ended;
  await closed(incoming);
}
