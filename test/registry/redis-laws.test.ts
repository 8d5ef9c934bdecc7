import { afterAll, beforeAll, describe } from "vitest";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import type { RedisConfig } from "../../src/registry/redis/redis-config.ts";
import type { RedisLink } from "../../src/registry/redis/redis-link.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { registryLaws } from "../laws/registry-laws.ts";
import { RedisServer, redisCluster, redisSentinels } from "./redis-server.ts";

const log = { info() {}, warn() {} };
const links: RedisLink[] = [];

/** Each case has keys of its own; a sync each 40 ms, so that what nobody announces is seen soon. */
async function openAt(config: RedisConfig): Promise<Registry> {
  const where = typeof config === "string" ? { url: config } : config;
  const link = await openRedis({ ...where, prefix: `case-${links.length}:` }, { log });
  const registry = await redisRegistry(link, { log, syncMs: 40 });
  links.push(link);
  return registry;
}

afterAll(async () => {
  for (const link of links) await link[Symbol.asyncDispose]();
});

describe("one server", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());
  registryLaws("redis", () => openAt(server.url));
  registryLaws("redis by RESP2", () => openAt({ url: server.url, protocol: 2 }));
});

describe("behind Sentinel", () => {
  let set: Awaited<ReturnType<typeof redisSentinels>>;
  beforeAll(async () => {
    set = await redisSentinels();
  });
  afterAll(() => set[Symbol.asyncDispose]());
  registryLaws("redis sentinel", () =>
    openAt({ sentinels: set.sentinels.map(({ port }) => `127.0.0.1:${port}`), name: "main" }),
  );
});

describe("a Cluster of three", () => {
  let nodes: readonly RedisServer[];
  beforeAll(async () => {
    nodes = await redisCluster();
  });
  afterAll(async () => {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  });
  registryLaws("redis cluster", () => openAt({ cluster: nodes.map(({ port }) => `127.0.0.1:${port}`) }));
});
