import { afterEach, beforeEach, expect, test } from "vitest";
import { heartbeat } from "../../src/registry/heartbeat.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import { openRegistry } from "../../src/registry/open-registry.ts";
import { registerWorker } from "../../src/registry/worker-entry.ts";
import { eventually } from "../support/eventually.ts";
import { RedisServer } from "./redis-server.ts";

let server: RedisServer;
const warnings: string[] = [];
const warn = (text: string): void => void warnings.push(text);
const log = { info() {}, warn() {} };
beforeEach(async () => {
  warnings.length = 0;
  server = await RedisServer.start();
});
afterEach(() => server[Symbol.asyncDispose]());

const config = () => ({ redis: { url: server.url, connectTimeoutMs: 2_000, commandTimeoutMs: 2_000 } });

test("a worker says who and how it is, again and again, and goodbye", async () => {
  await using registry = await openRegistry(config(), { log });
  const fixed = { id: 13, address: "127.0.0.1:5050", pid: process.pid, startedAt: "2026-11-22T00:00:00.000Z" };
  let sessions = 7;
  const entry = registerWorker(registry, () => ({ ...fixed, sessions, generation: 2 }), { warn, beatMs: 100 });
  const read = async (): Promise<unknown> => JSON.parse((await server.cli("GET", "restyconf:worker:13")) || "null");
  await eventually(async () => expect(await read()).toEqual({ ...fixed, sessions: 7, generation: 2 }));
  const leftMs = Number(await server.cli("PTTL", "restyconf:worker:13"));
  expect(leftMs).toBeGreaterThan(5_000);
  expect(leftMs).toBeLessThanOrEqual(10_000);
  sessions = 8;
  await eventually(async () => expect(await read()).toMatchObject({ sessions: 8 }));
  await entry[Symbol.asyncDispose]();
  await entry[Symbol.asyncDispose]();
  expect(await read()).toBeNull();
  expect(warnings).toEqual([]);
});

test("beats are told to nobody, but for the first and those that are asked for", async () => {
  await using registry = await openRegistry(config(), { log });
  await using other = await openRegistry(config(), { log });

  await eventually(async () => expect(await server.cli("PUBSUB", "NUMSUB", "restyconf:changes")).toContain("2"));
  await server.cli("CONFIG", "RESETSTAT");
  let count = 0;
  await using beat = heartbeat(registry, () => ({ key: "worker:1", value: String(count++) }), { warn, beatMs: 20 });
  await eventually(() => expect(count).toBeGreaterThan(10));
  const published = async (): Promise<string> =>
    (await server.cli("INFO", "commandstats")).match(/publish:calls=(\d+)/)?.[1] ?? "";
  expect(await published()).toBe("1");
  beat.beat();
  await eventually(async () => expect(await published()).toBe("2"));
  await eventually(async () => expect(Number(await other.get("worker:1"))).toBeGreaterThan(10));
});

test("of a worker's entry nobody is told, and who follows the list sees it in time all the same", async () => {
  await using registry = await openRegistry(config(), { log });
  await using other = await openRegistry(config(), { log });
  other.watch("worker:", new AbortController().signal);
  expect(await other.list("worker:")).toEqual(new Map());
  await server.cli("CONFIG", "RESETSTAT");
  const facts = { id: 1, address: "", pid: 1, startedAt: "", sessions: 0, generation: 1 };
  const entry = registerWorker(registry, () => facts, { warn, beatMs: 100 });
  await eventually(async () => expect([...(await other.list("worker:")).keys()]).toEqual(["worker:1"]));
  await entry[Symbol.asyncDispose]();
  expect(await server.cli("EXISTS", "restyconf:worker:1")).toBe("0");
  await eventually(async () => expect(await other.list("worker:")).toEqual(new Map()));
  expect(await server.cli("INFO", "commandstats")).not.toContain("publish");
});

test("while Redis is away it goes on trying, says so once, and is back soon after it", async () => {
  await using registry = await openRegistry(config(), { log });
  await using _beat = heartbeat(registry, () => ({ key: "worker:1", value: "x" }), { warn, beatMs: 50 });
  const isThere = async (): Promise<void> => expect(await server.cli("EXISTS", "restyconf:worker:1")).toBe("1");
  await eventually(isThere);
  await server.kill();
  await eventually(() => expect(warnings).toHaveLength(1));
  expect(warnings[0]).toMatch(/^worker:1 cannot be put: registry cannot be reached: /);
  await server.start();
  const back = performance.now();
  await eventually(isThere);
  expect(performance.now() - back).toBeLessThan(15_000);
  expect(warnings).toHaveLength(1);
});

test("a registry of any kind will do", async () => {
  await using registry = memoryRegistry();
  const beat = heartbeat(registry, () => ({ key: "a", value: "1" }), { warn, ttlMs: 1_000, beatMs: 100 });
  await eventually(async () => expect(await registry.get("a")).toBe("1"));
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await eventually(async () => expect(await registry.get("a")).toBe("1")); // for ever gone without a beat
  await beat[Symbol.asyncDispose]();
  expect(await registry.get("a")).toBeUndefined();
});

test("a worker that got another id is there under that one only", async () => {
  await using registry = memoryRegistry();
  let id = 3;
  const facts = { address: "", pid: 1, startedAt: "", sessions: 0, generation: 1 };
  await using entry = registerWorker(registry, () => ({ ...facts, id }), { warn });
  await eventually(async () => expect([...(await registry.list("")).keys()]).toEqual(["worker:3"]));
  id = 13;
  entry.beat();
  await eventually(async () => expect([...(await registry.list("")).keys()]).toEqual(["worker:13"]));
  expect(JSON.parse((await registry.get("worker:13")) ?? "")).toMatchObject({ id: 13 });
});

test("a worker without an id is not registered, and what another has put under its old one stays", async () => {
  await using registry = memoryRegistry();
  let id: number | undefined = 3;
  const facts = { address: "", pid: 1, startedAt: "", sessions: 0, generation: 1 };
  const entry = registerWorker(registry, () => (id === undefined ? undefined : { ...facts, id }), { warn });
  await eventually(async () => expect([...(await registry.list("")).keys()]).toEqual(["worker:3"]));
  await registry.put("worker:3", "another's");
  id = undefined;
  entry.beat();
  await entry[Symbol.asyncDispose]();
  expect(await registry.list("")).toEqual(new Map([["worker:3", "another's"]]));
});
