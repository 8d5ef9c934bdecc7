import { expect, test } from "vitest";
import { openRedis } from "../../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../../src/registry/redis/redis.ts";
import { BAN_KEYS } from "../../../src/stream/bans/ban.ts";
import { WorkerBans } from "../../../src/worker/bans/worker-bans.ts";
import { redisPerTest } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";
import { LogRig } from "../link/rig.ts";
import { TempFolder } from "../temp-folder.ts";

// More bans come, or go, in one moment than anybody reads one by one.

const rig = redisPerTest();

interface Gateway {
  readonly bans: WorkerBans;
  readonly log: LogRig;
  held(): ReadonlySet<string>;
}

async function gateway(stateDir?: string): Promise<Gateway> {
  const log = new LogRig();
  const link = await openRedis({ url: rig.redis.url, connectTimeoutMs: 5_000, commandTimeoutMs: 5_000 }, { log });
  let bans: WorkerBans | undefined;
  const onLost = (prefix: string, loss: Parameters<WorkerBans["restore"]>[0]): void =>
    void (prefix === BAN_KEYS && bans?.restore(loss));
  const registry = await redisRegistry(link, { log, stateDir, onLost });
  bans = await WorkerBans.open({ registry, isOwn: false }, log);
  rig.open.push(link, registry, bans);
  const own = bans;
  return { bans, log, held: () => new Set(own.list().map(({ whom }) => whom)) };
}

/** As one program would, in one moment. */
async function banAll(count: number): Promise<void> {
  const ban = `for n = 1, ARGV[1] do
    redis.call('SET', 'restyconf:ban:clientId=' .. n, '{"reason":"many","since":"2026-11-22T08:00:00.000Z"}')
  end`;
  await rig.redis.cli("EVAL", ban, "0", `${count}`);
}

async function unbanAll(count: number): Promise<void> {
  const unban = "for n = 1, ARGV[1] do redis.call('DEL', 'restyconf:ban:clientId=' .. n) end";
  await rig.redis.cli("EVAL", unban, "0", `${count}`);
}

const complaints = ({ log }: Gateway): readonly string[] =>
  log.lines.map(({ event }) => event).filter((event) => event.includes("cannot be read"));

test("20,000 that come at once hold, and hold on when Redis is killed then; what the disk had long ago does not", async () => {
  const old = { "ban:192.0.2.1": "{}" };
  const saved = JSON.stringify({ prefix: "restyconf:", savedAt: "", follows: { [BAN_KEYS]: old } });
  using folder = new TempFolder({ "registry.json": saved });
  await rig.redis.cli("SET", "restyconf:ban:192.0.2.1", "{}");
  const one = await gateway(folder.path);
  await one.bans.remove("192.0.2.1");
  await one.bans.add("192.0.2.2");
  await banAll(20_000);
  await eventually(() => expect(one.held().size).toBe(20_001));
  await rig.redis.kill();
  await eventually(() => expect(one.log.lines.map(({ event }) => event)).toContain("redis is away"));
  expect(complaints(one)).toEqual([]);
  const held = one.held();
  expect([held.size, held.has("192.0.2.1"), held.has("192.0.2.2")]).toEqual([20_001, false, true]);
}, 60_000);

test("12,000 that come back from a disk take no newer one's place: those are put back, and hold all the while", async () => {
  const both = [await gateway(), await gateway()];
  await banAll(12_000);
  for (const { held } of both) await eventually(() => expect(held().size).toBe(12_000));
  expect(await rig.redis.cli("SAVE")).toBe("OK");
  await unbanAll(12_000);
  for (const { held } of both) await eventually(() => expect(held().size).toBe(0));
  const news = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"];
  for (const host of news) await both[0]?.bans.add(host);
  for (const { held } of both) await eventually(() => expect([...held()]).toEqual(news));
  let isFree = false;
  const look = setInterval(() => {
    isFree ||= both.some(({ bans }) => news.some((host) => bans.table.ofAddress(host) === undefined));
  }, 5);
  await rig.redis.kill();
  await rig.redis.start();
  const keys = news.map((host) => `restyconf:ban:${host}`);
  await eventually(async () => expect(await rig.redis.cli("EXISTS", ...keys)).toBe("5"), 30_000);
  await eventually(() => expect(both.every(({ held }) => news.every((host) => held().has(host)))).toBe(true));
  clearInterval(look);
  expect([isFree, ...both.map(complaints)]).toEqual([false, [], []]);
}, 90_000);
