import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GatewayConfig } from "../../../src/gateway.ts";
import { Leases } from "../../../src/worker/master/leases.ts";
import { RedisServer } from "../../registry/redis-server.ts";

// Which numbers workers get. How they pass from one process to the next is told by the stories of ids.

const log = { debug() {}, info() {}, warn() {}, error() {}, access() {} };

let redis: RedisServer;
beforeAll(async () => {
  redis = await RedisServer.start();
  await redis.settle();
});
afterAll(() => redis[Symbol.asyncDispose]());

function config(prefix: string): GatewayConfig {
  return { redis: { url: `redis://127.0.0.1:${redis.port}`, prefix }, servers: {} };
}

function open(prefix: string, workers: number): Promise<Leases> {
  return Leases.open(config(prefix), workers, { baseDir: "/", log });
}

describe("numbers of workers", () => {
  test("are one lease for up to ten of them", async () => {
    await using leases = await open("ten:", 2);
    const wanted = { config: config("ten:"), workers: 10, isPlanned: false };
    for (const number of [0, 9]) expect((await leases.take(number, wanted)).ids).toMatchObject({ number, masterId: 0 });
  });

  test("are another lease where a reload wants more than there is room for: the next number is another gateway's", async () => {
    await using leases = await open("more:", 2);
    await using _other = await open("more:", 1);
    const { ids, hasLease } = await leases.take(10, { config: config("more:"), workers: 11, isPlanned: false });
    expect(hasLease).toBe(true);
    expect(ids).toMatchObject({ number: 10, masterId: 2 }); // of two, from 20 to 39
  });

  test("are refused to what is planned while there is no lease, and given without one to what must be", async () => {
    await using leases = await open("away:", 2);
    redis.pause();
    const wanted = { config: config("away:"), workers: 11 };
    await expect(leases.take(10, { ...wanted, isPlanned: true })).rejects.toThrow(/^no lease of ids: /);
    expect((await leases.take(10, { ...wanted, isPlanned: false })).ids).toMatchObject({ untilMs: 0 });
    redis.resume();
  });

  test("are those of the configuration where there is no Redis", async () => {
    const own: GatewayConfig = { masterId: 7, servers: {} };
    await using leases = await Leases.open(own, 2, { baseDir: "/", log });
    const { ids, hasLease } = await leases.take(1, { config: own, workers: 2, isPlanned: true });
    expect(ids).toMatchObject({ number: 1, masterId: 7, untilMs: undefined });
    expect(hasLease).toBe(false);
  });
});
