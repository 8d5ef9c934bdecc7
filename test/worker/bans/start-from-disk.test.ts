import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { TempFolder } from "../temp-folder.ts";
import { all, RedisRig } from "./redis-rig.ts";

// A gateway that starts without Redis knows bans from its disk, and not what became of them since.

let rig: RedisRig;
let folder: TempFolder;

beforeEach(async () => {
  rig = await RedisRig.start();
  folder = new TempFolder();
});
afterEach(async () => {
  await rig[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

const HELD = ["192.0.2.1", "192.0.2.2"];

/** Leaves a gateway's bans on disk, and in Redis. */
async function leave(): Promise<void> {
  const before = await rig.gateway({ stateDir: folder.path });
  for (const whom of HELD) await before.bans.add(whom);
  await before[Symbol.asyncDispose]();
}

/** As if it had been written at another time. */
function redate(ms: number): void {
  const path = join(folder.path, "registry.json");
  const date = new Date(Date.now() + ms).toISOString();
  const text = readFileSync(path, "utf8");
  writeFileSync(path, text.replace(/("(?:savedAt|heardAt)"):"[^"]*"/g, `$1:"${date}"`));
}

describe("a gateway that starts from its disk", () => {
  test("puts nothing back that was taken back since, where Redis has only been restarted meanwhile", async () => {
    await leave();
    await rig.redis.cli("SAVE");
    await rig.redis.kill();
    await rig.redis.start();
    const other = await rig.gateway();
    await all([other], HELD);
    await other.bans.remove("192.0.2.1");
    const shared = (): Promise<string> => rig.redis.cli("GET", "restyconf:~snapshot:ban:");
    await eventually(async () => expect(await shared()).not.toContain("192.0.2.1"));
    const late = await rig.gateway({ stateDir: folder.path, isCut: true });
    await all([late], HELD);
    late.gate.mend();
    await all([late, other], ["192.0.2.2"], 40_000); // what is missing in Redis is forgotten after 15 s
    expect(await rig.inRedis()).toEqual(["192.0.2.2"]);
    expect(late.log.lines.map(({ event }) => event)).not.toContainEqual(expect.stringContaining("put back"));
  }, 90_000);

  test.each([
    ["is from yesterday", -25 * 3_600_000],
    ["comes from the future", 3_600_000],
  ])(
    "puts nothing back where what it knows %s: nobody who was there says so any more",
    async (_, ms) => {
      await leave();
      redate(ms);
      await rig.redis.cli("FLUSHALL");
      const other = await rig.gateway();
      const late = await rig.gateway({ stateDir: folder.path, isCut: true });
      await all([late], HELD);
      late.gate.mend();
      await all([late, other], [], 40_000);
      expect(await rig.inRedis()).toEqual([]);
    },
    90_000,
  );

  test("puts all back where Redis was emptied within hours", async () => {
    await leave();
    redate(-12 * 3_600_000);
    await rig.redis.cli("FLUSHALL");
    const late = await rig.gateway({ stateDir: folder.path, isCut: true });
    await all([late], HELD);
    late.gate.mend();
    await eventually(async () => expect(await rig.inRedis()).toEqual(HELD), 40_000);
  }, 90_000);
});
