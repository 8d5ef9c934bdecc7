import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import {
  change,
  clients,
  type Held,
  oneOf,
  oneOfEach,
  ask as say,
  config as workersConfig,
} from "../support/workers.ts";

// Numbers of gateways and workers on one Redis: no two that live share one.

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis[Symbol.asyncDispose]());

function config(workers: number, more = ""): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    export default defineGateway({
      workers: ${workers}, ${more} redis: "redis://127.0.0.1:${redis.port}",
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
        const { id, masterId, number, snowflake } = session.worker;
        let made = "", by;
        try { made = snowflake.next(); by = snowflake.decode(made).machineId; } catch (error) { made = error.code; }
        await session.end(JSON.stringify({ id, masterId, number, made, by, session: session.id, pid: process.pid }));
      }))] } },
    });`;
}

interface Told {
  readonly id: number;
  readonly masterId: number;
  readonly number: number;
  readonly made: string;
  /** The worker that this id tells. */
  readonly by: number;
  readonly session: string;
  readonly pid: number;
}

async function ask(gateway: Gateway): Promise<Told> {
  return JSON.parse(await exchange(gateway.port(), "x"));
}

async function keys(pattern: string): Promise<string[]> {
  return (await redis.cli("--raw", "KEYS", `restyconf:${pattern}`)).split("\n").filter(Boolean).sort();
}

/** What each worker says of itself, once all have. */
async function all(gateway: Gateway, workers: number): Promise<Told[]> {
  const found = new Map<number, Told>();
  await eventually(async () => {
    const told = await ask(gateway);
    found.set(told.number, told);
    expect(found.size).toBe(workers);
  });
  return [...found.values()].sort((one, other) => one.number - other.number);
}

describe("gateways on one Redis", () => {
  test("have numbers of their own, which are free again when they have ended", async () => {
    await using one = await Gateway.start(config(1));
    await using other = await Gateway.start(config(2));
    expect(await ask(one)).toMatchObject({ id: 0, masterId: 0 });
    expect((await all(other, 2)).map(({ id, masterId }) => [id, masterId])).toEqual([
      [10, 1],
      [11, 1],
    ]);
    await eventually(async () =>
      expect(await keys("worker:*")).toEqual([0, 10, 11].map((id) => `restyconf:worker:${id}`)),
    );
    await one.stop();
    await eventually(async () => expect(await keys("master:*")).not.toContain("restyconf:master:0"));
    await using next = await Gateway.start(config(1));
    expect(await ask(next)).toMatchObject({ id: 0 });
  });

  test("make ids of sessions from them, unique and increasing per worker", async () => {
    await using gateway = await Gateway.start(config(1));
    const told = await Promise.all(Array.from({ length: 50 }, () => ask(gateway)));
    const ids = told.flatMap(({ made, session }) => [made, session]);
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(/^\d{15,19}$/);
    for (const { session } of told) await gateway.access((line) => line["session"] === session);
  });

  test("take others for new workers beside old ones", async () => {
    await using gateway = await Gateway.start(config(2));
    const before = await all(gateway, 2);
    gateway.process.kill("SIGUSR2");
    await gateway.line((line) => line["msg"] === "replacement done");
    const after = await all(gateway, 2);
    expect(after.map(({ masterId }) => masterId)).not.toContain(before[0]?.masterId);
    await eventually(async () =>
      expect(await keys("master:*")).not.toContain(`restyconf:master:${before[0]?.masterId}`),
    );
  });
});

describe("more machineBits", () => {
  const many = (): string => `machineBits: 14, redis: { url: "redis://127.0.0.1:${redis.port}", prefix: "many:" },`;
  const wide = (workers: number): string => config(workers).replace(/redis: "[^"]*",/, many());

  test("have room for more than 102 gateways", async () => {
    await redis.cli("EVAL", `for n = 0, 999 do redis.call('SET', 'many:master:' .. n, 'x') end`, "0");
    await using gateway = await Gateway.start(wide(2));
    const told = await all(gateway, 2);
    expect(told.map(({ id, masterId, by }) => [id, masterId, by])).toEqual([
      [10_000, 1_000, 10_000],
      [10_001, 1_000, 10_001],
    ]);
    for (const { made } of told) {
      expect(made).toMatch(/^\d{15,19}$/);
      expect(Number((BigInt(made) >> (22n - 14n)) & ((1n << 14n) - 1n))).toBeGreaterThan(9_999); // as in docs/scaling.md
    }
    await using narrow = await Gateway.start(wide(1).replace("machineBits: 14,", ""));
    expect((await ask(narrow)).made).toBe("RC_ID_LEASE");
    await narrow.line(({ msg, reason }) => msg === "no lease of ids yet" && /machineBits is 10 here/.test(`${reason}`));
  });
});

test("numbers that do not fit are refused before a port opens", async () => {
  const text = config(15, "masterId: 101,").replace(/redis: "[^"]*",/, "");
  await expect(Gateway.start(text)).rejects.toThrow(/masterId: expected at most 100 for workers 15/);
});

test("a start waits for a Redis that is silent once, and an end hardly", async () => {
  await using silent = await RedisServer.start();
  const where = `redis: { url: "${silent.url}", connectTimeoutMs: 9_000 },`;
  silent.pause();
  const begun = performance.now();
  await using gateway = await Gateway.start(config(2).replace(/redis: "[^"]*",/, where));
  expect(performance.now() - begun).toBeLessThan(17_500); // the master's 9 s, and not its workers' 9 s as well
  silent.resume();
  await eventually(async () => expect((await ask(gateway)).made).toMatch(/^\d+$/), 15_000);
  silent.pause();
  const stopped = performance.now();
  expect(await gateway.stop("SIGTERM")).toBe(0);
  expect(performance.now() - stopped).toBeLessThan(4_500); // not the five seconds after which it would end in any case
  silent.resume();
}, 60_000);

test("without an answer of Redis a gateway serves, and makes no ids", async () => {
  await using away = await RedisServer.start();
  const text = config(1).replace(String(redis.port), String(away.port));
  await away.kill();
  await using gateway = await Gateway.start(text);
  const told = await ask(gateway);
  expect(told.made).toBe("RC_ID_LEASE");
  expect(told.session).not.toMatch(/^\d{15,}$/);
});

/** Ids that a session's worker makes, or why it makes none. */
async function madeBy({ socket }: Held): Promise<readonly string[]> {
  return (await say(socket, "ids")).text.split(",");
}

/** Has worker 0 go down by what nobody catches, and waits for its successor; both live then. */
async function crash(gateway: Gateway): Promise<{ readonly old: Held; readonly young: Held }> {
  const old = await oneOf(gateway.port(), 0);
  await say(old.socket, "throw");
  await gateway.line((line) => line["msg"] === "worker replaced");
  const young = await oneOf(gateway.port(), 0);
  expect(young.pid).not.toBe(old.pid);
  return { old, young };
}

describe("two processes that live never make ids by one number", () => {
  test("with Redis: the successor of a worker that ends has another", async () => {
    const keys = `redis: "redis://127.0.0.1:${redis.port}",`;
    await using gateway = await Gateway.start(workersConfig({ keys }));
    const { old, young } = await crash(gateway);
    const ids = (await Promise.all([madeBy(old), madeBy(young)])).flat();
    expect(new Set(ids).size).toBe(600);
    for (const id of ids) expect(id).toMatch(/^\d{15,19}$/);
    for (const { socket } of [old, young]) socket.destroy();
  });

  test("without: a worker that ends makes none from then on", async () => {
    await using gateway = await Gateway.start(workersConfig());
    const { old, young } = await crash(gateway);
    expect(await madeBy(old)).toEqual(["RC_ID_LEASE"]);
    expect(new Set(await madeBy(young)).size).toBe(300);
    for (const { socket } of [old, young]) socket.destroy();
  });

  test("without: nor does one that is replaced, and the new one does", async () => {
    await using gateway = await Gateway.start(workersConfig());
    const before = await oneOfEach(gateway.port());
    for (const held of before) expect(new Set(await madeBy(held)).size).toBe(300);
    expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
    const after = await oneOfEach(gateway.port());
    for (const held of before) expect(await madeBy(held)).toEqual(["RC_ID_LEASE"]);
    for (const held of after) expect(new Set(await madeBy(held)).size).toBe(300);
    for (const { socket } of [...before, ...after]) socket.destroy();
  });

  test("without: nor does one that went by a reload, when its number is wanted again", async () => {
    await using gateway = await Gateway.start(workersConfig({ workers: 3 }));
    const going = await oneOf(gateway.port(), 2);
    for (const workers of [2, 3])
      expect(await change(gateway, "SIGHUP", workersConfig({ workers }))).toMatchObject({ msg: "reload done" });
    const come = await oneOf(gateway.port(), 2);
    expect(come.pid).not.toBe(going.pid);
    expect(await madeBy(going)).toEqual(["RC_ID_LEASE"]);
    expect(new Set(await madeBy(come)).size).toBe(300);
    for (const { socket } of [going, come]) socket.destroy();
  });
});

test("where Redis is away no worker is replaced, since there are no numbers for new ones; all stays as it was", async () => {
  await using away = await RedisServer.start();
  await using gateway = await Gateway.start(workersConfig({ keys: `redis: "redis://127.0.0.1:${away.port}",` }));
  const before = await oneOfEach(gateway.port());
  await away.kill();
  expect(await change(gateway, "SIGUSR2")).toMatchObject({
    msg: "replacement failed",
    reason: expect.stringMatching(/^no lease of ids: /),
  });
  const pids = (await clients(gateway.port())).map(({ pid }) => pid);
  expect(new Set(pids)).toEqual(new Set(before.map(({ pid }) => pid)));
  for (const held of before) expect(new Set(await madeBy(held)).size).toBe(300);
  for (const { socket } of before) socket.destroy();
});
