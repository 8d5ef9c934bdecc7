import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";

// Numbers of gateways and workers on one Redis: no two that live share one.

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis[Symbol.asyncDispose]());

function config(workers: number): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    export default defineGateway({
      workers: ${workers}, redis: "redis://127.0.0.1:${redis.port}",
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
        const { id, masterId, number, snowflake } = session.worker;
        let made = "";
        try { made = snowflake.next(); } catch (error) { made = error.code; }
        await session.end(JSON.stringify({ id, masterId, number, made, session: session.id, pid: process.pid }));
      }))] } },
    });`;
}

interface Told {
  readonly id: number;
  readonly masterId: number;
  readonly number: number;
  readonly made: string;
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
    expect(await gateway.access()).toMatchObject({ session: told[0]?.session });
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

test("without an answer of Redis a gateway serves, and makes no ids", async () => {
  await using away = await RedisServer.start();
  const text = config(1).replace(String(redis.port), String(away.port));
  await away.kill();
  await using gateway = await Gateway.start(text);
  const told = await ask(gateway);
  expect(told.made).toBe("RC_ID_LEASE");
  expect(told.session).not.toMatch(/^\d{15,}$/);
});
