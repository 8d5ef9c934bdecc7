import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Loss } from "../../../src/registry/redis/loss.ts";
import { RedisServer } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../temp-folder.ts";
import { all, type BansGateway, RedisRig, watch } from "./redis-rig.ts";

// A Redis that was away comes back without its data, and with it come the bans.

let rig: RedisRig;

beforeEach(async () => {
  rig = await RedisRig.start();
});
afterEach(() => rig[Symbol.asyncDispose]());

describe("a Redis that comes back without its data", () => {
  test("gets all bans back also when it was away for nearly as long as what is missing stays known", async () => {
    const told = (loss: Loss): Loss => ({ ...loss, unheardMs: 14_990 });
    const whom = Array.from({ length: 300 }, (_, number) => `10.0.${number >> 8}.${number & 255}`).sort();
    await rig.redis.cli("MSET", ...whom.flatMap((one) => [`restyconf:ban:${one}`, "{}"]));
    const both = [await rig.gateway({ told }), await rig.gateway({ told })];
    await all(both, whom);
    const banned = watch(both, "10.0.0.1");
    await rig.redis.cli("FLUSHALL");
    await eventually(async () => expect(await rig.inRedis()).toEqual(whom));
    await all(both, whom);
    expect(banned.end()).toEqual([true]);
  }, 60_000);

  test("gets the bans back that a gateway knows from disk", async () => {
    using folder = new TempFolder();
    const before = await rig.gateway({ stateDir: folder.path });
    await before.bans.add("192.0.2.1");
    await before.bans.add("192.0.2.2", { ttlMs: 3_600_000 });
    await rig.byHand("SET", "192.0.2.3", '{"reason":"for ever"}');
    const held = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    await all([before], held);
    await before[Symbol.asyncDispose]();
    await rig.redis.kill();
    const both = [await rig.gateway({ stateDir: folder.path }), await rig.gateway({ stateDir: folder.path })];
    await all(both, held);
    await rig.redis.start();
    await eventually(async () => expect(await rig.inRedis()).toEqual(held), 40_000);
    await all(both, held);
    expect(readFileSync(join(folder.path, "registry.json"), "utf8")).toContain("192.0.2.3");
    expect(await rig.redis.cli("TTL", "restyconf:ban:192.0.2.3")).toBe("-1");
  }, 90_000);

  test("gets a ban for good back, whatever its reason says", async () => {
    for (const [whom, reason] of Object.entries({ "192.0.2.1": "until", "192.0.2.2": 'who says "until"' }))
      await rig.redis.cli("SET", `restyconf:ban:${whom}`, JSON.stringify({ reason }));
    const both = [await rig.gateway(), await rig.gateway()];
    await all(both, ["192.0.2.1", "192.0.2.2"]);
    await rig.redis.cli("FLUSHALL");
    await eventually(async () => expect(await rig.inRedis()).toEqual(["192.0.2.1", "192.0.2.2"]));
  }, 60_000);
});

describe("a replica that was behind, and takes no writes yet", () => {
  test.each([
    ["soon", 1_000, async () => {}],
    ["after what is missing is forgotten where nobody knows that it was lost", 20_000, async () => {}],
    ["and had not even its mark", 3_000, (replica: RedisServer) => replica.cli("DEL", "restyconf:~epoch:0")],
  ])(
    "has its bans put right when it is the master %s",
    async (_, readOnlyMs, change) => {
      const replica = await RedisServer.start([
        "--replicaof",
        `127.0.0.1 ${rig.redis.port}`,
        "--repl-diskless-sync-delay",
        "0",
      ]);
      rig.open.push(replica);
      const both = [await rig.gateway(), await rig.gateway()];
      const [one, other] = both as [BansGateway, BansGateway];
      await one.bans.add("192.0.2.1");
      await one.bans.add("192.0.2.2");
      await all(both, ["192.0.2.1", "192.0.2.2"]);
      await eventually(async () => expect(await rig.inRedis(replica)).toEqual(["192.0.2.1", "192.0.2.2"]));
      await replica.cli("REPLICAOF", "NO", "ONE");
      await change(replica);
      await replica.cli("REPLICAOF", "127.0.0.1", "1");
      await other.bans.remove("192.0.2.2");
      await other.bans.add("192.0.2.3");
      const held = ["192.0.2.1", "192.0.2.3"];
      await all(both, held);
      const [free, banned] = [watch(both, "192.0.2.2"), watch(both, "192.0.2.3")];
      for (const { gate } of both) gate.cut();
      for (const { gate } of both) gate.mend(replica.port);
      await sleep(readOnlyMs);
      await all(both, held);
      await replica.cli("REPLICAOF", "NO", "ONE");
      await eventually(async () => expect(await rig.inRedis(replica)).toEqual(held), 40_000);
      await all(both, held);
      expect([free.end(), banned.end()]).toEqual([[false], [true]]);
    },
    120_000,
  );
});
