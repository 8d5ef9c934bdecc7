import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import { type RedisConfig, redisSettings } from "../../src/registry/redis/redis-config.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { made } from "../ssl/made-certificates.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/service.ts";
import { TempFolder } from "../worker/temp-folder.ts";
import { RedisServer, redisCluster, redisSentinels } from "./redis-server.ts";

const A = `{"address":"10.0.0.5:7000"}`;
const limits = { connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 };

let open: AsyncDisposable[];
let said: string[];
beforeEach(() => {
  open = [];
  said = [];
});
afterEach(async () => {
  for (const resource of open.reverse()) await resource[Symbol.asyncDispose]();
});
const log = {
  info: (event: string) => void said.push(event),
  warn: (event: string, fields = {}) => void said.push(`${event} ${JSON.stringify(fields)}`),
};

async function registryAt(config: RedisConfig): Promise<Registry> {
  const link = await openRedis(config, { log });
  const registry = await redisRegistry(link, { log });
  open.push(link, registry);
  return registry;
}

/** Follows the game servers until the test ends. */
function follow(registry: Registry): () => Promise<readonly string[]> {
  registry.watch("service:game:", new AbortController().signal);
  return async () => [...(await registry.list("service:game:")).keys()].sort();
}

test("when Sentinel makes the replica the master, everything goes on with it", async () => {
  await using set = await redisSentinels();
  const sentinels = set.sentinels.map(({ port }) => `127.0.0.1:${port}`);
  const registry = await registryAt({ sentinels, name: "main", ...limits });
  const keys = follow(registry);
  await registry.put("service:game:a", A);
  expect(await keys()).toEqual(["service:game:a"]);
  const [master, replica] = set.servers;
  await eventually(async () => expect(await replica?.cli("EXISTS", "restyconf:service:game:a")).toBe("1"));
  await master?.kill();
  await eventually(() => registry.put("service:game:b", A), 20_000);
  expect(await replica?.cli("EXISTS", "restyconf:service:game:b")).toBe("1");
  expect(await keys()).toEqual(["service:game:a", "service:game:b"]);
  await replica?.cli("SET", "restyconf:service:game:c", A);
  await replica?.cli("PUBLISH", "restyconf:changes", "service:game:c");
  await eventually(async () => expect(await keys()).toContain("service:game:c"));
}, 60_000);

test("a Cluster that loses a node keeps what is known, and takes what the others hold", async () => {
  const nodes = await redisCluster();
  open.push(...nodes);
  const registry = await registryAt({ cluster: nodes.map(({ port }) => `127.0.0.1:${port}`), ...limits });
  const keys = follow(registry);
  const names = Array.from({ length: 12 }, (_, index) => `service:game:${index}`);
  for (const name of names) await registry.put(name, A);
  expect(await keys()).toEqual([...names].sort());
  await nodes[2]?.kill();
  await new Promise((resolve) => setTimeout(resolve, 2_000)); // two full syncs fail
  expect(await keys()).toEqual([...names].sort());
  await nodes[2]?.start();
  await eventually(() => registry.put("service:game:new", A), 20_000);
  await eventually(async () => expect(await keys()).toContain("service:game:new"));
}, 60_000);

test("in a Cluster, too, a key of another type stops nobody", async () => {
  const nodes = await redisCluster();
  open.push(...nodes);
  const registry = await registryAt({ cluster: nodes.map(({ port }) => `127.0.0.1:${port}`), ...limits });
  const keys = follow(registry);
  await registry.put("service:game:a", A);
  expect(await keys()).toEqual(["service:game:a"]);
  await nodes[0]?.cli("-c", "RPUSH", "restyconf:service:game:list", "x");
  await new Promise((resolve) => setTimeout(resolve, 1_200)); // a full sync or two have seen it
  await nodes[0]?.cli("-c", "SET", "restyconf:service:game:b", A);
  await eventually(async () => expect(await keys()).toEqual(["service:game:a", "service:game:b"]));
}, 60_000);

describe("TLS and passwords", () => {
  const limits = { connectTimeoutMs: 10_000, commandTimeoutMs: 10_000 };

  test.each(["rediss:", "{ tls }"])("by %s", async (form) => {
    const { cert, key } = await made({ names: ["localhost"] });
    using folder = new TempFolder({ "r.crt": cert, "r.key": key });
    const at = (name: string): string => join(folder.path, name);
    const [port = 0] = await freePorts(1);
    const words = {
      "tls-port": port,
      "tls-cert-file": at("r.crt"),
      "tls-key-file": at("r.key"),
      "tls-auth-clients": "no",
    };
    const args = Object.entries({ ...words, "tls-ca-cert-file": at("r.crt"), requirepass: "s3cret/word" });
    const server = await RedisServer.start(args.flatMap(([name, value]) => [`--${name}`, String(value)]));
    open.push(server);
    const where = `localhost:${port}`;
    const ca = at("r.crt");
    const config: RedisConfig =
      form === "rediss:"
        ? { url: `rediss://:s3cret%2Fword@${where}/2`, tls: { ca }, ...limits }
        : { url: `redis://${where}`, password: "s3cret/word", database: 2, tls: { ca: cert, verify: true }, ...limits };
    const registry = await registryAt(config);
    await registry.put("a", "1");
    expect(await registry.get("a")).toBe("1");
    expect(await server.cli("-a", "s3cret/word", "--no-auth-warning", "-n", "2", "GET", "restyconf:a")).toBe("1");

    const untrusting = await registryAt({ url: `rediss://:s3cret%2Fword@${where}`, ...limits });
    await expect(untrusting.get("a")).rejects.toMatchObject({
      code: "RC_REGISTRY",
      message: expect.stringMatching(/self.signed|unable to verify/),
    });
    const trusting = await registryAt({ url: `rediss://:s3cret%2Fword@${where}`, tls: { verify: false }, ...limits });
    await trusting.put("b", "1");
  });
  test("a wrong password is said, and never shown", async () => {
    const server = await RedisServer.start(["--requirepass", "right"]);
    open.push(server);
    const registry = await registryAt({ url: `redis://:wr0ng@127.0.0.1:${server.port}`, ...limits });
    await expect(registry.get("a")).rejects.toMatchObject({
      code: "RC_REGISTRY",
      message: expect.stringMatching(/WRONGPASS|NOAUTH/),
    });
    expect(said.join()).toMatch(/WRONGPASS|NOAUTH/);
    expect(said.join()).not.toContain("wr0ng");
  });
});

describe("a configuration", () => {
  const at = (host: string, port: number) => ({ host, port });
  test.each<[RedisConfig, object]>([
    [
      "redis://h",
      {
        place: { kind: "single", server: at("h", 6379) },
        prefix: "restyconf:",
        database: 0,
        tls: undefined,
        protocol: 3,
      },
    ],
    [
      "rediss://u:p%40@h:1/3",
      {
        place: { kind: "single", server: at("h", 1) },
        username: "u",
        password: "p@",
        database: 3,
        tls: { rejectUnauthorized: true },
      },
    ],
    ["redis://[::1]:7", { place: { kind: "single", server: at("::1", 7) } }],
    [
      { url: "redis://u:p@h", password: "other", prefix: "x:", database: 1, protocol: 2 },
      { username: "u", password: "other", prefix: "x:", database: 1, protocol: 2 },
    ],
    [
      { sentinels: ["a", "b:1", "[::1]:2"], name: "main" },
      { place: { kind: "sentinel", sentinels: [at("a", 26379), at("b", 1), at("::1", 2)], name: "main" } },
    ],
    [
      { cluster: ["a", "b:1"], tls: { serverName: "r", verify: false } },
      {
        place: { kind: "cluster", nodes: [at("a", 6379), at("b", 1)] },
        tls: { servername: "r", rejectUnauthorized: false },
      },
    ],
  ])("%j", (config, settings) => expect(redisSettings(config, "/")).toMatchObject(settings));
  test.each<[RedisConfig, string]>([
    [{}, "redis.url: expected one of url, sentinels and cluster, got none"],
    [{ url: "redis://h", cluster: ["h"] }, "redis.url: expected one of url, sentinels and cluster, got 2"],
    [{ sentinels: ["h"] }, "redis.name: expected what the sentinels call the master"],
    [{ cluster: ["h"], database: 1 }, "redis.database: expected 0, a Cluster has no other"],
    [{ cluster: ["a:b:c"] }, `redis: expected host:port, not "a:b:c"`],
    [{ url: "redis://h", tls: { ca: "none.pem" } }, "redis.tls.ca: cannot be read"],
  ])("%j is refused", (config, text) => expect(() => redisSettings(config, "/")).toThrow(new TypeError(text)));
});
