import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Loss } from "../../src/registry/redis/loss.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import { eventually } from "../support/eventually.ts";
import { LogRig } from "../worker/link/rig.ts";
import { redisPerTest } from "./redis-server.ts";

// What is known of keys that Redis has lost.

const rig = redisPerTest();

test("what Redis has lost stays known until whoever puts it back says so, and then goes", async () => {
  const done = new AbortController();
  const restored = once(done.signal, "abort");
  const losses: Loss[] = [];
  const onLost = (_: string, loss: Loss): void => {
    losses.push(loss);
    loss.keepUntil(restored);
  };
  const log = new LogRig();
  const link = await openRedis({ url: rig.redis.url }, { log });
  const registry = await redisRegistry(link, { log, onLost, syncMs: 100 });
  rig.open.push(link, registry);
  registry.watch("ban:", new AbortController().signal);
  await registry.put("ban:192.0.2.1", "{}");
  const known = async (): Promise<readonly string[]> => [...(await registry.list("ban:")).keys()];
  await sleep(500);
  await rig.redis.cli("FLUSHALL");
  await eventually(() => expect(losses).toHaveLength(1));
  await sleep(16_000); // without that it is forgotten by now
  expect(await known()).toEqual(["ban:192.0.2.1"]);
  done.abort();
  await eventually(async () => expect(await known()).toEqual([]));
}, 60_000);
