import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { heartbeat } from "../../src/registry/heartbeat.ts";
import { openRegistry } from "../../src/registry/open-registry.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { RedisServer } from "../registry/redis-server.ts";
import { dialIn, exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";

// Redis is killed, stands still, comes back empty, while sessions come and go and the configuration and the processes change.

const TIMES = { connectTimeoutMs: 500, commandTimeoutMs: 300 };
const WORKERS = 2;
/** Longer than anything waits for a Redis that stands still: its log lines are there by then. */
const STRUCK_MS = 1_500;

let redis: RedisServer;
let peer: TestServer;
let registry: Registry;
let entry: AsyncDisposable;
let gateway: Gateway;

/** Everything that asks Redis while a session begins: peers, a cluster-wide limit, the worker's entry, ids. */
const config = (n: number): string => `
  import { defineGateway, otherwise, proxy, registry } from "restyconf";
  export default defineGateway({
    workers: ${WORKERS},
    redis: ${JSON.stringify({ url: redis.url, ...TIMES })},
    upstreams: { game: { peers: registry("game") } },
    servers: { edge: { listen: "127.0.0.1:0", preread: { timeoutMs: ${5_000 + n} }, routes: [otherwise(proxy("game"))],
      limits: [{ count: 1_000_000, windowMs: 60_000, per: "address", cluster: true }] } },
  });`;

beforeAll(async () => {
  redis = await RedisServer.start();
  peer = await echo();
  registry = await openRegistry({ redis: { url: redis.url, ...TIMES } }, { log: { info() {}, warn() {} } });
  const value = JSON.stringify({ address: peer.address, link: false });
  entry = heartbeat(registry, () => ({ key: "service:game:a", value }), { ttlMs: 10_000, beatMs: 300, warn() {} });
  gateway = await Gateway.start(config(0));
  await eventually(async () => expect(await exchange(gateway.port(), "?")).toBe("?"));
});
afterAll(async () => {
  for (const each of [gateway, entry, registry, redis, peer]) await each[Symbol.asyncDispose]();
});

async function ask(socket: Socket): Promise<void> {
  socket.write("?");
  const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) });
  expect(String(answer)).toBe("?");
}

/** Sessions that stay, and sessions that come and go. */
class Load implements AsyncDisposable {
  exchanges = 0;
  readonly faults: unknown[] = [];
  readonly #running: readonly Promise<void>[];
  #isOver = false;

  constructor() {
    this.#running = Array.from({ length: 12 }, (_, index) =>
      this.#play(index < 8).catch((cause) => void this.faults.push(cause)),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #play(stays: boolean): Promise<void> {
    let socket = await dialIn(gateway.port());
    for (; !this.#isOver; await sleep(5)) {
      await ask(socket);
      this.exchanges++;
      if (stays) continue;
      socket.destroy();
      socket = await dialIn(gateway.port());
    }
    socket.destroy();
  }
}

async function change(signal: NodeJS.Signals): Promise<LogLine> {
  const before = gateway.log.length;
  gateway.process.kill(signal);
  return gateway.line(
    (line) =>
      /^(?:reload|replacement) (?:done|failed)$/.test(String(line["msg"])) && gateway.log.indexOf(line) >= before,
  );
}

async function reload(n: number): Promise<LogLine> {
  writeFileSync(join(gateway.folder, "restyconf.config.ts"), config(n));
  return change("SIGHUP");
}

const keys = async (pattern: string): Promise<string[]> =>
  (await redis.cli("--scan", "--pattern", `restyconf:${pattern}`)).split("\n").filter(Boolean).sort();

/** What there is in Redis when all is well: an entry for each worker that takes new sessions, under the master's ids of today. */
async function allBack(): Promise<void> {
  await eventually(async () => {
    const workers = await keys("worker:*");
    expect(workers).toHaveLength(WORKERS);
    expect(await keys("master:*")).toHaveLength(1);
  }, 20_000);
}

describe("a Redis that", () => {
  const strikes: readonly [string, () => unknown, () => unknown][] = [
    ["is killed", () => redis.kill(), () => redis.start()],
    ["stands still", () => redis.pause(), () => redis.resume()],
    ["is emptied", () => redis.cli("FLUSHALL"), () => {}],
    [
      "is killed and comes back empty",
      async () => {
        await redis.kill();
        await redis.start();
      },
      () => {},
    ],
  ];
  test.each(strikes)(
    "%s ends no session, neither by itself nor in a reload or a replacement",
    async (_, strike, mend) => {
      await using load = new Load();
      await eventually(() => expect(load.exchanges).toBeGreaterThan(100));
      await strike();
      await sleep(STRUCK_MS);
      expect(await reload(1)).toMatchObject({ msg: "reload done" });
      const replaced = await change("SIGUSR2");
      const before = load.exchanges;
      await eventually(() => expect(load.exchanges).toBeGreaterThan(before + 100));
      await mend();
      if (replaced["msg"] === "replacement failed") {
        expect(replaced["reason"]).toMatch(/no lease of ids/);
        await eventually(
          async () => expect(await change("SIGUSR2")).toMatchObject({ msg: "replacement done" }),
          20_000,
        );
      }
      expect(await reload(0)).toMatchObject({ msg: "reload done" });
      await load[Symbol.asyncDispose]();
      await allBack();
      expect(load.faults).toEqual([]);
    },
    90_000,
  );
});
