import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { heartbeat } from "../../src/registry/heartbeat.ts";
import { leaseMasterIds } from "../../src/registry/master-ids.ts";
import { openRedis } from "../../src/registry/redis/open-redis.ts";
import { redisRegistry } from "../../src/registry/redis/redis.ts";
import type { RedisLink } from "../../src/registry/redis/redis-link.ts";
import type { Change, Registry } from "../../src/registry/registry.ts";
import { FollowedKeys } from "../../src/upstream/followed-keys.ts";
import { eventually } from "../support/eventually.ts";
import { freePorts } from "../support/service.ts";
import { TempFolder } from "../worker/temp-folder.ts";
import { RedisServer } from "./redis-server.ts";

const A = `{"address":"10.0.0.5:7000"}`;
const B = `{"address":"10.0.0.6:7000"}`;

let server: RedisServer;
let open: AsyncDisposable[];
let said: { event: string; [field: string]: unknown }[];
beforeEach(async () => {
  open = [];
  said = [];
  server = await RedisServer.start();
});
afterEach(async () => {
  for (const resource of open.reverse()) await resource[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

const say = (event: string, fields = {}): void => void said.push({ event, ...fields });
const log = { info: say, warn: say };
const events = (): readonly string[] => said.map(({ event }) => event);

interface Gateway {
  readonly registry: Registry;
  readonly changes: Change[];
  keys(): Promise<readonly string[]>;
  /** It follows them no more. */
  leave(): void;
}

/** A process that follows the game servers. */
async function gateway({
  stateDir,
  port = server.port,
  commandTimeoutMs = 5_000,
  syncMs,
}: {
  stateDir?: string;
  port?: number;
  commandTimeoutMs?: number;
  syncMs?: number;
} = {}): Promise<Gateway> {
  const limits = { connectTimeoutMs: 20_000, commandTimeoutMs }; // a busy machine takes its time, and no Redis refuses at once
  const link = await openRedis({ url: `redis://127.0.0.1:${port}`, ...limits }, { log });
  const registry = await redisRegistry(link, { log, stateDir, ...(syncMs !== undefined && { syncMs }) });
  open.push(link, registry);
  const changes: Change[] = [];
  const stop = new AbortController();
  const follow = async (): Promise<void> => {
    for await (const change of registry.watch("service:game:", stop.signal)) changes.push(change);
  };
  void follow();
  const keys = async (): Promise<readonly string[]> => [...(await registry.list("service:game:")).keys()].sort();
  return { registry, changes, keys, leave: () => stop.abort() };
}

/** Until so many processes hear what is published: who comes later has missed it. */
async function hear(processes: number): Promise<void> {
  const heard = (): Promise<string> => server.cli("PUBSUB", "NUMSUB", "restyconf:changes");
  await eventually(async () => expect(await heard()).toMatch(new RegExp(`\\b${processes}$`)));
}

/** How long an answer takes, whatever it is. */
async function answerMs(ask: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await ask().catch(() => {});
  return performance.now() - begun;
}

describe("any program that speaks to Redis takes part", () => {
  test("what it publishes is seen at once", async () => {
    const one = await gateway({ syncMs: 60_000 }); // nothing else tells of it
    expect(await one.keys()).toEqual([]);
    await hear(1);
    await server.cli("SET", "restyconf:service:game:a", A, "EX", "10");
    await server.cli("PUBLISH", "restyconf:changes", "service:game:a");
    await eventually(() => expect(one.changes).toEqual([{ key: "service:game:a", value: A }]));
    await server.cli("DEL", "restyconf:service:game:a");
    await server.cli("PUBLISH", "restyconf:changes", "service:game:a");
    await eventually(() => expect(one.changes.at(-1)).toEqual({ key: "service:game:a", value: undefined }));
  });
  test("what it does not publish is seen within two seconds, by every process", async () => {
    const all = [await gateway(), await gateway(), await gateway()];
    for (const { keys } of all) expect(await keys()).toEqual([]);
    await server.cli("SET", "restyconf:service:game:a", A, "EX", "10");
    const put = performance.now();
    for (const { keys } of all) await eventually(async () => expect(await keys()).toEqual(["service:game:a"]));
    expect(performance.now() - put).toBeLessThan(8_000); // 2 s, and what a busy machine takes
    await server.cli("DEL", "restyconf:service:game:a");
    for (const { keys } of all) await eventually(async () => expect(await keys()).toEqual([]));
  });
  test("who stops to refresh is gone within two seconds after its time", async () => {
    const one = await gateway();
    await server.cli("SET", "restyconf:service:game:a", A, "PX", "4000");
    await server.cli("PUBLISH", "restyconf:changes", "service:game:a");
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a"]));
    await eventually(async () => expect(await one.keys()).toEqual([]), 10_000);
  });
  test("messages that name no key do nothing", async () => {
    const one = await gateway();
    await one.registry.put("service:game:a", A);
    for (const message of ["", "~epoch:0", "service:game:none", "x".repeat(100_000), "service:game:"])
      await server.cli("PUBLISH", "restyconf:changes", message);
    await server.cli("SET", "restyconf:service:game:b", B);
    await server.cli("PUBLISH", "restyconf:changes", "service:game:b");
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a", "service:game:b"]));
    expect(one.changes.map(({ key }) => key)).toEqual(["service:game:a", "service:game:b"]);
  });
  test("a list of another type under one of the keys stops nobody", async () => {
    const one = await gateway();
    await one.registry.put("service:game:a", A);
    await server.cli("LPUSH", "restyconf:service:game:list", "x");
    await sleep(1_200);
    await server.cli("SET", "restyconf:service:game:b", B);
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a", "service:game:b"]));
  });
});

describe("values are read as long as they are not too long", () => {
  const sent = async (): Promise<number> =>
    Number(/total_net_output_bytes:(\d+)/.exec(await server.cli("INFO", "stats"))?.[1]);

  test("one that is longer than 64 KiB is ignored, and that is said once", async () => {
    const one = await gateway({ commandTimeoutMs: 5_000 });
    expect(await one.keys()).toEqual([]);
    const before = await sent();
    await server.cli("EVAL", "redis.call('SET', 'restyconf:service:game:big', string.rep('x', 8000000))", "0");
    await server.cli("SET", "restyconf:service:game:a", A);
    await server.cli("PUBLISH", "restyconf:changes", "service:game:big");
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a"]));
    await sleep(1_200); // one more full sync
    expect(await one.registry.get("service:game:big")).toBeUndefined();
    expect((await sent()) - before).toBeLessThan(100_000);
    expect(said.filter(({ event }) => event.startsWith("value"))).toEqual([
      { event: "value is ignored: too long", key: "service:game:big", bytes: 8_000_000, max: 65_536 },
    ]);
    await server.cli("SET", "restyconf:service:game:big", B);
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a", "service:game:big"]));
  });
  test("many long ones are read bit by bit, up to 32 MiB", async () => {
    const put = (first: number, last: number): Promise<string> =>
      server.cli(
        "EVAL",
        `for n = ${first}, ${last} do redis.call('SET', 'restyconf:service:game:' .. n, string.rep('x', 60000)) end`,
        "0",
      );
    await put(1_000, 1_199);
    const one = await gateway({ commandTimeoutMs: 5_000 });
    expect(await one.keys()).toHaveLength(200);
    expect(said).toEqual([]);
    await put(1_200, 1_799);
    await eventually(async () => expect(await one.keys()).toHaveLength(559));
    expect(events()).toEqual(["values are ignored: too many"]);
    expect((await one.keys())[0]).toBe("service:game:1000");
  });
});

describe("many processes", () => {
  test("walk through the keys once per round together", async () => {
    const all = await Promise.all(Array.from({ length: 8 }, () => gateway()));
    for (const { keys } of all) await keys();
    const begun = performance.now();
    await server.cli("CONFIG", "RESETSTAT");
    await sleep(3_000);
    const scans = await eventually(async () => {
      const [, calls = "0"] = /cmdstat_scan:calls=(\d+)/.exec(await server.cli("INFO", "commandstats")) ?? [];
      expect(Number(calls)).toBeGreaterThanOrEqual(2);
      return Number(calls);
    });
    expect(scans).toBeLessThanOrEqual((performance.now() - begun) / 900 + 2); // 8 processes, a round each 900 ms
  });
});

describe("while Redis is", () => {
  /** Two game servers, and a gateway that knows them; the first has four seconds from now. */
  async function knowing(commandTimeoutMs = 5_000): Promise<Gateway> {
    const one = await gateway({ commandTimeoutMs });
    expect(await one.keys()).toEqual([]); // what comes is a change from here on
    await server.cli("SET", "restyconf:service:game:a", A);
    await server.cli("SET", "restyconf:service:game:b", B);
    await server.cli("PUBLISH", "restyconf:changes", "service:game:a");
    await server.cli("PUBLISH", "restyconf:changes", "service:game:b");
    await eventually(async () => expect(await one.keys()).toHaveLength(2));
    await server.cli("PEXPIRE", "restyconf:service:game:a", "4000");
    return one;
  }

  test("killed, what is known stays, also what is over; what is not known is refused at once", async () => {
    const one = await knowing();
    await server.kill();
    await sleep(4_100); // the server's own time is over
    expect(await one.keys()).toEqual(["service:game:a", "service:game:b"]);
    expect(await one.registry.get("service:game:a")).toBe(A);
    await expect(one.registry.get("other")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    await expect(one.registry.list("")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    await expect(one.registry.put("other", "")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    await expect(one.registry.delete("other")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    expect(await answerMs(() => one.registry.get("other"))).toBeLessThan(800); // an answer may take a second
    expect(await answerMs(() => one.registry.list("service:game:"))).toBeLessThan(800); // an answer may take a second
    expect(events()).toEqual(["redis is away"]); // once, however many attempts fail
    expect(one.changes).toHaveLength(2);
  });
  test("restarted without its data, servers are kept until they are back", async () => {
    const one = await knowing();
    await server.kill();
    await server.start();
    await eventually(() => expect(events()).toContain("redis is back"));
    await sleep(1_500); // a sync or two find nothing
    expect(await one.keys()).toEqual(["service:game:a", "service:game:b"]);
    await server.cli("SET", "restyconf:service:game:a", B, "EX", "60"); // it comes back elsewhere
    await eventually(async () => expect(await one.registry.get("service:game:a")).toBe(B));
    await one.registry.put("service:game:c", A);
    expect(await one.keys()).toEqual(["service:game:a", "service:game:b", "service:game:c"]);
    await eventually(async () => expect(await one.keys()).toEqual(["service:game:a", "service:game:c"]), 20_000);
  });
  test("emptied, likewise; and a goodbye is believed at once", async () => {
    const one = await knowing();
    const other = await gateway();
    expect(await other.keys()).toHaveLength(2);
    await server.cli("FLUSHALL");
    await eventually(() => expect(events().filter((event) => event === "redis has lost its data")).toHaveLength(2));
    for (const { keys } of [one, other]) expect(await keys()).toEqual(["service:game:a", "service:game:b"]);
    await server.cli("PUBLISH", "restyconf:changes", "service:game:b");
    for (const { keys } of [one, other]) await eventually(async () => expect(await keys()).toEqual(["service:game:a"]));
  });
  test("emptied in the middle of a walk through its keys, likewise", async () => {
    const link = await openRedis(server.url, { log });
    let strike: (() => Promise<unknown>) | undefined;
    const scan = async (prefix: string): Promise<readonly string[]> => {
      const now = strike;
      strike = undefined;
      await now?.();
      return link.scan(prefix);
    };
    const own = (name: string | symbol): unknown => {
      const member: unknown = Reflect.get(link, name);
      return typeof member === "function" ? member.bind(link) : member;
    };
    const struck = new Proxy(link, { get: (_, name) => (name === "scan" ? scan : own(name)) });
    const registry = await redisRegistry(struck, { log, syncMs: 100 });
    open.push(link, registry);
    registry.watch("service:game:", new AbortController().signal);
    await server.cli("SET", "restyconf:service:game:a", A);
    const keys = async (): Promise<string[]> => [...(await registry.list("service:game:")).keys()];
    await eventually(async () => expect(await keys()).toEqual(["service:game:a"]));
    strike = () => server.cli("FLUSHALL");
    await eventually(() => expect(events()).toEqual(["redis has lost its data"]));
    expect(await keys()).toEqual(["service:game:a"]);
  });
  test("paused, nothing is written or deleted after it was refused", async () => {
    const one = await gateway({ commandTimeoutMs: 1_000 });
    await one.registry.put("kept", "1");
    server.pause();
    await expect(one.registry.put("late", "1")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    await expect(one.registry.delete("kept")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    server.resume();
    await eventually(() => one.registry.put("next", "1"));
    await sleep(500); // what was in the buffers has been read
    expect(await server.cli("EXISTS", "restyconf:late")).toBe("0");
    expect(await server.cli("EXISTS", "restyconf:kept")).toBe("1");
  });
  test("paused, what is known is answered at once and the rest in time; and all goes on when it goes on", async () => {
    const one = await knowing(1_000);
    server.pause();
    const answers: string[] = [];
    const unknown = answerMs(() => one.registry.get("other")).finally(() => answers.push("unknown"));
    await one.registry.list("service:game:").then(() => answers.push("known"));
    expect(await unknown).toBeLessThan(10_000); // an answer may take a second
    expect(answers).toEqual(["known", "unknown"]);
    await sleep(4_200);
    expect(await one.keys()).toEqual(["service:game:a", "service:game:b"]);
    server.resume();
    await eventually(() => one.registry.put("service:game:c", A));
    await server.cli("SET", "restyconf:service:game:d", B);
    await eventually(async () => expect(await one.keys()).toContain("service:game:d"));
    expect(await one.keys()).toContain("service:game:a"); // it has had no chance to refresh
  });
});

describe("while Redis is paused", () => {
  test("nobody's end waits for it longer than a second", async () => {
    const link = await openRedis({ url: server.url, commandTimeoutMs: 20_000 }, { log });
    const registry = await redisRegistry(link, { log });
    const lease = await leaseMasterIds(link, 1, { settleMs: 100 });
    const beat = heartbeat(registry, () => ({ key: "worker:1", value: "x" }), { warn: () => {} });
    await eventually(async () => expect(await server.cli("EXISTS", "restyconf:worker:1")).toBe("1"));
    expect(link.isAnswering).toBe(true);
    server.pause();
    expect(await answerMs(async () => beat[Symbol.asyncDispose]())).toBeLessThan(5_000); // others wait for 20
    expect(link.isAnswering).toBe(false);
    expect(await answerMs(() => lease.release())).toBeLessThan(5_000);
    await link[Symbol.asyncDispose]();
  });
  test("who is told so does not wait for it at the start, and has it later", async () => {
    server.pause();
    const begun = performance.now();
    const limits = { connectTimeoutMs: 20_000, commandTimeoutMs: 20_000 };
    await using link = await openRedis({ url: server.url, ...limits }, { log, isAway: true });
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect([link.isReady, link.isAnswering]).toEqual([false, false]);
    server.resume();
    await eventually(() => expect(link.isAnswering).toBe(true));
  });
});

describe("a Redis whose first answers come too late", () => {
  /** As slow as it likes to whoever syncs, and quick to all others. */
  async function slow(): Promise<{ registry: Registry; mend(): void }> {
    const link = await openRedis({ url: server.url, commandTimeoutMs: 5_000 }, { log });
    let isSlow = true;
    const send: RedisLink["send"] = async (command, key, ...rest) => {
      if (isSlow && key.startsWith("~sync")) throw new GatewayError("RC_REGISTRY", "no answer in time");
      return await link.send(command, key, ...rest);
    };
    const own = (name: string | symbol): unknown => {
      const member: unknown = Reflect.get(link, name);
      return typeof member === "function" ? member.bind(link) : member;
    };
    const registry = await redisRegistry(new Proxy(link, { get: (_, name) => (name === "send" ? send : own(name)) }), {
      log,
      syncMs: 100,
    });
    open.push(link, registry);
    return {
      registry,
      mend: () => {
        isSlow = false;
      },
    };
  }

  test("is followed from the first one in time: what came and went before that is known to nobody", async () => {
    await server.cli("SET", "restyconf:service:game:a", A);
    const { registry, mend } = await slow();
    const warnings: string[] = [];
    const keys = new FollowedKeys({
      source: registry,
      prefix: "service:game:",
      max: { keys: 100, what: "servers" },
      read: (_key, value) => value,
      onChange: () => {},
      warn: (text) => void warnings.push(text),
    });
    open.push({ [Symbol.asyncDispose]: () => keys.close() });
    await keys.ready;
    await server.cli("DEL", "restyconf:service:game:a");
    await server.cli("SET", "restyconf:service:game:b", B);
    mend();
    await eventually(() => expect([...keys.items()]).toEqual([["service:game:b", B]]));
    expect(warnings[0]).toContain("no answer in time");
  });
  test("is asked anew by whoever wants to know what is watched, and all it answers is followed from then on", async () => {
    const { registry, mend } = await slow();
    await registry.put("service:game:a", A, { announce: false }); // nothing is under way
    await registry.put("other", "1");
    const changes: Change[] = [];
    const stop = new AbortController();
    const follow = async (): Promise<void> => {
      for await (const change of registry.watch("service:game:", stop.signal)) changes.push(change);
    };
    const following = follow();
    await expect(registry.list("service:game:")).rejects.toThrow("no answer in time");
    await expect(registry.get("service:game:a")).rejects.toMatchObject({ code: "RC_REGISTRY" });
    expect(await registry.get("other")).toBe("1"); // nobody watches it
    mend();
    expect(await registry.get("service:game:a")).toBe(A);
    await hear(1);
    await server.cli("DEL", "restyconf:service:game:a");
    await server.cli("PUBLISH", "restyconf:changes", "service:game:a"); // where rounds are slow, what is missing stays for a while
    await eventually(() => expect(changes).toEqual([{ key: "service:game:a", value: undefined }]));
    stop.abort();
    await following;
    expect([...(await registry.list("service:game:"))]).toEqual([]);
  });
  test("is asked directly where nobody watches any more", async () => {
    const { registry } = await slow();
    await registry.put("service:game:a", A);
    const stop = new AbortController();
    registry.watch("service:game:", stop.signal);
    const listed = registry.list("service:game:");
    stop.abort();
    expect([...(await listed)]).toEqual([["service:game:a", A]]);
  });
});

describe("a start while Redis is away", () => {
  const noRedis = async (): Promise<number> => (await freePorts(1))[0] ?? 0;

  test("has the last snapshot from disk, with a warning, and goes on with Redis when it comes", async () => {
    using folder = new TempFolder();
    const path = join(folder.path, "registry.json");
    const before = await gateway({ stateDir: folder.path });
    await before.registry.put("service:game:a", A);
    await before.registry.put("service:game:b", B);
    await eventually(() => expect(readFileSync(path, "utf8")).toContain("10.0.0.6"));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await server.kill();
    const begun = performance.now();
    const after = await gateway({ stateDir: folder.path });
    expect(await after.keys()).toEqual(["service:game:a", "service:game:b"]);
    expect(performance.now() - begun).toBeLessThan(8_000); // it would wait for ever
    expect(said).toContainEqual({ event: "registry is the last snapshot from disk", prefix: "service:game:", keys: 2 });
    await server.start();
    await server.cli("SET", "restyconf:service:game:c", A);
    await eventually(async () => expect(await after.keys()).toContain("service:game:c"));
    expect(await after.keys()).toHaveLength(3); // a and b may still come
  });
  test("keeps the snapshot of what it could not ask for, when it stops again", async () => {
    using folder = new TempFolder();
    const path = folder.write(
      "registry.json",
      JSON.stringify({ prefix: "restyconf:", savedAt: "", follows: { "service:game:": { "service:game:a": A } } }),
    );
    const port = await noRedis();
    const one = await gateway({ stateDir: folder.path, port });
    expect(await one.keys()).toEqual(["service:game:a"]);
    await one.registry[Symbol.asyncDispose]();
    expect(readFileSync(path, "utf8")).toContain("10.0.0.5");
  });
  test("without a snapshot says that nothing is known, instead of an empty list", async () => {
    const one = await gateway({ port: await noRedis() });
    await expect(one.keys()).rejects.toMatchObject({
      code: "RC_REGISTRY",
      message: expect.stringContaining("ECONNREFUSED"),
    });
  });
  test.each(["", "{", `{"follows":1}`, `{"prefix":"other:","follows":{"service:game:":{"a":"1"}}}`, "[]"])(
    "does not stumble over a snapshot of %j",
    async (text) => {
      using folder = new TempFolder({ "registry.json": text });
      const one = await gateway({ stateDir: folder.path, port: await noRedis() });
      await expect(one.keys()).rejects.toMatchObject({ code: "RC_REGISTRY" });
    },
  );
  test("has what was known last, also where nobody watched for a while", async () => {
    const stale = { prefix: "restyconf:", savedAt: "", follows: { "service:game:": { "service:game:z": A } } };
    using folder = new TempFolder({ "registry.json": JSON.stringify(stale) });
    const path = join(folder.path, "registry.json");
    const one = await gateway({ stateDir: folder.path });
    await one.registry.put("service:game:a", A);
    expect(await one.keys()).toEqual(["service:game:a"]);
    one.leave();
    await server.kill();
    await eventually(() => expect(events()).toContain("redis is away"));
    one.registry.watch("service:game:", new AbortController().signal);
    expect(await one.keys()).toEqual(["service:game:a"]);
    await one.registry[Symbol.asyncDispose]();
    expect(JSON.parse(readFileSync(path, "utf8")).follows).toEqual({ "service:game:": { "service:game:a": A } });
  });
  test("with a Redis that works, the snapshot is not even looked at", async () => {
    using folder = new TempFolder();
    const stale = { prefix: "restyconf:", savedAt: "", follows: { "service:game:": { "service:game:z": A } } };
    writeFileSync(join(folder.path, "registry.json"), JSON.stringify(stale));
    const one = await gateway({ stateDir: folder.path });
    expect(await one.keys()).toEqual([]);
    expect(events()).toEqual([]);
    expect(existsSync(join(folder.path, "registry.json"))).toBe(true);
  });
});

test("keys that there is no room for are ignored with one warning; all others are followed on", async () => {
  const fill = "for i=1,ARGV[1] do redis.call('SET', 'restyconf:service:game:' .. i, 'v') end";
  await server.cli("EVAL", fill, "0", "100001");
  const one = await gateway({ commandTimeoutMs: 5_000 });
  expect((await one.keys()).length).toBe(100_000);
  await eventually(() => expect(events()).toEqual(["keys are ignored: too many"]));
  await server.cli("DEL", "restyconf:service:game:7", "restyconf:service:game:8");
  for (const number of [7, 8]) await server.cli("PUBLISH", "restyconf:changes", `service:game:${number}`);
  await eventually(async () => expect(await one.registry.get("service:game:7")).toBeUndefined());
  await eventually(async () => expect((await one.keys()).length).toBe(99_999), 45_000); // a walk through all of them takes its time
  expect(one.changes).toContainEqual({ key: "service:game:7", value: undefined });
  expect(events()).toHaveLength(1);
});
