import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { shell } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";
import { freePorts } from "../support/service.ts";

const root = new URL("../../", import.meta.url);
const path = (name: string): string => fileURLToPath(new URL(name, root));
const CLIENTS = [
  { name: "Node", command: [process.execPath, path("examples/link-client.mjs")] },
  { name: "Python", command: ["python3", path("examples/link_client.py")] },
];
const [NODE] = CLIENTS;

type Frame = Readonly<Record<string, unknown>>;

/** A game server in a process of its own: one of the examples. */
class GameServer implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly frames: Frame[] = [];

  constructor(command: readonly string[], port = 0) {
    const [program = "", ...args] = command;
    this.process = spawn(program, [...args, String(port)], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.process.stdout)
      createInterface({ input: this.process.stdout }).on("line", (line) => this.frames.push(JSON.parse(line)));
  }

  /** Its port, once it listens. */
  port(): Promise<number> {
    return eventually(() => {
      expect(this.frames[0]).toHaveProperty("port");
      return Number(this.frames[0]?.["port"]);
    });
  }

  say(frame: Frame): void {
    this.process.stdin?.write(`${JSON.stringify(frame)}\n`);
  }

  /** Waits for the n-th frame that fits. */
  heard(fits: Frame, count = 1): Promise<Frame> {
    return eventually(() => {
      const found = this.frames.filter((frame) => Object.entries(fits).every(([key, value]) => frame[key] === value));
      expect(found.length, JSON.stringify({ fits, frames: this.frames })).toBeGreaterThanOrEqual(count);
      return found[count - 1] ?? {};
    });
  }

  /** Asks, and waits for the answer. */
  ask(frame: Frame): Promise<Frame> {
    const id = `q${this.#asked++}`;
    this.say({ ...frame, id });
    return this.heard({ id });
  }

  #asked = 0;

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}

/** A registry in a folder, which gateways read. */
class Folder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "restyconf-links-"));

  register(instance: string, value: object): void {
    writeFileSync(join(this.path, `service:game:${instance}`), JSON.stringify(value));
  }

  unregister(instance: string): void {
    unlinkSync(join(this.path, `service:game:${instance}`));
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Three servers: one talks itself, one relays through a filter, one relays without. */
const config = (peer: TestServer, registry: string, workers: number): string => `
import { content, defineGateway, otherwise, proxy, registry } from "restyconf";
const chat = content(async (session) => {
  for (;;) {
    const { data } = await session.reader.receive();
    if (data === undefined) return;
    const [word, text] = data.toString().split(" ");
    if (word === "tag") session.ctx.tags = [text];
    if (word === "tell") session.worker.links.send(text, { session: session.id });
    await session.write("ok\\n");
  }
});
const pass = { bodyFilter: { client: (chunk) => chunk } };
export default defineGateway({
  workers: ${workers},
  registry: ${JSON.stringify(registry)},
  upstreams: { echo: { peers: ["${peer.address}"] }, game: { peers: registry("game") } },
  servers: {
    chat: { listen: "127.0.0.1:0", routes: [otherwise(chat)] },
    filtered: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))], phases: pass },
    raw: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))] },
    play: { listen: "127.0.0.1:0", routes: [otherwise(proxy("game"))] },
  },
  phases: {
    initWorker: ({ links, signal }) =>
      void links.onMessage((data, from) => links.send(from.address, { heard: data }), { signal }),
  },
});`;

interface Started extends AsyncDisposable {
  readonly gateway: Gateway;
  readonly folder: Folder;
  /** Another gateway with the same configuration. */
  again(): Promise<Gateway>;
}

/** A registry, a gateway, and what it relays to. */
async function started(workers = 1): Promise<Started> {
  const folder = new Folder();
  const peer = await echo();
  const open: AsyncDisposable[] = [peer];
  const again = async (): Promise<Gateway> => {
    const gateway = await Gateway.start(config(peer, folder.path, workers), { ports: 4 });
    open.push(gateway);
    return gateway;
  };
  const close = async (): Promise<void> => {
    for (const each of open.reverse()) await each[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  };
  return { gateway: await again(), folder, again, [Symbol.asyncDispose]: close };
}

/** The session of the server's only client. */
async function sessionOf(server: GameServer, at: string): Promise<string> {
  return eventually(async () => {
    const { sessions } = await server.ask({ type: "sessions" });
    const rows = (sessions as Frame[]).filter((row) => row["server"] === at);
    expect(rows).toHaveLength(1);
    return String(rows[0]?.["session"]);
  });
}

describe.each(CLIENTS)("a game server in $name", ({ command }) => {
  test("is told who we are, and reaches the sessions: push, broadcast by tag, list, kick", async () => {
    await using rig = await started();
    await using server = new GameServer(command);
    rig.folder.register("one", { address: "127.0.0.1:1", link: `127.0.0.1:${await server.port()}` });
    const { address, ...hello } = await server.heard({ type: "hello" });
    expect(hello).toEqual({ type: "hello", worker: 0, master: 0, version: 1 });
    expect(rig.gateway.addresses).toContain(address);

    const client = await dialIn(rig.gateway.port("chat"));
    client.write("tag eu\n");
    expect(await readUntil(client, (text) => text.endsWith("\n"))).toBe("ok\n");
    const session = await sessionOf(server, "chat");
    expect(await server.ask({ type: "push", session, data: "grüß\n" })).toMatchObject({ type: "done" });
    expect(Buffer.from(await readUntil(client, (text) => text.endsWith("\n")), "latin1").toString()).toBe("grüß\n");

    expect(await server.ask({ type: "broadcast", tag: "us", data: "no" })).toMatchObject({ sessions: 0, refused: 0 });
    expect(await server.ask({ type: "broadcast", tag: "eu", data: "yes\n" })).toMatchObject({
      sessions: 1,
      refused: 0,
    });
    expect(await readUntil(client, (text) => text.endsWith("\n"))).toBe("yes\n");

    const page = await server.ask({ type: "sessions", tag: "eu", limit: 1 });
    expect(page["sessions"]).toMatchObject([{ session, server: "chat", remote_addr: "127.0.0.1", tags: ["eu"] }]);
    expect(await server.ask({ type: "sessions", after: page["next"] })).toMatchObject({ sessions: [] });

    expect(await server.ask({ type: "kick", session })).toMatchObject({ type: "done" });
    await readAll(client);
    expect(await rig.gateway.access()).toMatchObject({ session, end_cause: "killed" });
    expect(await server.ask({ type: "kick", session })).toMatchObject({ type: "refused", reason: "no such session" });
  });

  test("speaks with hooks, and is told what it says wrong", async () => {
    await using rig = await started();
    await using server = new GameServer(command);
    const link = `127.0.0.1:${await server.port()}`;
    rig.folder.register("one", { address: link });
    await server.heard({ type: "hello" });
    server.say({ type: "message", data: { score: [1, -2, 3.5, null, true, "x".repeat(300), 70_000, -70_000] } });
    const { data } = await server.heard({ type: "message" });
    expect(data).toEqual({ heard: { score: [1, -2, 3.5, null, true, "x".repeat(300), 70_000, -70_000] } });
    const client = await dialIn(rig.gateway.port("chat"));
    client.write(`tell ${link}\n`);
    expect(await server.heard({ type: "message" }, 2)).toHaveProperty("data.session");
    client.destroy();
    expect(await server.ask({ type: "dance" })).toMatchObject({ type: "refused", reason: 'unknown type "dance"' });
    await server.heard({ type: "ping" });
  });

  test("bans a session's address and takes that back", async () => {
    await using rig = await started();
    await using server = new GameServer(command);
    rig.folder.register("one", { address: "127.0.0.1:1", link: `127.0.0.1:${await server.port()}` });
    await server.heard({ type: "hello" });
    const client = await dialIn(rig.gateway.port("chat"));
    client.write("hello\n");
    await readUntil(client, (text) => text.endsWith("\n"));
    const session = await sessionOf(server, "chat");
    expect(await server.ask({ type: "ban", session, reason: "aimbot" })).toMatchObject({ type: "done" });
    await readAll(client);
    const refused = await dialIn(rig.gateway.port("chat"));
    expect(await readAll(refused)).toHaveLength(0);
    const unban = { type: "unban", whom: "127.0.0.1" };
    expect(await server.ask(unban)).toMatchObject({ type: "done" });
    const again = await dialIn(rig.gateway.port("chat"));
    again.write("hello\n");
    expect(await readUntil(again, (text) => text.endsWith("\n"))).toBe("ok\n");
    expect(await server.ask(unban)).toMatchObject({ type: "refused", reason: "no such ban" });
    for (const socket of [client, refused, again]) socket.destroy();
  });

  test("that is killed and comes back is told anew", async () => {
    await using rig = await started();
    const [port = 0] = await freePorts(1); // which no client may have got when the second one wants it
    const first = new GameServer(command, port);
    await first.port();
    rig.folder.register("one", { address: `127.0.0.1:${port}` });
    await first.heard({ type: "hello" });
    await first[Symbol.asyncDispose]();
    await using second = new GameServer(command, port);
    await second.heard({ type: "hello" });
  });
});

test("bytes are pushed between those of a filter; a session that is relayed without one takes none", async () => {
  await using rig = await started();
  await using server = new GameServer(NODE?.command ?? []);
  rig.folder.register("one", { address: `127.0.0.1:${await server.port()}` });
  await server.heard({ type: "hello" });
  const filtered = await dialIn(rig.gateway.port("filtered"));
  filtered.write("one ");
  expect(await readUntil(filtered, (text) => text.length === 4)).toBe("one ");
  await server.ask({ type: "push", session: await sessionOf(server, "filtered"), data: "pushed " });
  expect(await readUntil(filtered, (text) => text.length === 7)).toBe("pushed ");
  filtered.end("two");
  expect((await readAll(filtered)).toString()).toBe("two");

  const raw = await dialIn(rig.gateway.port("raw"));
  raw.write("one");
  await readUntil(raw, (text) => text.length === 3);
  const session = await sessionOf(server, "raw");
  const refused = { type: "refused", session, reason: "relayed without filters" };
  expect(await server.ask({ type: "push", session, data: "no" })).toMatchObject(refused);
  expect(await server.ask({ type: "broadcast", tag: "*", data: "no" })).toMatchObject({ sessions: 0, refused: 1 });
  raw.end();
  expect(await readAll(raw)).toHaveLength(0);
});

test("a client that does not read is refused pushes before they fill the memory", async () => {
  await using rig = await started();
  await using server = new GameServer(NODE?.command ?? []);
  rig.folder.register("one", { address: `127.0.0.1:${await server.port()}` });
  await server.heard({ type: "hello" });
  for (const at of ["chat", "filtered"]) {
    const client = await dialIn(rig.gateway.port(at));
    client.write("hi\n");
    await readUntil(client, (text) => text.endsWith("\n"));
    client.pause();
    const session = await sessionOf(server, at);
    const data = "x".repeat(60_000);
    await eventually(async () => {
      expect(await server.ask({ type: "push", session, data })).toMatchObject({ type: "refused", reason: "slow" });
    }, 20_000);
    client.destroy();
  }
});

test("a game server that stands still is found out, and linked to again when it goes on", async () => {
  await using rig = await started();
  await using server = new GameServer(NODE?.command ?? []);
  const link = `127.0.0.1:${await server.port()}`;
  rig.folder.register("one", { address: link });
  await server.heard({ type: "hello" });
  server.process.kill("SIGSTOP");
  const fits = ({ msg, reason }: LogLine): boolean =>
    msg === "link lost" && String(reason).startsWith("no answer to a ping");
  await rig.gateway.line(fits);
  server.process.kill("SIGCONT");
  await server.heard({ type: "hello" }, 2);
  expect(await server.ask({ type: "sessions" })).toMatchObject({ sessions: [] });
}, 60_000); // the heartbeat takes 15 s

test("a gateway that stops says goodbye; one that is killed announces itself when it is back", async () => {
  await using rig = await started();
  await using server = new GameServer(NODE?.command ?? []);
  rig.folder.register("one", { address: `127.0.0.1:${await server.port()}` });
  await server.heard({ type: "hello" });
  await rig.gateway.stop("SIGKILL");
  const second = await rig.again();
  await server.heard({ type: "hello" }, 2);
  expect(await second.stop("SIGTERM")).toBe(0);
  expect(await server.heard({ type: "goodbye" })).toMatchObject({ reason: "shutdown" });
  expect(server.frames.filter(({ type }) => type === "goodbye")).toHaveLength(1);
});

test("each worker has its own link, and a server that leaves the registry has none", async () => {
  await using rig = await started(2);
  await using server = new GameServer(NODE?.command ?? []);
  rig.folder.register("one", { address: `127.0.0.1:${await server.port()}` });
  await server.heard({ type: "hello", worker: 0 });
  await server.heard({ type: "hello", worker: 1 });
  rig.folder.unregister("one");
  await server.heard({ type: "goodbye", reason: "not in the registry" }, 2);
});

test("a reload leaves links as they are, and hooks hear through the new configuration", async () => {
  await using rig = await started();
  await using server = new GameServer(NODE?.command ?? []);
  rig.folder.register("one", { address: `127.0.0.1:${await server.port()}` });
  await server.heard({ type: "hello" });
  rig.gateway.process.kill("SIGHUP");
  await rig.gateway.line(({ msg }) => msg === "reload done");
  server.say({ type: "message", data: 1 });
  expect(await server.heard({ type: "message" })).toMatchObject({ data: { heard: 1 } });
  expect(server.frames.filter(({ type }) => type === "hello")).toHaveLength(1);
});

test("docs/link.md: its lines link a game server by Redis", async () => {
  const page = readFileSync(path("docs/link.md"), "utf8");
  const [, serve = "", register = ""] = /^\$ (node .*)\n\$ (redis-cli .*)$/m.exec(page) ?? [];
  const [shown = ""] = /^\{"type":"hello".*\}$/m.exec(page) ?? [];
  await using redis = await RedisServer.start();
  await using peer = await echo();
  await using server = new GameServer([process.execPath, path(serve.split(" ")[1] ?? "")]);
  const port = await server.port();
  await shell(register.replace("redis-cli", `redis-cli -p ${redis.port}`).replace("7100", String(port)));
  await using gateway = await Gateway.start(`
    import { defineGateway, otherwise, proxy, registry } from "restyconf";
    export default defineGateway({
      redis: "${redis.url}",
      upstreams: { echo: { peers: ["${peer.address}"] }, game: { peers: registry("game") } },
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("game"))] } } });`);
  const hello = await server.heard({ type: "hello" });
  expect(Object.keys(hello)).toEqual(Object.keys(JSON.parse(shown)));
  expect(hello["address"]).toBe(gateway.addresses[0]);
});
