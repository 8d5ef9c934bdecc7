import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RedisServer } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";
import { all, type BansGateway, RedisRig, watch } from "./redis-rig.ts";

// A Redis that has been killed comes back with what was on its disk, which is not what it had.

const TAKEN_OUT = "bans that were taken back are in redis again, and are taken out";

let rig: RedisRig;
let redis: RedisServer;

beforeEach(async () => {
  rig = await RedisRig.start();
  redis = rig.redis;
});
afterEach(() => rig[Symbol.asyncDispose]());

const gateway = (): Promise<BansGateway> => rig.gateway();
const inRedis = (server = redis): Promise<readonly string[]> => rig.inRedis(server);
const byHand: RedisRig["byHand"] = (...words) => rig.byHand(...words);

describe("a Redis that comes back with older data", () => {
  test("gets the newest bans back, and those taken back since do not hold again, not for a moment", async () => {
    const both = [await gateway(), await gateway()];
    const [one, other] = both as [BansGateway, BansGateway];
    await one.bans.add("192.0.2.1");
    await one.bans.add("192.0.2.2", { reason: "taken back" });
    await one.bans.add("192.0.2.3", { reason: "first" });
    await byHand("SET", "192.0.2.4", '{"reason": "by hand"}');
    await all(both, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    expect(await redis.cli("SAVE")).toBe("OK");
    await other.bans.remove("192.0.2.2");
    await byHand("DEL", "192.0.2.4");
    await other.bans.add("192.0.2.3", { reason: "second" });
    await other.bans.add("192.0.2.5", { ttlMs: 3_600_000 });
    await byHand("SET", "192.0.2.6", "{}");
    await other.bans.add("192.0.2.7");
    await one.bans.remove("192.0.2.7");
    const held = ["192.0.2.1", "192.0.2.3", "192.0.2.5", "192.0.2.6"];
    await all(both, held);
    const [free, banned] = [watch(both, "192.0.2.2"), watch(both, "192.0.2.5")];
    for (const { gate } of both) gate.cut();
    await redis.kill();
    await redis.start();
    expect(await inRedis()).toEqual(["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]);
    for (const { gate } of both) gate.mend();
    await eventually(async () => expect(await inRedis()).toEqual(held), 10_000);
    await eventually(async () => expect(await redis.cli("GET", "restyconf:ban:192.0.2.3")).toContain("second"));
    expect(Number(await redis.cli("TTL", "restyconf:ban:192.0.2.5"))).toBeGreaterThan(3_000);
    await sleep(16_000); // what is missing in Redis is forgotten by now
    expect([free.end(), banned.end()]).toEqual([[false], [true]]);
    await all([...both, await gateway()], held);
    expect(one.bans.list()).toMatchObject([{}, { reason: "second" }, {}, {}]);
    await one.bans.add("192.0.2.2"); // a new ban of the same holds
    await byHand("SET", "192.0.2.4", '{"reason": "by hand"}');
    await all(both, ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"]);
  }, 60_000);

  test("is not told again of what somebody took back while a gateway could not hear it", async () => {
    const both = [await gateway(), await gateway()];
    const [deaf, other] = both as [BansGateway, BansGateway];
    await redis.cli("SAVE");
    await other.bans.add("192.0.2.1");
    await other.bans.add("192.0.2.2");
    await all(both, ["192.0.2.1", "192.0.2.2"]);
    deaf.gate.cut();
    await other.bans.remove("192.0.2.1");
    await redis.kill();
    await redis.start();
    deaf.gate.mend();
    await eventually(async () => expect(await inRedis()).toEqual(["192.0.2.2"]), 10_000);
    await all(both, ["192.0.2.2"], 20_000);
    expect(await inRedis()).toEqual(["192.0.2.2"]);
  }, 60_000);

  test("gets nothing from a gateway that was cut off for long", async () => {
    const [deaf, gone] = [await gateway(), await gateway()];
    await redis.cli("SAVE");
    await gone.bans.add("192.0.2.1");
    await all([deaf, gone], ["192.0.2.1"]);
    deaf.gate.cut();
    await gone.bans.remove("192.0.2.1");
    await sleep(16_000);
    await redis.kill();
    await redis.start();
    await eventually(async () => expect(await redis.cli("GET", "restyconf:bans:restored")).toMatch(/^done /));
    gone.gate.cut();
    deaf.gate.mend();
    await all([deaf], [], 25_000);
    expect(await inRedis()).toEqual([]);
  }, 60_000);

  test("may be a replica that was behind when it became the master", async () => {
    const replica = await RedisServer.start([
      "--replicaof",
      `127.0.0.1 ${redis.port}`,
      "--repl-diskless-sync-delay",
      "0",
    ]);
    rig.open.push(replica);
    const both = [await gateway(), await gateway()];
    const [one, other] = both as [BansGateway, BansGateway];
    await one.bans.add("192.0.2.1");
    await one.bans.add("192.0.2.2");
    await eventually(async () => expect(await inRedis(replica)).toEqual(["192.0.2.1", "192.0.2.2"]));
    await replica.cli("REPLICAOF", "NO", "ONE");
    await other.bans.remove("192.0.2.2");
    await other.bans.add("192.0.2.3");
    await all(both, ["192.0.2.1", "192.0.2.3"]);
    const [free, banned] = [watch(both, "192.0.2.2"), watch(both, "192.0.2.3")];
    for (const { gate } of both) gate.cut();
    for (const { gate } of both) gate.mend(replica.port);
    await eventually(async () => expect(await inRedis(replica)).toEqual(["192.0.2.1", "192.0.2.3"]), 10_000);
    expect([free.end(), banned.end()]).toEqual([[false], [true]]);
  }, 60_000);

  test("is left as it is where it has lost nothing", async () => {
    const both = [await gateway(), await gateway()];
    await both[0]?.bans.add("192.0.2.1");
    await all(both, ["192.0.2.1"]);
    await redis.cli("SAVE");
    await redis.kill();
    await redis.start();
    await both[1]?.bans.remove("192.0.2.1").catch(() => eventually(() => both[1]?.bans.remove("192.0.2.1")));
    await all(both, []);
    await sleep(3_000);
    await all(both, []);
    expect(await inRedis()).toEqual([]);
  }, 60_000);

  test("gets no ban back whose end nobody knows, and none that was over", async () => {
    const one = await gateway();
    await redis.cli("SAVE");
    await byHand("SET", "192.0.2.1", '{"reason":"by hand"}', "EX", "600");
    await byHand("SET", "192.0.2.2", '{"reason":"by hand"}', "PX", "5000");
    await byHand("SET", "192.0.2.3", '{"reason":"for ever"}');
    await one.bans.add("192.0.2.4", { ttlMs: 5_000 });
    await one.bans.add("192.0.2.5");
    await all([one], ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"]);
    one.gate.cut();
    await redis.kill();
    await sleep(5_500); // what has an end is over
    await redis.start();
    one.gate.mend();
    await eventually(async () => expect(await inRedis()).toEqual(["192.0.2.3", "192.0.2.5"]), 10_000);
    expect(await redis.cli("TTL", "restyconf:ban:192.0.2.3")).toBe("-1");
    await all([one], ["192.0.2.3", "192.0.2.5"], 20_000);
    expect(await inRedis()).toEqual(["192.0.2.3", "192.0.2.5"]);
    expect(one.log.lines).toContainEqual(
      expect.objectContaining({ event: "bans that redis has lost may have lapsed", fields: { bans: 2 } }),
    );
  }, 60_000);

  test("a newer ban stays while others take the older out in the same moment, whoever is first", async () => {
    const three = [await gateway(), await gateway(), await gateway()];
    const [one, other, deaf] = three as [BansGateway, BansGateway, BansGateway];
    await one.bans.add("192.0.2.1", { reason: "old" });
    await one.bans.add("192.0.2.2", { reason: "old" });
    await all(three, ["192.0.2.1", "192.0.2.2"]);
    await redis.cli("SAVE");
    for (const host of ["192.0.2.1", "192.0.2.2"]) await one.bans.remove(host);
    await all(three, []);
    for (const { gate } of [other, deaf]) gate.cut();
    for (const host of ["192.0.2.1", "192.0.2.2"]) await one.bans.add(host, { reason: "new" });
    const held = watch([one], "192.0.2.1");
    one.gate.cut();
    await redis.kill();
    await redis.start();
    for (const { gate } of three) gate.mend();
    const news = async (host: string): Promise<void> =>
      expect(await redis.cli("GET", `restyconf:ban:${host}`)).toContain("new");
    for (const host of ["192.0.2.1", "192.0.2.2"]) await eventually(() => news(host), 10_000);
    await all(three, ["192.0.2.1", "192.0.2.2"]);
    await sleep(1_000);
    for (const host of ["192.0.2.1", "192.0.2.2"]) await news(host);
    expect(held.end()).toEqual([true]);
  }, 60_000);

  test("what is written by hand while bans are put back and taken out stays", async () => {
    const one = await gateway();
    await one.bans.add("192.0.2.1");
    await one.bans.add("192.0.2.2");
    await redis.cli("SAVE");
    await one.bans.remove("192.0.2.1");
    await one.bans.add("192.0.2.3");
    one.gate.cut();
    await redis.kill();
    await redis.start();
    const hand = '{"reason":"by hand"}';
    one.gate.mend();
    await eventually(() => expect(one.log.lines.map(({ event }) => event)).toContain(TAKEN_OUT));
    for (const host of ["192.0.2.1", "192.0.2.3"]) await redis.cli("SET", `restyconf:ban:${host}`, hand);
    await sleep(4_000);
    for (const host of ["192.0.2.1", "192.0.2.3"])
      expect(await redis.cli("GET", `restyconf:ban:${host}`), host).toBe(hand);
  }, 60_000);

  test("takes back at once what it has lost and a gateway holds, for all", async () => {
    const both = [await gateway(), await gateway()];
    const [one, other] = both as [BansGateway, BansGateway];
    await one.bans.add("192.0.2.1");
    await all(both, ["192.0.2.1"]);
    await redis.kill();
    await redis.start();
    let answer: boolean | undefined;
    await eventually(async () => {
      answer = await other.bans.remove("192.0.2.1");
    }, 10_000);
    expect(answer).toBe(true);
    await all(both, [], 10_000); // what is missing in Redis is forgotten after 15 s
    expect([await other.bans.remove("192.0.2.1"), await inRedis()]).toEqual([false, []]);
  }, 60_000);
});

describe("a Redis that comes back without its data", () => {
  test("gets nothing from a gateway that was cut off for long", async () => {
    const [deaf, other] = [await gateway(), await gateway()];
    await other.bans.add("192.0.2.1");
    await all([deaf, other], ["192.0.2.1"]);
    deaf.gate.cut();
    await other.bans.remove("192.0.2.1");
    await sleep(16_000);
    await redis.cli("FLUSHALL");
    deaf.gate.mend();
    const free = watch([other], "192.0.2.1");
    await all([deaf, other], [], 25_000);
    expect([await inRedis(), free.end()]).toEqual([[], [false]]);
  }, 60_000);

  test("gets all bans back when it was away from all for long, whoever knows them", async () => {
    const both = [await gateway(), await gateway()];
    const [one, other] = both as [BansGateway, BansGateway];
    await one.bans.add("192.0.2.1");
    await other.bans.add("192.0.2.2", { ttlMs: 3_600_000 });
    await all(both, ["192.0.2.1", "192.0.2.2"]);
    const banned = watch(both, "192.0.2.1");
    for (const { gate } of both) gate.cut();
    await redis.cli("FLUSHALL");
    await sleep(16_000);
    for (const { gate } of both) gate.mend();
    await eventually(async () => expect(await inRedis()).toEqual(["192.0.2.1", "192.0.2.2"]), 20_000);
    await sleep(16_000); // what is missing in Redis is forgotten by now
    await all(both, ["192.0.2.1", "192.0.2.2"]);
    expect(banned.end()).toEqual([true]);
  }, 90_000);
});
