import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Loss } from "../../../src/registry/redis/loss.ts";
import { eventually } from "../../support/eventually.ts";
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
});
