import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { heartbeat } from "../../src/registry/heartbeat.ts";
import { openRegistry } from "../../src/registry/open-registry.ts";
import { Snowflake } from "../../src/shared/snowflake.ts";
import { RedisServer } from "../registry/redis-server.ts";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { GameServer } from "../support/game-server.ts";
import { Gateway } from "../support/gateway.ts";
import { run, shell } from "../support/programs.ts";
import { echo } from "../support/servers.ts";

// Several gateways on one Redis, with several game servers: docs/scaling.md, whose blocks are executed.

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const page = readFileSync(join(ROOT, "docs/scaling.md"), "utf8");
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"))].map(([, text = ""]) => text);

/** So long keys of game servers live: longer than a busy machine keeps one from its beat. */
const KEY_MS = 5_000;

const TIMES = { connectTimeoutMs: 2_000, commandTimeoutMs: 1_000 };

let redis: RedisServer;
let gateways: readonly [Gateway, Gateway];
let gameServers: readonly [GameServer, GameServer];
const open: AsyncDisposable[] = [];

/** At `chat` the first line is a tag, answered with the session's id; at `play` a game server answers. */
const config = (): string => `
  import { content, defineGateway, otherwise, proxy, registry } from "restyconf";
  const chat = content(async (session) => {
    const { data } = await session.reader.receive();
    session.ctx.tags = [String(data)];
    await session.write(session.id + "\\n");
    await session.reader.receive();
  });
  export default defineGateway({
    redis: ${JSON.stringify({ url: redis.url, ...TIMES })},
    upstreams: { game: { peers: registry("game") } },
    servers: {
      chat: { listen: "127.0.0.1:0", routes: [otherwise(chat)] },
      play: { listen: "127.0.0.1:0", routes: [otherwise(proxy("game"))] },
    },
  });`;

/** A game server that plays by echoing, and registers as docs/registry.md says, only more often. */
async function gameServer(instance: string): Promise<GameServer> {
  const peer = await echo();
  const server = new GameServer();
  const registry = await openRegistry({ redis: { url: redis.url, ...TIMES } }, { log: { info() {}, warn() {} } });
  const value = JSON.stringify({ address: peer.address, link: await server.address() });
  const kept = () => ({ key: `service:game:${instance}`, value });
  open.push(peer, server, registry, heartbeat(registry, kept, { ttlMs: KEY_MS, beatMs: 500, warn() {} }));
  return server;
}

async function keys(pattern: string): Promise<string[]> {
  return (await redis.cli("--scan", "--pattern", `restyconf:${pattern}`)).split("\n").filter(Boolean).sort();
}

interface Chat {
  readonly socket: Socket;
  readonly session: string;
}

async function chat(gateway: Gateway, tag: string): Promise<Chat> {
  const socket = await dialIn(gateway.port("chat"));
  socket.write(`${tag}\n`);
  return { socket, session: (await readUntil(socket, (text) => text.endsWith("\n"))).trim() };
}

const workerOf = (session: string): number => new Snowflake({ machineId: 0 }).decode(session).machineId;

beforeAll(async () => {
  redis = await RedisServer.start();
  open.push(redis);
  gameServers = [await gameServer("a"), await gameServer("b")];
  gateways = [await Gateway.start(config(), { ports: 2 }), await Gateway.start(config(), { ports: 2 })];
  open.push(...gateways);
  for (const server of gameServers) await server.heard({ type: "hello" }, 2);
});

afterAll(async () => {
  for (const each of open.reverse()) await each[Symbol.asyncDispose]();
});

/** The list that any program may read. */
async function listed(): Promise<unknown[]> {
  const found = await keys("worker:*");
  return Promise.all(found.map(async (key) => JSON.parse(await redis.cli("GET", key))));
}

describe("two gateways on one Redis", () => {
  test("are one list, under ids that nobody else has, and tell both game servers of them", async () => {
    const expected = gateways.map(({ process, addresses }, id) =>
      expect.objectContaining({ id: 10 * id, pid: process.pid, address: addresses[0] }),
    );
    await eventually(async () => expect(await listed()).toEqual(expected));
    const [scan = ""] = blocks("sh");
    const [line = "", ...prints] = scan.trim().split("\n");
    const printed = await shell(line.replace("$ redis-cli", `redis-cli -p ${redis.port}`));
    expect(printed.stdout.trim().split("\n").sort()).toEqual(prints);
    for (const server of gameServers) {
      const hellos = await server.heard({ type: "hello" }, 2);
      expect(hellos.map(({ worker }) => worker).sort()).toEqual([0, 10]);
    }
  });

  test("make ids of sessions that are unique among both, and tell whose they are", async () => {
    const chats = await Promise.all(
      Array.from({ length: 40 }, async (_, index) => ({
        at: index % 2,
        ...(await chat(gateways[index % 2 ? 1 : 0], "x")),
      })),
    );
    for (const { socket } of chats) socket.destroy();
    expect(new Set(chats.map(({ session }) => session)).size).toBe(40);
    for (const { at, session } of chats) expect(workerOf(session)).toBe(at * 10);
    const [, read = ""] = /`(Number\(.*?)`/.exec(page) ?? [];
    for (const { at, session } of chats.slice(0, 2))
      expect(new Function("id", `return ${read}`)(session)).toBe(at * 10);
  });

  test("let each game server kick a session of either", async () => {
    for (const [index, server] of gameServers.entries())
      for (const gateway of gateways) {
        const { socket, session } = await chat(gateway, `kicked by ${index}`);
        const answers = await server.ask({ type: "kick", session }, 2);
        expect(answers.map(({ type }) => type).sort()).toEqual(["done", "refused"]);
        expect(answers).toContainEqual(expect.objectContaining({ type: "refused", reason: "no such session" }));
        await readAll(socket);
        expect(await gateway.access((line) => line["session"] === session)).toMatchObject({ end_cause: "killed" });
      }
  });

  test("let one game server speak to all sessions with a tag, at both", async () => {
    const eu = await Promise.all(gateways.map((gateway) => chat(gateway, "eu")));
    const us = await chat(gateways[1], "us");
    const [server] = gameServers;
    const answers = await server.ask({ type: "broadcast", tag: "eu", data: "hello eu\n" }, 2);
    expect(answers.map(({ sessions, refused }) => [sessions, refused])).toEqual([
      [1, 0],
      [1, 0],
    ]);
    for (const { socket } of eu) expect(await readUntil(socket, (text) => text.endsWith("\n"))).toBe("hello eu\n");
    await server.ask({ type: "broadcast", tag: "us", data: "hello us\n" }, 2);
    expect(await readUntil(us.socket, (text) => text.endsWith("\n"))).toBe("hello us\n");
    for (const { socket } of [...eu, us]) socket.destroy();
  });

  test("lose no session when Redis is killed under load; ids and the lists come back", async () => {
    const load = new Load(gateways);
    await eventually(() => expect(load.exchanges).toBeGreaterThan(200));
    await redis.kill();
    for (const gateway of gateways) await gateway.line((line) => line["msg"] === "redis is away");
    const before = load.exchanges;
    await sleep(KEY_MS + 500); // longer than game servers' keys live
    await eventually(() => expect(load.exchanges - before).toBeGreaterThan(200));
    const away = await Promise.all(gateways.map((gateway) => chat(gateway, "away")));
    expect(away.map(({ session }) => workerOf(session))).toEqual([0, 10]);

    await redis.start();
    await eventually(async () => expect(await keys("worker:*")).toHaveLength(2));
    await eventually(async () => expect(await keys("master:*")).toEqual(["restyconf:master:0", "restyconf:master:1"]));
    await eventually(async () => expect(await keys("service:game:*")).toHaveLength(2));
    await sleep(1_800); // two full syncs
    await load.stop();
    expect(load.failures).toEqual([]);
    const back = await Promise.all(gateways.map((gateway) => chat(gateway, "back")));
    expect(back.map(({ session }) => workerOf(session))).toEqual([0, 10]);
    const answers = await gameServers[1].ask({ type: "kick", session: back[0]?.session ?? "" }, 2);
    expect(answers.map(({ type }) => type).sort()).toEqual(["done", "refused"]); // the links were never broken
    for (const server of gameServers) expect(server.frames.filter(({ type }) => type === "goodbye")).toEqual([]);
    for (const { socket } of [...away, ...back]) socket.destroy();
  }, 60_000);
});

test.each(blocks("ts").map((text, place) => [place + 1, text]))(
  "the page's configuration %i is a right one",
  async (_, text) => {
    const folder = mkdtempSync(join(tmpdir(), "restyconf-scaling-"));
    const path = join(folder, "restyconf.config.ts");
    writeFileSync(path, String(text));
    const checked = await run(process.execPath, [join(ROOT, "dist/cli.js"), "check", path]);
    rmSync(folder, { recursive: true });
    expect(checked).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ok /) });
  },
);

/** Sessions through both gateways to both game servers: twenty that stay, and others that come and go. */
class Load {
  exchanges = 0;
  readonly failures: unknown[] = [];
  readonly #gateways: readonly Gateway[];
  readonly #running: readonly Promise<void>[];
  #isOver = false;

  constructor(gateways: readonly Gateway[]) {
    this.#gateways = gateways;
    this.#running = Array.from({ length: 24 }, (_, index) => this.#play(index, index < 20));
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#running);
  }

  async #play(index: number, stays: boolean): Promise<void> {
    const port = this.#gateways[index % this.#gateways.length]?.port("play") ?? 0;
    try {
      let socket = await dialIn(port);
      for (; !this.#isOver; await sleep(10)) {
        await this.#exchange(socket);
        if (stays) continue;
        socket.destroy();
        socket = await dialIn(port);
      }
      socket.destroy();
    } catch (cause) {
      this.failures.push(cause);
    }
  }

  async #exchange(socket: Socket): Promise<void> {
    socket.write("?");
    const [answer] = await once(socket, "data", { signal: AbortSignal.timeout(10_000) });
    expect(String(answer)).toBe("?");
    this.exchanges++;
  }
}
