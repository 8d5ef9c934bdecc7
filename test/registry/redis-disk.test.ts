import { readdirSync, readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { eventually } from "../support/eventually.ts";
import { LogRig } from "../worker/link/rig.ts";
import { TempFolder } from "../worker/temp-folder.ts";
import { redisPerTest } from "./redis-server.ts";

// What is kept on disk for a start without Redis.

const rig = redisPerTest();
afterEach(() => vi.useRealTimers());

async function following(stateDir: string): Promise<Registry> {
  const log = new LogRig();
  const link = await openRedis({ url: rig.redis.url, connectTimeoutMs: 20_000 }, { log });
  const registry = await redisRegistry(link, { log, stateDir, syncMs: 100 });
  rig.open.push(link, registry);
  registry.watch("ban:", new AbortController().signal);
  return registry;
}

test("says when Redis was heard of last, to the hour, also where nothing changes", async () => {
  using folder = new TempFolder();
  const heardAt = (): number =>
    Date.parse(JSON.parse(readFileSync(join(folder.path, "registry.json"), "utf8")).seen["ban:"].heardAt);
  const registry = await following(folder.path);
  await registry.put("ban:192.0.2.1", "{}");
  await eventually(() => expect(readFileSync(join(folder.path, "registry.json"), "utf8")).toContain("192.0.2.1"));
  const before = Date.now();
  expect(Math.abs(heardAt() - before)).toBeLessThan(60_000);
  vi.useFakeTimers({ toFake: ["Date"], now: before + 7_200_000 });
  await eventually(() => expect(heardAt()).toBeGreaterThanOrEqual(before + 7_200_000));
}, 60_000);

test("is swept of what a process has left that was killed while it wrote, and of nothing else", async () => {
  const left = "registry.json.123e4567-e89b-12d3-a456-426614174000.part";
  const written = "registry.json.123e4567-e89b-12d3-a456-426614174001.part";
  using folder = new TempFolder({ [left]: "{", [written]: "{", "other.json.part": "" });
  const before = Date.now() / 1_000 - 120;
  for (const name of [left, "other.json.part"]) utimesSync(join(folder.path, name), before, before);
  await following(folder.path);
  const names = readdirSync(folder.path);
  expect([left, written, "other.json.part"].map((name) => names.includes(name))).toEqual([false, true, true]);
});
