import { once } from "node:events";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { type ClusterLimits, clusterLimits } from "../../../src/shared/limits/cluster-limits.ts";
import { redisScripts } from "../../../src/shared/limits/redis-scripts.ts";
import { sleep } from "../../../src/shared/sleep.ts";
import { type LimiterDriver, limiterLaws } from "../../laws/limiter-laws.ts";
import { RedisServer } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";
import { crowd } from "./crowd.ts";

let server: RedisServer;
let client: Redis;
let limits: ClusterLimits;
let wasAway = false;

beforeAll(async () => {
  server = await RedisServer.start();
  client = connect();
  await once(client, "ready");
  const onState = (): void => {
    wasAway = true;
  };
  limits = clusterLimits({ redis: redisScripts(client), dict: openDict(), timeoutMs: 5_000, onState });
});
afterAll(async () => {
  client.disconnect();
  await server[Symbol.asyncDispose]();
});

function connect(): Redis {
  const redis = new Redis(server.port, { maxRetriesPerRequest: 0, enableOfflineQueue: false, retryStrategy: () => 20 });
  redis.on("error", () => {}); // it is killed on purpose
  return redis;
}

function openDict(): SharedDict {
  const { dict } = openDicts({ dict: "1m" }).dicts;
  if (!dict) throw new Error("it was opened above");
  return dict;
}

const driver = (): LimiterDriver => ({
  ...limits,
  pass: (ms) => sleep(ms),
  spoil: async (kind, key) => void (await client.rpush(`restyconf:limit:${kind}:${key}`, 1)),
});

limiterLaws("limiters in Redis", driver);

test("all of that was counted in Redis", () => expect(wasAway).toBe(false));

describe("processes that ask one limiter in Redis", () => {
  const { together, kill } = crowd();
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

  test.each(["req", "count", "rate", "hold"] as const)(
    "(%s) let in exactly as many as there are places",
    async (kind) => {
      await client.flushall();
      const job = { where: { redis: server.port }, kind, amount: 600, places: 700 } as const;
      expect(sum(await together(job, 3))).toBe(700);
      await kill(); // who holds leases has waited for that
    },
  );

  test("and are killed, free their places when their leases end", async () => {
    await client.flushall();
    const job = { where: { redis: server.port }, kind: "hold", amount: 10, places: 10, leaseMs: 5_000 } as const;
    expect(sum(await together(job, 2))).toBe(10);
    const conn = limits.limitConn({ conns: 10 });
    expect(await conn.incoming("key")).toEqual({ err: "rejected" });
    await sleep(6_000); // longer than a lease: those who live renew theirs
    expect(await conn.incoming("key")).toEqual({ err: "rejected" });
    await kill();
    const asked = () => conn.incoming("key", { commit: false }); // their leases may end one after the other
    await eventually(async () => expect(await asked()).toMatchObject({ conns: 1 }));
  });
});

describe("while Redis is away", () => {
  const states: string[] = [];
  const own = (timeoutMs: number, leaseMs?: number): ClusterLimits =>
    clusterLimits({
      redis: redisScripts(client),
      dict: openDict(),
      timeoutMs,
      retryMs: 50,
      leaseMs,
      onState: (isAway) => states.push(isAway ? "away" : "back"),
    });

  test("limiters count here, to the same limits, and go back to it when it is back", async () => {
    const { limitCount, limitReq, limitRate } = own(5_000);
    const count = limitCount({ limit: 2, windowMs: 60_000 });
    const req = limitReq({ rate: 0.1 });
    const rate = limitRate({ capacity: 1, intervalMs: 60_000, maxWaitMs: 0 });
    const all = [count, req, rate];
    await count.incoming("away");
    await server.kill();
    for (const limiter of all) expect((await limiter.incoming("away")).err).toBeUndefined();
    expect((await count.incoming("away")).remaining).toBe(0);
    for (const limiter of all) expect(await limiter.incoming("away")).toEqual({ err: "rejected" });
    await server.start();
    await eventually(async () => {
      await count.incoming("elsewhere");
      expect(states).toEqual(["away", "back"]);
    });
    for (const limiter of all) expect((await limiter.incoming("away")).err).toBeUndefined(); // it came back empty
  });

  test("one that does not answer is waited for once, not by every session", async () => {
    const count = own(1_000).limitCount({ limit: 100, windowMs: 600_000 });
    await count.incoming("hangs");
    server.pause();
    states.length = 0;
    const began = performance.now();
    for (let time = 0; time < 50; time++) expect((await count.incoming("hangs")).err).toBeUndefined();
    expect(performance.now() - began).toBeLessThan(40_000); // 50 times as long as one waits is 50 s
    server.resume();
    await eventually(async () => {
      await count.incoming("hangs");
      expect(states.at(-1)).toBe("back");
    });
  });

  test("leases go on being counted, and a Redis that comes back empty is told of them", async () => {
    const conn = own(5_000, 9_000).limitConn({ conns: 3 });
    const other = own(5_000, 9_000).limitConn({ conns: 3 });
    await conn.incoming("kept");
    await server.kill();
    const second = await conn.incoming("kept");
    expect(second).toMatchObject({ conns: 2 }); // one from before, one since
    expect(await conn.incoming("kept")).toMatchObject({ conns: 3 });
    expect(await conn.incoming("kept")).toEqual({ err: "rejected" });
    if (second.err === undefined) second.release();
    await server.start();
    await eventually(async () => expect(await other.incoming("kept", { commit: false })).toMatchObject({ conns: 3 }));
    expect(await conn.incoming("kept")).toMatchObject({ conns: 3 });
    expect(await other.incoming("kept")).toEqual({ err: "rejected" });
    await conn.close();
    expect(await other.incoming("kept")).toMatchObject({ conns: 1 });
    await other.close();
    expect(await client.keys("restyconf:limit:conn:kept")).toEqual([]);
  });
});

test("programs are sent whole only when Redis does not know them", async () => {
  await client.script("FLUSH");
  const count = limits.limitCount({ limit: 9, windowMs: 60_000 });
  expect(await count.incoming("scripts")).toMatchObject({ remaining: 8 });
  const calls = async (): Promise<string> =>
    /cmdstat_eval:calls=(\d+)/.exec(await client.info("commandstats"))?.[1] ?? "0";
  const before = await calls();
  expect(await count.incoming("scripts")).toMatchObject({ remaining: 7 });
  expect(await calls()).toBe(before);
});
