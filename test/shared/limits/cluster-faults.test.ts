import { once } from "node:events";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import { type ClusterLimits, clusterLimits } from "../../../src/shared/limits/cluster-limits.ts";
import { redisScripts } from "../../../src/shared/limits/redis-scripts.ts";
import { sleep } from "../../../src/shared/sleep.ts";
import { RedisServer } from "../../registry/redis-server.ts";

/** What the clock of Redis is set back by, in milliseconds: what was kept before is so far in the future. */
const BACK_MS = 120_000;

let server: RedisServer;
let client: Redis;
let limits: ClusterLimits;
let patient: ClusterLimits;
const told: string[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
  client = new Redis(server.port);
  await once(client, "ready");
  const { dict } = openDicts({ dict: "1m" }).dicts;
  if (!dict) throw new Error("it was opened above");
  const onState = (isAway: boolean): void => void told.push(isAway ? "away" : "back");
  const onRefusal = (reason: string): void => void told.push(reason);
  const options = { redis: redisScripts(client), dict, timeoutMs: 5_000, onState, onRefusal };
  limits = clusterLimits({ ...options, leaseMs: 500 });
  patient = clusterLimits({ ...options, leaseMs: 60_000 });
});
afterAll(async () => {
  client.disconnect();
  await server[Symbol.asyncDispose]();
});

/** What Redis would have kept, had its clock been so far ahead. */
async function ahead(key: string, change: (kept: string) => string): Promise<void> {
  const name = `restyconf:limit:${key}`;
  const kept = (await client.get(name)) ?? "";
  await client.set(name, change(kept), "PX", (await client.pttl(name)) + BACK_MS);
}

describe("when the clock of Redis goes back", () => {
  test("limitReq lets somebody in after one step, and nobody is told to wait longer than his burst", async () => {
    const req = limits.limitReq({ rate: 1, burst: 9 });
    await req.incoming("clock");
    await ahead("req:clock", (kept) => String(Number(kept) + BACK_MS));
    expect(await req.incoming("clock")).toEqual({ err: "rejected" });
    await sleep(1_050);
    const { delayMs = 0 } = await req.incoming("clock");
    expect(delayMs).toBeGreaterThan(0);
    expect(delayMs).toBeLessThanOrEqual(9_000);
  });

  test("limitRate fills its bucket, and tells nobody to wait for what went back", async () => {
    const rate = limits.limitRate({ capacity: 1, intervalMs: 2_000 });
    await rate.incoming("clock");
    await ahead("rate:clock", (kept) => kept.replace(/\S+$/, (at) => String(Number(at) + BACK_MS)));
    expect((await rate.incoming("clock", { commit: false })).delayMs).toBeLessThanOrEqual(2_000);
    await sleep(2_050);
    expect(await rate.incoming("clock")).toMatchObject({ delayMs: 0 });
  });

  test("limitCount ends its window in time", async () => {
    const count = limits.limitCount({ limit: 1, windowMs: 2_000 });
    await count.incoming("clock");
    await ahead("count:clock", (kept) => kept);
    expect(await count.incoming("clock")).toEqual({ err: "rejected" });
    expect(await count.retryAfterMs("clock")).toBeLessThanOrEqual(2_000);
    await sleep(2_050);
    expect(await count.incoming("clock")).toEqual({ delayMs: 0, remaining: 0 });
  });

  test("limitConn frees the places of the dead in time", async () => {
    const conn = limits.limitConn({ conns: 1 });
    const late = 1e15 + Date.now() + BACK_MS;
    await client.zadd("restyconf:limit:conn:clock", 1, "count dead", late, "ends dead", 1, "total");
    expect(await conn.incoming("clock")).toEqual({ err: "rejected" });
    await sleep(700);
    expect(await conn.incoming("clock")).toMatchObject({ conns: 1 });
    await conn.close();
  });
});

describe("limitConn in Redis", () => {
  test("costs the same however many owners hold the key", async () => {
    const conn = patient.limitConn({ conns: 1_000_000 });
    const ends = 1e15 + Date.now() + 50_000;
    for (let from = 0; from < 40_000; from += 1_000) {
      const owners = Array.from({ length: 1_000 }, (_, at) => `owner${from + at}`);
      await client.zadd(
        "restyconf:limit:conn:many",
        ...owners.flatMap((name) => [1, `count ${name}`, ends, `ends ${name}`]),
      );
    }
    await client.zadd("restyconf:limit:conn:many", 40_000, "total");
    const took: number[] = [];
    for (let time = 1; time <= 20; time++) {
      await client.config("RESETSTAT");
      expect(await conn.incoming("many")).toMatchObject({ conns: 40_000 + time });
      const [, used = ""] = /cmdstat_evalsha:.*usec_per_call=([\d.]+)/.exec(await client.info("commandstats")) ?? [];
      took.push(Number(used));
    }
    expect(Math.min(...took)).toBeLessThan(1_000); // to look at each of them takes 37 times as long
    await client.del("restyconf:limit:conn:many");
    await conn.close();
  });

  test("clears away a crowd that has died, some at each question, and counts right all the time", async () => {
    const conn = patient.limitConn({ conns: 3_000 });
    const ended = 1e15 + Date.now() - 1;
    const names = Array.from({ length: 2_500 }, (_, at) => `owner${at}`);
    await client.zadd(
      "restyconf:limit:conn:dead",
      ...names.flatMap((name) => [1, `count ${name}`, ended, `ends ${name}`]),
    );
    await client.zadd("restyconf:limit:conn:dead", 2_500, "total");
    for (const conns of [1_501, 502, 3]) expect(await conn.incoming("dead")).toMatchObject({ conns });
    await conn.close();
    expect(await client.exists("restyconf:limit:conn:dead")).toBe(0);
  });
});

describe("a question that Redis refuses", () => {
  test("has no say about the others", async () => {
    const good = limits.limitCount({ limit: 2, windowMs: 60_000 });
    await good.incoming("good");
    await client.set("restyconf:limit:count:odd", "1.5"); // nothing that can be counted down
    expect(await good.incoming("odd")).toEqual({ delayMs: 0, remaining: 1 }); // counted here
    expect(await good.incoming("good")).toEqual({ delayMs: 0, remaining: 0 });
    expect(told).toHaveLength(1);
    expect(told[0]).toMatch(/^ERR /);
  });

  test.each([
    { limit: 3, windowMs: 1_000.5 },
    { limit: 2.5, windowMs: 1_000 },
    { limit: 0, windowMs: 1_000 },
  ])("is not made of %j", (settings) => {
    expect(() => limits.limitCount(settings)).toThrow(TypeError);
  });
});
