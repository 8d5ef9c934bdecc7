import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { changeOf, epochAfter } from "../../src/registry/redis/epochs.ts";
import type { Loss } from "../../src/registry/redis/loss.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import type { RedisConfig } from "../../src/registry/redis/redis-config.ts";
import { eventually } from "../support/eventually.ts";
import { LogRig } from "../worker/link/rig.ts";
import { redisPerTest } from "./redis-server.ts";

// By what Redis is known: its data's mark, and the process that answers, which not everybody may ask for.

const rig = redisPerTest();

async function follower(config: Exclude<RedisConfig, string> = {}) {
  const log = new LogRig();
  const losses: Loss[] = [];
  const link = await openRedis({ url: rig.redis.url, ...config }, { log });
  const registry = await redisRegistry(link, { log, onLost: (_, loss) => void losses.push(loss), syncMs: 100 });
  rig.open.push(link, registry);
  registry.watch("ban:", new AbortController().signal);
  await registry.list("ban:");
  return { registry, log, losses };
}

/** How often each command was called since the last RESETSTAT, all at one moment: after so many walks through the keys. */
async function callsAfter(walks: number): Promise<(command: string) => number> {
  for (;;) {
    await sleep(2_000);
    const stats = await rig.redis.cli("INFO", "commandstats");
    const calls = (command: string): number =>
      Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
    if (calls("scan") > walks) return calls;
  }
}

test.each([
  [undefined, "m,r", "none", "m,r"],
  ["m,r", undefined, "none", "m,r"],
  ["m,r", "m,r", "none", "m,r"],
  ["m,r", "m,s", "older", "m,s"],
  ["m,r", "n,r", "emptied", "n,r"],
  ["m,r", "m,", "none", "m,r"],
  ["m,", "m,r", "none", "m,r"],
  ["m,r", "n,", "emptied", "n,"],
])("from %s to %s: %s, and %s is known from then on", (before, epoch, change, after) => {
  expect(changeOf(before, epoch)).toBe(change);
  expect(epochAfter(before, epoch)).toBe(after);
});

test("one who may not ask which process answers says so once, and blinds nobody", async () => {
  await rig.redis.cli("SET", "restyconf:ban:192.0.2.1", '{"reason":"by hand"}');
  const acl = "~restyconf:*,&restyconf:*,on,>secret,+@all,-info".split(",");
  await rig.redis.cli("ACL", "SETUSER", "blind", ...acl);
  const one = await follower();
  const blind = await Promise.all([1, 2, 3].map(() => follower({ username: "blind", password: "secret" })));
  await sleep(1_000); // some rounds, in which this one and those share by turns
  await rig.redis.cli("CONFIG", "RESETSTAT");
  const calls = await callsAfter(5);
  expect(calls("get") / calls("scan")).toBeLessThan(9); // a version each, the marks, and the list for nobody
  for (const { log } of blind)
    expect(log.lines.map(({ event }) => event)).toEqual([
      "redis does not say whether it was restarted: +info is missing in its ACL",
    ]);
  expect(one.log.lines).toEqual([]);
  await rig.redis.cli("SAVE");
  const before = one.losses.length;
  await rig.redis.kill();
  await rig.redis.start();
  await eventually(() => expect(one.losses.length).toBe(before + 1));
  expect(before).toBe(0);
}, 60_000);

test("a walk through the keys asks once which process answers, and writes no mark that is there", async () => {
  await follower();
  await sleep(500);
  await rig.redis.cli("CONFIG", "RESETSTAT");
  const calls = await callsAfter(5);
  const walks = calls("scan");
  expect(calls("info") / walks).toBeLessThan(1.5); // 1, and what asks here
  expect(calls("evalsha") / walks).toBeLessThan(1.2);
  expect(calls("set") / walks).toBeLessThan(3); // the lock, a lock that is held still, and the version
});
