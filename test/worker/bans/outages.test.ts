import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Loss } from "../../../src/registry/redis/loss.ts";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../temp-folder.ts";
import { all, RedisRig, watch } from "./redis-rig.ts";

// A Redis that was away comes back without its data, and with it come the bans.

let rig: RedisRig;

beforeEach(async () => {
  rig = await RedisRig.start();
});
afterEach(() => rig[Symbol.asyncDispose]());

describe("a Redis that comes back without its data", () => {
  test("gets all bans back also when it was away for nearly as long as what is missing stays known", async () => {
    const told = (loss: Loss): Loss => ({ ...loss, unheardMs: 14_990 });
    const both = [await rig.gateway({ told }), await rig.gateway({ told })];
    const whom = Array.from({ length: 300 }, (_, number) => `10.0.${number >> 8}.${number & 255}`).sort();
    await Promise.all(whom.map((one) => both[0]?.bans.add(one)));
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
    const both = [await rig.gateway(), await rig.gateway()];
    await both[0]?.bans.add("192.0.2.1", { reason: "until" });
    await both[0]?.bans.add("192.0.2.2", { reason: 'who says "until"' });
    await all(both, ["192.0.2.1", "192.0.2.2"]);
    await rig.redis.cli("FLUSHALL");
    await eventually(async () => expect(await rig.inRedis()).toEqual(["192.0.2.1", "192.0.2.2"]));
  }, 60_000);
});
