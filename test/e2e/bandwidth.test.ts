import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
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

/** So long may a machine that is busy keep sessions from their rate. */
const PATIENCE_MS = 20_000;

interface Aim {
  readonly ms: number;
  readonly bytesPerSecond: number;
  /** Sessions at once. Default 1. */
  readonly atOnce?: number;
}

/** Runs sessions until they have moved more than that over such a time, and answers what they have moved in all, and whether they did. */
async function moving({ ms, bytesPerSecond, atOnce = 1 }: Aim, session: () => Promise<number>): Promise<Moved> {
  const until = performance.now() + PATIENCE_MS;
  const before = [{ at: performance.now(), all: 0 }];
  let [all, isEnough] = [0, false];
  const each = async (): Promise<void> => {
    while (!isEnough && performance.now() < until) {
      const moved = await session(); // others move meanwhile
      all += moved;
      const at = performance.now();
      const from = before.findLast((one) => one.at <= at - ms);
      isEnough ||= from !== undefined && all - from.all > ((at - from.at) / 1_000) * bytesPerSecond;
      before.push({ at, all });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, each));
  return { all, isEnough };
}

interface Moved {
  readonly all: number;
  readonly isEnough: boolean;
}

/** Where nothing comes for longer the machine was held up: what a limit saves in a rest is a tenth of a second's. */
const REST_MS = 100;

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
    const { all, isEnough } = await moving({ ms, bytesPerSecond: least }, async () => {
      const socket = await dialIn(gateway.port(server));
      const { length } = await readAll(socket);
      socket.destroy();
      return length;
    });
    expect(all).toBeLessThanOrEqual(most(began));
    expect(isEnough).toBe(true);
  });

  test.each(["sink", "prefaced"])(
    "the first bytes of sessions count, too, and once, though they were looked at before (%s)",
    async (server) => {
      const began = performance.now();
      const before = sunk;
      const { isEnough } = await moving({ ms: 2_500, bytesPerSecond: least }, async () => {
        const already = sunk;
        const socket = await dialIn(gateway.port(server));
        socket.end(SHORT);
        await readAll(socket);
        return sunk - already;
      });
      expect(sunk - before).toBeLessThanOrEqual(most(began));
      expect(isEnough).toBe(true);
    },
  );

  test("many at once have no more, either", async () => {
    const began = performance.now();
    const { all, isEnough } = await moving({ ms: 3_000, bytesPerSecond: (2 / 3) * RATE, atOnce: 30 }, async () => {
      const socket = await dialIn(gateway.port("short"));
      const { length } = await readAll(socket);
      socket.destroy();
      return length;
    });
    expect(all).toBeLessThanOrEqual(most(began));
    expect(isEnough).toBe(true);
  });

  test("one who is busy has nearly all within two seconds, among twenty who are not", async () => {
    const idle: Socket[] = [];
    const accepted = endless.accepted;
    for (let time = 0; time < 20; time++) idle.push(await dialIn(gateway.port("endless")));
    await eventually(() => expect(endless.accepted - accepted).toBe(20)); // they are relayed …
    await sleep(500); // … and share the rate
    const busy = await dialIn(gateway.port("endless"));
    const began = performance.now();
    let [moved, cameAt, lostMs] = [0, began, 0];
    busy.on("data", ({ length }) => {
      const now = performance.now();
      lostMs += Math.max(0, now - cameAt - REST_MS);
      cameAt = now;
      moved += length;
    });
    busy.write("go");
    await sleep(2_000);
    const [before, from, lostBefore] = [moved, performance.now(), lostMs];
    await sleep(2_000);
    const now = performance.now();
    const [least, most] = [now - from - (lostMs - lostBefore), now - began + REST_MS].map((ms) => (ms / 1_000) * WIDE);
    for (const socket of [busy, ...idle]) socket.destroy();
    expect(moved - before).toBeGreaterThan(0.85 * (least ?? 0));
    expect(moved).toBeLessThan(1.1 * (most ?? 0)); // from its begin, since what a machine has held up comes at once
  });
});
