import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { echo, type TestServer } from "../support/servers.ts";
import { change, clients, config, GROWN, nextLine, oneOfEach } from "../support/workers.ts";

// What a gateway reads at its start is the same in all of its processes, however late they come and whatever the file says by then.

let redis: RedisServer;
let other: RedisServer;
let peer: TestServer;

beforeAll(async () => {
  [redis, other] = await Promise.all([RedisServer.start(), RedisServer.start()]);
  await redis.cli("SET", "restyconf:where", "redis");
  await other.cli("SET", "restyconf:where", "other");
  peer = await echo();
});
afterAll(async () => {
  await Promise.all([redis, other, peer].map((one) => one[Symbol.asyncDispose]()));
});

const WARNING = "only a new start changes these keys";

/** Each worker tells who it is and what its registry holds. */
const PHASES = `initWorker: async ({ id, number, masterId, registry }) =>
  told({ pid: process.pid, id, number, masterId, where: await registry.get("where") ?? "nowhere" })`;

/** Of the gateway as it was started, and of a reload. */
interface Keys {
  readonly first: string;
  readonly next: string;
  readonly more?: string;
  /** Its workers are replaced, too: not where ids are asked for that are not leased. */
  readonly isReplaced?: boolean;
}

/**
 * A process that is alone, before and after a reload; workers that one makes of it, and one more; those that come after a kill, after a rollback
 * and by a replacement. `made` is called in between.
 */
async function lives(
  gateway: Gateway,
  { first, next, more = "", isReplaced = false }: Keys,
  made: () => Promise<void>,
): Promise<void> {
  const text = (workers: number, keys: string): string => config({ workers, keys, phases: PHASES, more });
  await made();
  for (const workers of [1, 2, 3]) {
    expect(await change(gateway, "SIGHUP", text(workers, next))).toMatchObject({ msg: GROWN });
    await made();
  }
  await killOne(gateway, 3);
  await made();
  expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
  await killOne(gateway, 2);
  if (isReplaced) expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
  await made();
  expect(await change(gateway, "SIGHUP", text(2, first))).toMatchObject({ msg: GROWN });
  expect(warnings(gateway)).toHaveLength(3);
}

/** Resolves when another has taken its place. */
async function killOne(gateway: Gateway, workers: number): Promise<void> {
  const held = await oneOfEach(gateway.port(), workers);
  const replaced = nextLine(gateway, ({ msg }) => msg === "worker replaced");
  for (const { socket } of held) socket.destroy();
  process.kill(held[0]?.pid ?? Number.NaN, "SIGKILL");
  await replaced;
}

const warnings = (gateway: Gateway): LogLine[] => gateway.log.filter(({ msg }) => msg === WARNING);
const said = (gateway: Gateway): LogLine[] => gateway.log.filter((line) => "where" in line);

describe("workers that start after a reload go on with what the gateway was started with:", () => {
  const url = (server: RedisServer): string => `redis: "${server.url}",`;
  const cases: readonly (readonly [string, () => Keys, string, string[]])[] = [
    ["no Redis where there was none", () => ({ first: "", next: url(redis) }), "nowhere", ["redis"]],
    ["its Redis", () => ({ first: url(redis), next: url(other), isReplaced: true }), "redis", ["redis"]],
    ["its Redis where there is to be none", () => ({ first: url(redis), next: "" }), "redis", ["redis"]],
    [
      "its file",
      () => ({ first: `registry: "a.json",`, next: `registry: "b.json",`, isReplaced: true }),
      "a",
      ["registry"],
    ],
  ];

  test.each(cases)("%s", async (_, keysOf, where, names) => {
    const keys = keysOf();
    const files = { "a.json": `{ "where": "a" }`, "b.json": `{ "where": "b" }` };
    await using gateway = await Gateway.start(config({ workers: 1, keys: keys.first, phases: PHASES }), { files });
    await lives(gateway, keys, async () => {});
    const told = said(gateway);
    expect(new Set(told.map(({ pid }) => pid)).size, "processes").toBeGreaterThanOrEqual(6);
    expect(new Set(told.map((line) => line["where"]))).toEqual(new Set([where]));
    for (const line of warnings(gateway)) expect(line["keys"]).toEqual(names);
    if (where === "nowhere") expect(await redis.cli("--raw", "KEYS", "restyconf:worker:*")).toBe("");
    if (where === "redis") expect(await other.cli("--raw", "KEYS", "restyconf:worker:*")).toBe("");
    expect(await gateway.stop()).toBe(0);
  });

  test("its number, and the bits that it has in ids", async () => {
    const keys = { first: "masterId: 1000, machineBits: 17,", next: "masterId: 3," };
    await using gateway = await Gateway.start(config({ workers: 1, keys: keys.first, phases: PHASES }));
    await lives(gateway, keys, async () => {});
    const told = said(gateway);
    expect(new Set(told.map(({ pid }) => pid)).size).toBeGreaterThanOrEqual(6);
    for (const { id, number, masterId } of told)
      expect({ id, masterId }).toEqual({ id: 10_000 + Number(number), masterId: 1000 });
    for (const line of warnings(gateway)) expect(line["keys"]).toEqual(["masterId", "machineBits"]);
    expect(await gateway.stop()).toBe(0);
  });

  test("its log", async () => {
    const keys = {
      first: `log: { access: "a.log" },`,
      next: `log: { access: "b.log", level: "error" },`,
      isReplaced: true,
    };
    await using gateway = await Gateway.start(config({ workers: 1, keys: keys.first, phases: PHASES }));
    const at = (name: string): string => join(gateway.folder, name);
    const lines = (): number => readFileSync(at("a.log"), "utf8").split("\n").length - 1;
    await lives(gateway, keys, async () => {
      const before = lines();
      await clients(gateway.port(), 12);
      await eventually(() => expect(lines()).toBeGreaterThanOrEqual(before + 12));
    });
    expect(existsSync(at("b.log"))).toBe(false);
    for (const line of warnings(gateway)) expect(line["keys"]).toEqual(["log"]);
    expect(await gateway.stop()).toBe(0);
  });

  test("its words to game servers", async () => {
    const keysOf = (name: string): string => `registry: "a.json", links: { codec: { name: "${name}",
      encode: () => { told({ frame: "${name}", pid: process.pid }); return Buffer.from("x"); },
      decode: () => ({ kind: "more", atLeast: 1 << 20 }) } },
      upstreams: { game: { peers: registry("game") } },`;
    const more = `import { registry } from "restyconf";`;
    const files = { "a.json": JSON.stringify({ "service:game:1": JSON.stringify({ address: peer.address }) }) };
    const first = config({ workers: 1, keys: keysOf("a"), phases: PHASES, more });
    await using gateway = await Gateway.start(first, { files });
    await lives(gateway, { first: keysOf("a"), next: keysOf("b"), more }, async () => {
      for (const { pid, socket } of await oneOfEach(gateway.port(), await workersOf(gateway))) {
        await gateway.line((line) => "frame" in line && line["pid"] === pid);
        socket.destroy();
      }
    });
    expect(gateway.log.filter((line) => line["frame"] === "b")).toEqual([]);
    for (const line of warnings(gateway)) expect(line["keys"]).toEqual(["links"]);
    expect(await gateway.stop()).toBe(0);
  });

  test.each([
    ["the same", "a", []],
    ["others", "b", ["links of the start are gone"]],
  ])("no words to game servers, where its code cannot run any more and what serves has %s", async (_, name, faults) => {
    const keys = (codec: string): string => `registry: "a.json", links: { codec: { name: "${codec}",
      encode: () => Buffer.from("x"), decode: () => ({ kind: "more", atLeast: 1 << 20 }) } },`;
    const first = config({ keys: keys("a"), more: `if (!there("key.txt")) throw new Error("no key");` });
    await using gateway = await Gateway.start(first, { files: { "key.txt": "" } });
    expect(await change(gateway, "SIGHUP", config({ keys: keys(name) }))).toMatchObject({ msg: GROWN });
    rmSync(join(gateway.folder, "key.txt"));
    expect(await tell(gateway, "replace")).toMatchObject({ code: 0 });
    expect((await clients(gateway.port())).map(({ generation }) => generation)).toEqual(Array(24).fill(2));
    const told = gateway.log.flatMap(({ msg }) => (msg === "links of the start are gone" ? [msg] : []));
    expect([...new Set(told)]).toEqual(faults);
  });
});

async function workersOf(gateway: Gateway): Promise<number> {
  const { workers }: { workers: { pid: number }[] } = JSON.parse((await tell(gateway, "status")).stdout);
  return workers.filter(({ pid }) => workers.length === 1 || pid !== gateway.process.pid).length;
}
