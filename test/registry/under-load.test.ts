import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { heartbeat } from "../../src/registry/heartbeat.ts";
import { openRegistry } from "../../src/registry/open-registry.ts";
import { registry as fromRegistry } from "../../src/upstream/discovery.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { eventually } from "../support/eventually.ts";
import { TestServer } from "../support/servers.ts";
import { connectInput, upstreamParts } from "../upstream/rig.ts";
import { RedisServer } from "./redis-server.ts";

const log = { info() {}, warn() {} };
/** So long a game server is known that says nothing. */
const TTL_MS = 4_000;
const limits = { connectTimeoutMs: 1_000, commandTimeoutMs: 1_000 };

let redis: RedisServer;
let open: (AsyncDisposable | { close(): Promise<void> })[];
beforeEach(async () => {
  open = [];
  redis = await RedisServer.start();
});
afterEach(async () => {
  for (const resource of open.reverse()) {
    if ("close" in resource) await resource.close();
    else await resource[Symbol.asyncDispose]();
  }
  await redis[Symbol.asyncDispose]();
});

/** A game server that echoes, and registers as the protocol says, only faster. */
async function gameServer(instance: string): Promise<TestServer> {
  const server = await TestServer.open((socket) => void socket.pipe(socket));
  const registry = await openRegistry({ redis: { url: redis.url, ...limits } }, { log });
  const value = JSON.stringify({ address: server.address });
  const beat = heartbeat(registry, () => ({ key: `service:game:${instance}`, value }), {
    ttlMs: TTL_MS,
    beatMs: 400,
    warn() {},
  });
  open.push(server, registry, beat);
  return server;
}

/** Sessions that come one after the other, and some that stay. */
class Load {
  sessions = 0;
  readonly failures: unknown[] = [];
  readonly lasting: Socket[] = [];
  readonly #upstream: Upstream;
  #isOver = false;
  readonly #running: Promise<void>;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#running;
    for (const socket of this.lasting) socket.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const socket = await this.#session().catch((cause: unknown) => void this.failures.push(cause));
      if (socket && this.sessions++ % 50 === 0) this.lasting.push(socket);
      else socket?.destroy();
      await sleep(2);
    }
  }

  async #session(): Promise<Socket> {
    using lease = await this.#upstream.connect(connectInput(), async ({ address }) => {
      const [host = "", port = ""] = address.split(":");
      const socket = connect(Number(port), host);
      await once(socket, "connect");
      return socket;
    });
    return await echoes(lease.value);
  }
}

async function echoes(socket: Socket): Promise<Socket> {
  socket.write("?");
  const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(5_000) });
  expect(String(answer)).toBe("?");
  return socket;
}

/** What may happen to a Redis that serves. */
const blows: readonly (readonly [string, (redis: RedisServer) => Promise<unknown>])[] = [
  [
    "killed and started again without its data",
    (redis) =>
      redis
        .kill()
        .then(() => sleep(TTL_MS + 500))
        .then(() => redis.start()),
  ],
  [
    "paused for longer than keys live",
    async (redis) => {
      redis.pause();
      await sleep(TTL_MS + 500);
      redis.resume();
    },
  ],
  ["emptied", (redis) => redis.cli("FLUSHALL")],
  ["restarted at once", (redis) => redis.kill().then(() => redis.start())],
  ["made to drop all connections", (redis) => redis.cli("CLIENT", "KILL", "SKIPME", "yes")],
];

describe("under load", () => {
  test.each(blows)("no session fails when Redis is %s", async (_, strike) => {
    const [first, second] = [await gameServer("a"), await gameServer("b")];
    const registry = await openRegistry({ redis: { url: redis.url, ...limits } }, { log });
    await eventually(async () => expect((await registry.list("service:game:")).size).toBe(2));
    const upstream = new Upstream("game", { peers: fromRegistry("game") }, upstreamParts({ source: registry }));
    open.push(registry, upstream);
    await upstream.ready();
    const load = new Load(upstream);
    open.push(load);
    await eventually(() => expect(load.sessions).toBeGreaterThan(100));
    await strike(redis);
    await sleep(2_500); // full syncs find keys missing, and servers register again
    const third = await gameServer("c");
    await eventually(() => expect(third.accepted).toBeGreaterThan(5)); // everything goes on, with new servers, too
    expect(load.failures).toEqual([]);
    expect(Math.min(first.accepted, second.accepted)).toBeGreaterThan(50);
    for (const socket of load.lasting) await echoes(socket);
  });
});
