import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { leaseMasterIds } from "../../src/registry/master-ids.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import { eventually } from "../support/eventually.ts";
import { RedisServer } from "./redis-server.ts";

// A replica, or a master that has become one: it answers, and takes no writes.

const A = `{"address":"10.0.0.5:7000"}`;
const B = `{"address":"10.0.0.6:7000"}`;

let server: RedisServer;
let open: AsyncDisposable[];
let said: string[];
beforeEach(async () => {
  open = [];
  said = [];
  server = await RedisServer.start();
});
afterEach(async () => {
  for (const resource of open.reverse()) await resource[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const say = (event: string): void => void said.push(event);

/** A process that follows the game servers and leases a number. */
async function gateway() {
  const log = { info: say, warn: say };
  const link = await openRedis({ url: server.url, connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 }, { log });
  const registry = await redisRegistry(link, { log });
  open.push(link, registry);
  registry.watch("service:game:", new AbortController().signal);
  const lease = await leaseMasterIds(link, 1, { leaseMs: 3_000, renewMs: 200 });
  open.push({ [Symbol.asyncDispose]: () => lease.release() });
  return { lease, keys: async () => [...(await registry.list("service:game:")).keys()].sort() };
}

/** The server becomes a replica of nobody that answers, or a master again. */
async function becomeReplica(): Promise<void> {
  await server.cli("REPLICAOF", "127.0.0.1", "1");
}

async function connections(): Promise<number> {
  return Number(/total_connections_received:(\d+)/.exec(await server.cli("INFO", "stats"))?.[1]);
}

test("a replica is left for a new connection less and less often, and that is said once", async () => {
  await becomeReplica();
  await gateway();
  await sleep(1_000);
  const before = await connections();
  await sleep(4_000);
  let asked = 0;
  const made = await eventually(async () => {
    const others = (await connections()) - before - ++asked; // each question is a connection of redis-cli
    expect(others).toBeGreaterThan(0);
    return others;
  });
  expect(made).toBeLessThan(6);
  expect(said).toEqual(["redis takes no writes"]);
});

test("game servers are read from a replica, at the start and later", async () => {
  await server.cli("SET", "restyconf:service:game:a", A);
  await becomeReplica();
  const { keys } = await gateway();
  expect(await keys()).toEqual(["service:game:a"]);
  await server.cli("REPLICAOF", "NO", "ONE");
  await server.cli("SET", "restyconf:service:game:b", B);
  await becomeReplica();
  await eventually(async () => expect(await keys()).toEqual(["service:game:a", "service:game:b"]));
});

test("a master that becomes a replica loses nobody, and is back as soon as it takes writes again", async () => {
  await server.cli("SET", "restyconf:service:game:a", A);
  const { keys, lease } = await gateway();
  expect(await keys()).toEqual(["service:game:a"]);
  await becomeReplica();
  await eventually(() => expect(lease.isHeld).toBe(false));
  expect(await keys()).toEqual(["service:game:a"]);
  await server.cli("REPLICAOF", "NO", "ONE");
  await eventually(() => expect(lease.isHeld).toBe(true));
  await eventually(() => expect(said.at(-1)).toBe("redis is back"));
  expect(said).toEqual(["redis takes no writes", "redis is back"]);
  await server.cli("SET", "restyconf:service:game:b", B);
  await eventually(async () => expect(await keys()).toContain("service:game:b"));
});
