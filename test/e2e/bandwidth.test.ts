import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, readAll } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { TestServer } from "../support/servers.ts";

// What the sessions of one key may move together, whatever they do to have more.

const RATE = 100_000;
const BURST = RATE / 10;
const SHORT = Buffer.alloc(4_000, "x");
const WIDE = 1_000_000;

let short: TestServer;
let sink: TestServer;
let endless: TestServer;
let sunk = 0;

beforeAll(async () => {
  short = await TestServer.open((socket) => void socket.end(SHORT));
  sink = await TestServer.open((socket) => {
    socket.on("data", ({ length }) => {
      sunk += length;
    });
    socket.on("end", () => socket.end("got it"));
  });
  endless = await TestServer.open((socket) => {
    const pour = (): void => {
      while (!socket.destroyed && socket.write(SHORT));
    };
    socket.once("data", () => {
      socket.on("drain", pour);
      pour();
    });
  });
});
afterAll(async () => {
  for (const server of [short, sink, endless]) await server[Symbol.asyncDispose]();
});

const config = (workers: number): string => `
import { defineGateway, on, proxy, silent } from "restyconf";
import { bytes } from "restyconf/preread";
const shared = (bytesPerSecond) => [{ bytesPerSecond, per: "address" }];
export default defineGateway({
  workers: ${workers},
  upstreams: { short: { peers: ["${short.address}"] }, sink: { peers: ["${sink.address}"] }, endless: { peers: ["${endless.address}"] } },
  servers: {
    short: { listen: "127.0.0.1:0", routes: [silent(0, proxy("short"))], limits: shared(${RATE}) },
    sink: { listen: "127.0.0.1:0", routes: [on(bytes("xxxx"), proxy("sink"))], limits: shared(${RATE}) },
    filtered: { listen: "127.0.0.1:0", routes: [silent(0, proxy("short"))], limits: shared(${RATE}), phases: { bodyFilter: { upstream: (chunk) => chunk } } },
    prefaced: { listen: "127.0.0.1:0", routes: [on(bytes("xxxx"), proxy("sink"))], limits: shared(${RATE}), phases: { headerFilter: () => {} } },
    endless: { listen: "127.0.0.1:0", routes: [silent(0, proxy("endless"))], limits: shared(${WIDE}) },
  },
});`;

/** Runs sessions one after the other for a time, and answers what they have moved. */
async function oneAfterTheOther(ms: number, session: () => Promise<number>): Promise<number> {
  const until = performance.now() + ms;
  let moved = 0;
  while (performance.now() < until) moved += await session();
  return moved;
}

/** What may have been moved in this time, by the clock: the last session may have ended a bit late. */
const most = (began: number): number => ((performance.now() - began) / 1_000) * RATE + BURST;

describe.each([1, 2])("with %d workers", (workers) => {
  // Of two, one is at rest while its half of the rate comes in and overflows.
  const least = RATE * (workers === 1 ? 0.7 : 0.3);
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await Gateway.start(config(workers), { ports: 5 });
  });
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
  });

  test.each([
    ["short", 5_000],
    ["filtered", 2_500],
  ])("short sessions have no more than one long one would (%s)", async (server, ms) => {
    const began = performance.now();
    const moved = await oneAfterTheOther(ms, async () => {
      const socket = await dialIn(gateway.port(server));
      const { length } = await readAll(socket);
      socket.destroy();
      return length;
    });
    expect(moved).toBeLessThanOrEqual(most(began));
    expect(moved).toBeGreaterThan((least * ms) / 1_000);
  });

  test.each(["sink", "prefaced"])(
    "the first bytes of sessions count, too, and once, though they were looked at before (%s)",
    async (server) => {
      const began = performance.now();
      const before = sunk;
      await oneAfterTheOther(2_500, async () => {
        const socket = await dialIn(gateway.port(server));
        socket.end(SHORT);
        return (await readAll(socket)).length;
      });
      expect(sunk - before).toBeLessThanOrEqual(most(began));
      expect(sunk - before).toBeGreaterThan(least * 2.5);
    },
  );

  test("many at once have no more, either", async () => {
    const began = performance.now();
    const each = () =>
      oneAfterTheOther(3_000, async () => {
        const socket = await dialIn(gateway.port("short"));
        const { length } = await readAll(socket);
        socket.destroy();
        return length;
      });
    const moved = await Promise.all(Array.from({ length: 30 }, each));
    const all = moved.reduce((sum, bytes) => sum + bytes, 0);
    expect(all).toBeLessThanOrEqual(most(began));
    expect(all).toBeGreaterThan(2 * RATE);
  });

  test("one who is busy has nearly all within two seconds, among twenty who are not", async () => {
    const idle: Socket[] = [];
    for (let time = 0; time < 20; time++) idle.push(await dialIn(gateway.port("endless")));
    await sleep(500); // they are relayed, and share the rate
    const busy = await dialIn(gateway.port("endless"));
    let moved = 0;
    busy.on("data", ({ length }) => {
      moved += length;
    });
    busy.write("go");
    await sleep(2_000);
    const before = moved;
    const began = performance.now();
    await sleep(2_000);
    const perSecond = ((moved - before) * 1_000) / (performance.now() - began);
    for (const socket of [busy, ...idle]) socket.destroy();
    expect(perSecond).toBeGreaterThan(0.85 * WIDE);
    expect(perSecond).toBeLessThan(1.1 * WIDE);
  });
});
