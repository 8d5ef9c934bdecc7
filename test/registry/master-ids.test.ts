import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Numbers } from "../../src/registry/ids/numbers.ts";
import {
  leaseMasterIds,
  type MasterIdOptions,
  type MasterIds,
  masterIdsFor,
  maxMasterIdOf,
} from "../../src/registry/master-ids.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import type { RedisConfig } from "../../src/registry/redis/redis-config.ts";
import type { RedisLink } from "../../src/registry/redis/redis-link.ts";
import { Snowflake } from "../../src/shared/snowflake.ts";
import { eventually } from "../support/eventually.ts";
import { RedisServer, redisCluster } from "./redis-server.ts";

const log = { info() {}, warn() {} };
const links: RedisLink[] = [];
const leases: MasterIds[] = [];
afterEach(async () => {
  for (const lease of leases.splice(0)) await lease.release();
  for (const link of links.splice(0)) await link[Symbol.asyncDispose]();
});

/** A master: a connection of its own, and what it was told. */
async function master(config: RedisConfig, count = 1, options: MasterIdOptions = {}) {
  const link = await openRedis(config, { log });
  links.push(link);
  const told: string[] = [];
  const lease = await leaseMasterIds(link, count, {
    settleMs: 100,
    onLost: ({ code, message }) => told.push(`lost ${code} ${message}`),
    onBack: (id) => told.push(`back ${id}`),
    ...options,
  });
  leases.push(lease);
  return { lease, told, id: lease.masterId };
}

test.each([
  [1, 1],
  [10, 1],
  [11, 2],
  [20, 2],
  [64, 7],
  [0, 1],
])("%i workers need %i master ids", (workers, ids) => expect(masterIdsFor(workers)).toBe(ids));

/** A lease that is over within a test, and its renewals. */
const short = { leaseMs: 3_000, renewMs: 200 };
/** One that is not, also where the machine has other work. */
const steady = { leaseMs: 15_000, renewMs: 200 };

function laws(config: () => RedisConfig): void {
  test("each master has the lowest free number, and it is free again when it is released", async () => {
    const all = [await master(config()), await master(config()), await master(config())];
    expect(all.map(({ id }) => id)).toEqual([0, 1, 2]);
    await all[1]?.lease.release();
    await all[1]?.lease.release();
    expect((await master(config())).id).toBe(1);
    expect((await master(config())).id).toBe(3);
  });
  test("as many as there are needed come in a row", async () => {
    const [one, many, two] = [await master(config()), await master(config(), 7), await master(config(), 2)];
    expect([one.id, many.id, two.id]).toEqual([0, 1, 8]);
    await one.lease.release();
    expect((await master(config(), 2)).id).toBe(10); // 0 alone is too little
    await many.lease.release();
    expect((await master(config(), 3)).id).toBe(0);
  });
  test("no two of many that start at once share any", async () => {
    const counts = [1, 3, 2, 1, 4, 2, 1, 3, 1, 2];
    const all = await Promise.all(counts.map((count) => master(config(), count)));
    await eventually(() => expect(all.map(({ lease }) => lease.isHeld)).not.toContain(false));
    const taken = all.flatMap(({ lease }, index) =>
      Array.from({ length: counts[index] ?? 0 }, (_, place) => (lease.masterId ?? -1_000) + place),
    );
    expect(new Set(taken).size).toBe(20);
    expect(Math.max(...taken)).toBeLessThan(40);
  });
  test("a number is free when its master has been dead for the length of the lease", async () => {
    const dead = await master(config(), 2, short);
    await links[0]?.[Symbol.asyncDispose]();
    expect((await master(config(), 1, short)).id).toBe(2);
    await eventually(async () => {
      const { id, lease } = await master(config(), 1, short);
      if (id !== 0) await lease.release();
      expect(id).toBe(0);
    });
    expect(dead.lease.isHeld).toBe(false);
    await eventually(() =>
      expect(dead.told).toEqual(["lost RC_ID_LEASE no ids: the worker's number is not leased: not renewed in time"]),
    );
  });
  test("a lease is renewed for as long as its master lives", async () => {
    let renewals = 0;
    const one = await master(config(), 1, { leaseMs: 3_000, renewMs: 200, onHeld: () => void renewals++ });
    await eventually(() => expect(renewals).toBeGreaterThan(17)); // more than three seconds, and the lease has three
    expect(one.told).toEqual([]);
    expect(one.lease.isHeld).toBe(true);
  });
  test("when all are taken it says so, and gets the first that is given back", async () => {
    const first = await master(config(), 1, { maxMasterId: 1 });
    await master(config(), 1, { maxMasterId: 1 });
    const late = await master(config(), 1, { maxMasterId: 1 });
    expect(late.id).toBeUndefined();
    expect(late.lease.error).toMatchObject({
      code: "RC_ID_LEASE",
      message: expect.stringContaining("0 to 1 are taken"),
    });
    await first.lease.release();
    await eventually(() => expect(late.told).toEqual(["back 0"]));
    expect(late.lease.masterId).toBe(0);
  });
  test("a key of another type is somebody else's number", async () => {
    const link = await openRedis(config(), { log });
    links.push(link);
    await link.send("RPUSH", "master:0", "x");
    expect((await master(config())).id).toBe(1);
  });
  test("all of a Redis have the same layout, until the last of another one has gone", async () => {
    const ten = await master(config(), 1, short);
    const wide = await master(config(), 1, { ...short, machineBits: 12 });
    expect(wide.lease.error).toMatchObject({
      code: "RC_ID_LEASE",
      message: expect.stringContaining("machineBits is 12 here, and 10 at other gateways"),
    });
    expect(ten.told).toEqual([]);
    await ten.lease.release();
    await eventually(() => expect(wide.told).toEqual(["back 0"]));
  });
}

test.each([
  [4, 0],
  [10, 101],
  [17, 13_106],
])("%i bits hold master ids up to %i", (bits, max) => expect(maxMasterIdOf(bits)).toBe(max));

describe("with one server", () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());
  laws(() => server.url);

  const quick = (): RedisConfig => ({ url: server.url, connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 });

  test("the lease is a key with a token and an end", async () => {
    await master(server.url);
    expect(await server.cli("GET", "restyconf:master:0")).toMatch(/^[\da-f-]{36}$/);
    const leftMs = Number(await server.cli("PTTL", "restyconf:master:0"));
    expect(leftMs).toBeGreaterThan(28_000);
    expect(leftMs).toBeLessThanOrEqual(30_000);
  });
  test("with more machineBits there are numbers over 101", async () => {
    await server.cli("EVAL", `for n = 0, 4999 do redis.call('SET', 'restyconf:master:' .. n, 'x') end`, "0");
    const narrow = await master(server.url);
    expect(narrow.lease.error).toMatchObject({ message: expect.stringContaining("0 to 101 are taken") });
    await narrow.lease.release();
    await server.cli("DEL", "restyconf:~ids:bits");
    expect((await master(server.url, 1, { machineBits: 17 })).id).toBe(5_000);
    expect((await master(server.url, 3, { machineBits: 17 })).id).toBe(5_001);
  });
  test("answers that get lost cost no numbers", async () => {
    const link = await openRedis(quick(), { log });
    links.push(link);
    const numbers = new Numbers(link, { count: 2, max: 101, leaseMs: 30_000 });
    expect(await numbers.take()).toBe(0);
    expect(await numbers.take()).toBe(0); // as if the first answer had never come
    server.pause();
    await expect(numbers.take()).rejects.toMatchObject({ code: "RC_REGISTRY" });
    server.resume();
    await eventually(async () => expect(await numbers.take()).toBe(0));
    expect(await server.cli("--raw", "KEYS", "restyconf:master:*")).toMatch(
      /^restyconf:master:[01]\nrestyconf:master:[01]$/,
    );
    await numbers.release(0);
    expect(await server.cli("KEYS", "restyconf:master:*")).toBe("");
  });
  test("what another has taken over is lost at once, and another number is had", async () => {
    const one = await master(quick(), 1, steady);
    await server.cli("SET", "restyconf:master:0", "somebody else");
    await eventually(() =>
      expect(one.told).toEqual([expect.stringContaining("another master has the number"), "back 1"]),
    );
    expect(one.lease.masterId).toBe(1);
    expect(await server.cli("GET", "restyconf:master:0")).toBe("somebody else");
    await one.lease.release();
    expect(await server.cli("EXISTS", "restyconf:master:0", "restyconf:master:1")).toBe("1");
  });
  test("a Redis that lost its data gives the same number again, unless another was first", async () => {
    const one = await master(quick(), 2, steady);
    await server.cli("FLUSHALL");
    await eventually(async () =>
      expect(await server.cli("EXISTS", "restyconf:master:0", "restyconf:master:1")).toBe("2"),
    );
    expect(one.told).toEqual([]);
  });
  test("a short outage is not even noticed", async () => {
    const one = await master(quick(), 1, steady);
    await server.kill();
    await server.start();
    await eventually(async () => expect(await server.cli("EXISTS", "restyconf:master:0")).toBe("1"));
    expect(one.told).toEqual([]);
    expect(one.lease.isHeld).toBe(true);
  });
  test.each(["killed", "paused"])("ids stop before the lease of a %s Redis is over, and go on with it", async (how) => {
    const snowflake = new Snowflake({ machineId: 0 });
    const one = await master(quick(), 1, { ...short, onHeld: (id, untilMs) => snowflake.hold(id * 10 + 3, untilMs) });
    const before = BigInt(snowflake.next());
    expect(snowflake.decode(before).machineId).toBe(3);
    if (how === "killed") await server.kill();
    else server.pause();
    const begun = performance.now();
    let last = begun;
    const makeOne = (): void => {
      const now = performance.now();
      snowflake.next();
      last = now;
    };
    await eventually(() => expect(makeOne).toThrow(expect.objectContaining({ code: "RC_ID_LEASE" })));
    expect(last - begun).toBeLessThan(short.leaseMs);
    await eventually(() => expect(one.told).toEqual([expect.stringContaining("not renewed in time")]));
    if (how === "killed") await server.start();
    else server.resume();
    await eventually(() => expect(BigInt(snowflake.next()) > before).toBe(true));
    await eventually(() => expect(one.told).toEqual([expect.stringContaining("not renewed in time"), "back 0"]));
  });
  test("a start without Redis does not wait for it: the number comes later", async () => {
    await server.kill();
    const begun = performance.now();
    const one = await master(quick(), 1, short);
    expect(performance.now() - begun).toBeLessThan(10_000); // it would wait for ever
    expect(one.id).toBeUndefined();
    expect(one.lease.isHeld).toBe(false);
    expect(one.lease.error).toMatchObject({ code: "RC_ID_LEASE" });
    await server.start();
    await eventually(() => expect(one.told).toEqual(["back 0"]));
  });
});

describe("a Redis that has lost its data", () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => server[Symbol.asyncDispose]());
  const settled: MasterIdOptions = { settleMs: 2_500 };
  const held = (): Promise<string> => server.cli("GET", "restyconf:master:0");

  test("gives nobody the number of one who lives, when it was emptied", async () => {
    const one = await master(server.url, 1, settled);
    const token = await held();
    await server.cli("FLUSHALL");
    const two = await master(server.url, 1, settled);
    expect([one.id, two.id]).toEqual([0, 1]);
    expect([one.told, two.told]).toEqual([[], []]);
    expect(await held()).toBe(token);
  });
  test("nor when it was restarted, and who waits for it is the first to come", async () => {
    const one = await master(server.url, 1, settled);
    const token = await held();
    await server.kill();
    const two = await master(server.url, 1, settled);
    const others = await Promise.all(Array.from({ length: 4 }, () => master(server.url, 1, settled)));
    await server.start();
    for (const { lease } of [two, ...others]) await eventually(() => expect(lease.isHeld).toBe(true));
    const taken = [one, two, ...others].map(({ lease }) => lease.masterId ?? -1);
    expect(taken.toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(one.lease.masterId).toBe(0);
    expect(one.told).toEqual([]);
    expect(await held()).toBe(token);
  });
  test("nor when it has an old state, without the last leases", async () => {
    const before = await master(server.url);
    await before.lease.release();
    await server.cli("SAVE");
    const one = await master(server.url, 1, settled);
    const token = await held();
    await server.kill();
    await server.start();
    expect(["", token]).toContain(await held()); // it may have said so by now
    const two = await master(server.url, 1, settled);
    expect([one.lease.masterId, two.id]).toEqual([0, 1]);
    expect(one.told).toEqual([]);
  });
  test("gives one whose lease was over its number only when nobody else says that it is theirs", async () => {
    const config = { url: server.url, connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 };
    const one = await master(config, 1, { ...settled, ...short });
    await server.kill();
    await eventually(() => expect(one.told).toEqual([expect.stringContaining("not renewed in time")]));
    await server.start();
    await eventually(async () => expect(await server.cli("EXISTS", "restyconf:~ids:{0}")).toBe("1"));
    await server.cli("SET", "restyconf:master:0", "of one who lives");
    await eventually(() => expect(one.told.slice(1)).toEqual(["back 1"]));
    expect(await held()).toBe("of one who lives");
  });
  test("keeps nobody waiting when it is new, has been there for long, and has no holder", async () => {
    await server.cli("FLUSHALL");
    await eventually(async () => expect(await server.cli("INFO", "server")).toMatch(/uptime_in_seconds:(?:[89]|\d\d)/));
    const begun = performance.now();
    expect((await master(server.url, 1, { settleMs: 7_000 })).id).toBe(0);
    expect(performance.now() - begun).toBeLessThan(6_000); // it would wait for seven
  });
});

describe("in a Cluster of three", () => {
  let nodes: readonly RedisServer[];
  let cases = 0;
  const config = (): RedisConfig => ({
    cluster: nodes.map(({ port }) => `127.0.0.1:${port}`),
    prefix: `case-${cases}:`,
  });
  beforeAll(async () => {
    nodes = await redisCluster();
  });
  beforeEach(() => {
    cases++;
  });
  afterAll(async () => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  });
  laws(config);
});
