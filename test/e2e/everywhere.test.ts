import type { Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { type Ran, run } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";

// Hooks and the command line reach sessions of all workers of all gateways.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

/** At `chat` a line is a command for `worker.sessions`, answered with JSON; the first line is a tag, answered with id and worker. */
const config = (peer: TestServer, shared: string): string => `
  import { content, defineGateway, otherwise, proxy } from "restyconf";
  const chat = content(async (session) => {
    const { sessions, id } = session.worker;
    const first = await session.reader.receive();
    session.ctx.tags = [String(first.data)];
    await session.write(session.id + " " + id + "\\n");
    for (let line = await session.reader.receive(); line.data; line = await session.reader.receive()) {
      const [word, whom, ...text] = String(line.data).split(" ");
      const ask = { kick: () => sessions.kick(whom), push: () => sessions.push(whom, text.join(" ") + "\\n"),
        broadcast: () => sessions.broadcast(whom, text.join(" ") + "\\n") };
      await session.write(JSON.stringify(await ask[word]()) + "\\n");
    }
  });
  export default defineGateway({
    ${shared}
    workers: 2,
    upstreams: { echo: { peers: ["${peer.address}"] } },
    servers: {
      chat: { listen: "127.0.0.1:0", routes: [otherwise(chat)] },
      raw: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))] },
    },
  });`;

function tell(gateway: Gateway, ...words: readonly string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

async function rows(gateway: Gateway, command: string): Promise<Record<string, unknown>[]> {
  const { stdout } = await tell(gateway, command);
  return stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

interface Chat {
  readonly socket: Socket;
  readonly session: string;
  readonly worker: number;
}

async function line(socket: Socket): Promise<string> {
  return (await readUntil(socket, (text) => text.endsWith("\n"))).trim();
}

async function askOnce(socket: Socket, command: string): Promise<Readonly<Record<string, unknown>>> {
  socket.write(`${command}\n`);
  return JSON.parse(await line(socket));
}

/** A worker that is busy for a second does what it is asked, and is too late to say so: whoever wants to know asks again. */
function ask(socket: Socket, command: string): Promise<Readonly<Record<string, unknown>>> {
  return eventually(async () => {
    const answer = await askOnce(socket, command);
    expect(answer["err"]).not.toBe("no answer");
    expect(answer["silent"] ?? 0).toBe(0);
    return answer;
  });
}

/** The same for what can be done but once. */
async function kick(socket: Socket, session: string): Promise<Readonly<Record<string, unknown>>> {
  const first = await askOnce(socket, `kick ${session}`);
  if (first["err"] !== "no answer") return first;
  const again = await ask(socket, `kick ${session}`);
  return again["err"] === "no such session" ? { ok: true } : again;
}

/** Reads what was pushed, more than once where its pusher has asked again. */
async function pushed(socket: Socket): Promise<string> {
  const lines = new Set((await line(socket)).split("\n"));
  return [...lines].join("\n");
}

async function chat(gateway: Gateway, tag: string): Promise<Chat> {
  const socket = await dialIn(gateway.port("chat"));
  socket.write(`${tag}\n`);
  const [session = "", worker] = (await line(socket)).split(" ");
  return { socket, session, worker: Number(worker) };
}

/** Ends a session that nobody needs, so that it is among those of a tag no more. */
async function left(gateway: Gateway, { socket, session }: Chat): Promise<void> {
  socket.destroy();
  await gateway.access((one) => one["session"] === session);
}

/** One session at each of a gateway's workers. */
async function chats(gateway: Gateway, tag: string): Promise<readonly [Chat, Chat]> {
  const found = new Map<number, Chat>();
  await eventually(async () => {
    const one = await chat(gateway, tag);
    if (found.has(one.worker)) await left(gateway, one);
    else found.set(one.worker, one);
    expect(found.size).toBe(2);
  });
  const [first, second] = [...found.values()];
  if (!first || !second) throw new Error("two workers");
  return [first, second];
}

describe("two gateways of two workers on one Redis", () => {
  const open: AsyncDisposable[] = [];
  let redis: RedisServer;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    redis = await RedisServer.start();
    const peer = await echo();
    const times = { url: redis.url, connectTimeoutMs: 2_000, commandTimeoutMs: 1_000 };
    const start = () => Gateway.start(config(peer, `redis: ${JSON.stringify(times)},`), { ports: 2 });
    [a, b] = [await start(), await start()];
    open.push(redis, peer, a, b);
  });
  afterAll(async () => {
    for (const each of open.reverse()) await each[Symbol.asyncDispose]();
  });

  test("are one list, which each of them prints", async () => {
    for (const gateway of [a, b]) await eventually(async () => expect(await rows(gateway, "gateways")).toHaveLength(4));
    const [own, other] = [await rows(a, "gateways"), await rows(b, "gateways")];
    expect(own.map(({ id }) => id)).toEqual([0, 1, 10, 11]);
    expect(other.map(({ id, pid }) => [id, pid])).toEqual(own.map(({ id, pid }) => [id, pid]));
    expect(own.map(({ address }) => address)).toEqual([a, a, b, b].map(({ addresses }) => addresses[0]));
  });

  test("a hook kicks a session, and pushes to it, wherever it is", async () => {
    const [[here, sibling], [there, far]] = [await chats(a, "x"), await chats(b, "x")];
    for (const { socket, session } of [sibling, there, far]) {
      expect(await ask(here.socket, `push ${session} hello ${session}`)).toEqual({ ok: true });
      expect(await pushed(socket)).toBe(`hello ${session}`);
      expect(await kick(here.socket, session)).toEqual({ ok: true });
      await readAll(socket);
      expect(await ask(here.socket, `kick ${session}`)).toEqual({ err: "no such session" });
    }
    expect(await b.access((one) => one["session"] === far.session)).toMatchObject({ end_cause: "killed" });
    here.socket.destroy();
  });

  test("what cannot be pushed to is refused in the words of links, though it is elsewhere", async () => {
    const here = await chat(a, "x");
    const raw = await dialIn(b.port("raw"));
    raw.write("?");
    await readUntil(raw, (text) => text === "?");
    const [row] = (await rows(b, "sessions")).filter(({ server }) => server === "raw");
    expect(await ask(here.socket, `push ${row?.["session"]} no`)).toEqual({ err: "relayed without filters" });
    expect(await kick(here.socket, String(row?.["session"]))).toEqual({ ok: true });
    await readAll(raw);
    for (const socket of [here.socket, raw]) socket.destroy();
  });

  test("a broadcast reaches all with the tag, and counts them", async () => {
    const eu = [...(await chats(a, "eu")), ...(await chats(b, "eu"))];
    const us = await chat(b, "us");
    expect(await ask(us.socket, "broadcast eu hello all")).toEqual({ sessions: 4, refused: 0, silent: 0 });
    for (const { socket } of eu) expect(await pushed(socket)).toBe("hello all");
    expect(await ask(us.socket, "broadcast nobody hello")).toEqual({ sessions: 0, refused: 0, silent: 0 });
    for (const { socket } of [...eu, us]) socket.destroy();
  });

  test("the command line kills a session at whichever gateway it is", async () => {
    const [there] = await chats(b, "x");
    expect(await tell(a, "kill", there.session)).toMatchObject({ code: 0, stdout: `killed ${there.session}\n` });
    await readAll(there.socket);
    expect(await tell(a, "kill", there.session)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`no session is called ${there.session}`),
    });
  });

  test("a gateway that stands still is not waited for longer than a second", async () => {
    const here = await chat(a, "eu");
    const [there] = await chats(b, "eu");
    const workers = JSON.parse((await tell(b, "status")).stdout).workers as { pid: number }[];
    for (const { pid } of workers) process.kill(pid, "SIGSTOP");
    try {
      const began = performance.now();
      const { silent, ...rest } = await askOnce(here.socket, "broadcast us hello");
      expect(rest).toEqual({ sessions: 0, refused: 0 });
      expect(silent).toBeGreaterThanOrEqual(2); // and whoever is busy
      expect(await askOnce(here.socket, `push ${there.session} hello`)).toEqual({ err: "no answer" });
      expect(performance.now() - began).toBeLessThan(8_000); // a second each, and what a busy machine adds
    } finally {
      for (const { pid } of workers) process.kill(pid, "SIGCONT");
    }
    for (const { socket } of [here, there]) socket.destroy();
  });

  test("while Redis is away, the sessions of the own gateway are reached", async () => {
    const [here, sibling] = await chats(a, "eu");
    const [there] = await chats(b, "eu");
    await redis.kill();
    await a.line(({ msg }) => msg === "redis is away");
    expect(await ask(here.socket, `push ${sibling.session} hello`)).toEqual({ ok: true });
    expect(await pushed(sibling.socket)).toBe("hello");
    expect(await askOnce(here.socket, "broadcast us hello")).toMatchObject({ sessions: 0, refused: 0 });
    expect(await askOnce(here.socket, `kick ${there.session}`)).toEqual({ err: "no answer" });
    await redis.start();
    expect(await ask(here.socket, `push ${there.session} hello`)).toEqual({ ok: true }); // there and back
    expect(await kick(here.socket, there.session)).toEqual({ ok: true });
    for (const { socket } of [here, sibling, there]) socket.destroy();
  }, 60_000);
});

test("without Redis the workers of one gateway reach each other's sessions, and are the list", async () => {
  await using peer = await echo();
  await using gateway = await Gateway.start(config(peer, 'stateDir: "state",'), { ports: 2 });
  const [here, sibling] = await chats(gateway, "eu");
  expect(await ask(here.socket, "broadcast us hello")).toEqual({ sessions: 0, refused: 0, silent: 0 });
  expect(await ask(here.socket, `push ${sibling.session} hello`)).toEqual({ ok: true });
  expect(await pushed(sibling.socket)).toBe("hello");
  expect((await rows(gateway, "gateways")).map(({ id }) => id)).toEqual([0, 1]);
  expect(await tell(gateway, "kill", sibling.session)).toMatchObject({ code: 0 });
  here.socket.destroy();
  sibling.socket.destroy();
});
