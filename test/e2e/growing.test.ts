import { existsSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialTls } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";
import {
  ask,
  change,
  clients,
  config,
  gone,
  type Held,
  isAlive,
  load,
  oneOfEach,
  put,
  write,
} from "../support/workers.ts";

// One process becomes several by a reload: nobody is refused, and sessions stay where they are.

const GROWN = "reload done";

/** Counts in memory that all workers share, and answers with the sum. */
const COUNTS = `counts: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
  for (;;) {
    const { err } = await session.reader.receive();
    if (err) return;
    await session.write(session.worker.shared.counters.incr("all", 1, 0).value + "\\n");
  }
}))] },`;
const SHARED = 'shared: { counters: "1m" },';

async function hold(dial: Promise<Socket>): Promise<Held> {
  const socket = await dial;
  return { ...(await ask(socket)), socket };
}

async function dialAt(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(socket)).once("error", reject);
  });
}

async function count(socket: Socket): Promise<number> {
  const answered = new Promise<string>((resolve) => socket.once("data", (bytes) => resolve(String(bytes))));
  socket.write("\n");
  return Number(await answered);
}

describe("one process becomes several", () => {
  test("under load, plain and TLS: nobody is refused or reset, and sessions stay with the one that was alone until they end", async () => {
    const files = await certificateFiles();
    const secure = `secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(talk)] },`;
    await using gateway = await Gateway.start(config({ workers: 1, servers: secure }), { ports: 2, files });
    const old = [await hold(dialAt(gateway.port())), await hold(dialTls(gateway.port("secure")))];
    const stops = [load(gateway.port()), load(() => dialTls(gateway.port("secure")))];
    expect(await change(gateway, "SIGHUP", config({ workers: 3, servers: secure }))).toMatchObject({ msg: GROWN });
    const held = await oneOfEach(gateway.port(), 3);
    for (const stop of stops) expect(await stop()).toBeGreaterThan(5);
    for (const { socket, pid } of old) {
      expect(pid).toBe(gateway.process.pid);
      expect(await ask(socket)).toMatchObject({ number: 0, pid, generation: 1, text: "x" });
    }
    expect(new Set([gateway.process.pid, ...held.map(({ pid }) => pid)]).size).toBe(4);
    expect(held.map(({ number, generation }) => [number, generation])).toEqual([0, 1, 2].map((number) => [number, 2]));
    const status = async (): Promise<{ pid: number; sessions: number }[]> =>
      JSON.parse((await tell(gateway, "status")).stdout).workers;
    expect((await status()).find(({ pid }) => pid === gateway.process.pid)).toMatchObject({ sessions: 2 });
    for (const { socket } of old) socket.end();
    await eventually(async () => expect((await status()).map(({ pid }) => pid)).not.toContain(gateway.process.pid));
    for (const { pid } of await clients(gateway.port())) expect(pid).not.toBe(gateway.process.pid);
    for (const { socket } of held) socket.destroy();
    expect(await gateway.stop()).toBe(0);
    for (const { pid } of held) expect(isAlive(pid)).toBe(false);
  });

  test("and fewer, one, the configuration before, and one again: always the sockets that it began with", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const stop = load(gateway.port());
    for (const workers of [3, 2, 1, 4]) {
      expect(await change(gateway, "SIGHUP", config({ workers })), `${workers}`).toMatchObject({ msg: GROWN });
      for (const { socket } of await oneOfEach(gateway.port(), workers)) socket.destroy();
    }
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
    await eventually(async () => {
      expect(new Set((await clients(gateway.port())).map(({ pid }) => pid)).size).toBe(1);
    });
    expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
    expect(await stop()).toBeGreaterThan(20);
  });

  test("and goes back to the configuration before at once", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialAt(gateway.port()));
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    const stop = load(gateway.port());
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
    await eventually(async () => {
      const answers = await clients(gateway.port());
      expect(new Set(answers.map(({ generation }) => generation))).toEqual(new Set([1]));
      expect(new Set(answers.map(({ number }) => number))).toEqual(new Set([0]));
    });
    expect(await ask(old.socket)).toMatchObject({ pid: old.pid });
    old.socket.destroy();
    expect(await stop()).toBeGreaterThan(5);
  });

  test("when what was tried out is promoted, not before", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    write(gateway, config({ workers: 2 }));
    expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
    for (const { pid } of await clients(gateway.port())) expect(pid).toBe(gateway.process.pid);
    expect(await tell(gateway, "promote")).toMatchObject({ code: 0 });
    const held = await oneOfEach(gateway.port(), 2);
    for (const { pid, socket } of held) {
      expect(pid).not.toBe(gateway.process.pid);
      socket.destroy();
    }
  });

  test("with what is counted in shared memory, exactly", async () => {
    const common = { servers: COUNTS, keys: SHARED };
    await using gateway = await Gateway.start(config({ workers: 1, ...common }), { ports: 2 });
    const old = await dialAt(gateway.port("counts"));
    for (let n = 1; n <= 10; n++) expect(await count(old)).toBe(n);
    await change(gateway, "SIGHUP", config({ workers: 2, ...common }));
    const sessions = await Promise.all(Array.from({ length: 8 }, () => dialAt(gateway.port("counts"))));
    for (let round = 0; round < 50; round++) await Promise.all([old, ...sessions].map(count));
    expect(await count(old)).toBe(10 + 50 * 9 + 1);
    for (const socket of [old, ...sessions]) socket.destroy();
  });

  test("with ports that come and go: the sessions of one that goes do not", async () => {
    const [gone = 0, kept = 0, added = 0] = await freePorts(3);
    const server = (name: string, port: number): string =>
      `${name}: { listen: "127.0.0.1:${port}", routes: [otherwise(talk)] },`;
    const first = config({ workers: 1, servers: server("gone", gone) + server("kept", kept) });
    await using gateway = await Gateway.start(first, { ports: 3 });
    const old = await hold(dialAt(gone));
    const stop = load(kept);
    const next = config({ workers: 2, servers: server("kept", kept) + server("added", added) });
    expect(await change(gateway, "SIGHUP", next)).toMatchObject({ msg: GROWN });
    await expect(dialAt(gone)).rejects.toThrow("ECONNREFUSED");
    for (const port of [kept, added]) for (const { number } of await clients(port)) expect([0, 1]).toContain(number);
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    old.socket.destroy();
    expect(await stop()).toBeGreaterThan(5);
  });

  test("at a unix socket, whose path stays, and goes with the gateway", async () => {
    const servers = `local: { listen: "unix:" + import.meta.dirname + "/local.sock", routes: [otherwise(talk)] },`;
    await using gateway = await Gateway.start(config({ workers: 1, servers }), { ports: 2 });
    const path = join(gateway.folder, "local.sock");
    const dial = async (): Promise<Socket> => {
      const socket = connect(path);
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      return socket;
    };
    const old = await hold(dial());
    expect(await change(gateway, "SIGHUP", config({ workers: 2, servers }))).toMatchObject({ msg: GROWN });
    for (let times = 0; times < 20; times++) {
      const { socket, pid } = await hold(dial());
      expect(pid).not.toBe(gateway.process.pid);
      socket.destroy();
    }
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    expect(await gateway.stop()).toBe(0);
    expect(existsSync(path)).toBe(false);
    expect(existsSync(`${path}.${gateway.process.pid}`)).toBe(false);
  });

  test("by ids of which none is made twice, without Redis: who is left makes no more", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialAt(gateway.port()));
    const made = (await ask(old.socket, "ids")).text.split(",");
    expect(made).toHaveLength(300);
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    expect(await ask(old.socket, "ids")).toMatchObject({ text: "RC_ID_LEASE" });
    for (const { socket } of await oneOfEach(gateway.port())) {
      made.push(...(await ask(socket, "ids")).text.split(","));
      socket.destroy();
    }
    expect(new Set(made).size).toBe(900);
    old.socket.destroy();
  });

  test("by ids of which none is made twice, with Redis: all go on, by numbers of their own", async () => {
    await using redis = await RedisServer.start();
    const keys = `redis: "${redis.url}",`;
    await using gateway = await Gateway.start(config({ workers: 1, keys }));
    const old = await hold(dialAt(gateway.port()));
    const made = (await ask(old.socket, "ids")).text.split(",");
    await change(gateway, "SIGHUP", config({ workers: 2, keys }));
    const held = [old, ...(await oneOfEach(gateway.port()))];
    for (const { socket } of held) made.push(...(await ask(socket, "ids")).text.split(","));
    expect(new Set(made).size).toBe(1_200);
    const { workers } = JSON.parse((await tell(gateway, "status")).stdout) as { workers: { id: number }[] };
    expect(new Set(workers.map(({ id }) => id)).size).toBe(3);
    old.socket.destroy();
    const leased = async (): Promise<number> =>
      (await redis.cli("KEYS", "restyconf:worker:*")).split("\n").filter(Boolean).length;
    await eventually(async () => expect(await leased()).toBe(2));
    for (const { socket } of held) socket.destroy();
  });

  test("whose sessions an operator sees and ends, that of the one that was alone, too", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialAt(gateway.port()));
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    const held = await oneOfEach(gateway.port());
    const ends = [old, ...held].map(({ socket }) => gone(socket));
    const { stdout } = await tell(gateway, "sessions");
    const sessions = stdout
      .trim()
      .split("\n")
      .map((line): { session: string } => JSON.parse(line));
    expect(sessions).toHaveLength(3);
    for (const { session } of sessions) expect(await tell(gateway, "kill", session)).toMatchObject({ code: 0 });
    await Promise.all(ends);
  });
});

describe("what fails leaves the one process as it was", () => {
  test("a worker that cannot start, an address that is taken; and then it succeeds", async () => {
    const [taken = 0] = await freePorts(1);
    await using other = await Gateway.start(config({ workers: 1, listen: `"127.0.0.1:${taken}"` }));
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialAt(gateway.port()));
    const stop = load(gateway.port());
    const broken = `initWorker: ({ number }) => { if (number === 1) throw new Error("number one"); }`;
    expect(await change(gateway, "SIGHUP", config({ workers: 2, phases: broken }))).toMatchObject({
      msg: "reload failed",
      reason: expect.stringContaining("number one"),
    });
    const servers = `more: { listen: "127.0.0.1:${taken}", routes: [otherwise(talk)] },`;
    expect(await change(gateway, "SIGHUP", config({ workers: 2, servers }))).toMatchObject({
      msg: "reload failed",
      reason: expect.stringContaining("EADDRINUSE"),
    });
    for (const { pid, generation } of await clients(gateway.port()))
      expect({ pid, generation }).toEqual({ pid: gateway.process.pid, generation: 1 });
    expect(await change(gateway, "SIGHUP", config({ workers: 2 }))).toMatchObject({ msg: GROWN });
    for (const { pid, socket } of await oneOfEach(gateway.port())) {
      expect(pid).not.toBe(gateway.process.pid);
      socket.destroy();
    }
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    old.socket.destroy();
    expect(await stop()).toBeGreaterThan(5);
    expect(await other.stop()).toBe(0);
  });

  test("a rollback while workers are still starting; none of them stays", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const holds = `initWorker: async () => { told({ holds: process.pid }); await until(() => there("go")); }`;
    write(gateway, config({ workers: 2, phases: holds }));
    const reload = tell(gateway, "reload");
    await eventually(() => expect(gateway.log.filter((line) => "holds" in line)).toHaveLength(2));
    const pids = gateway.log.flatMap((line) => ("holds" in line ? [Number(line["holds"])] : []));
    void tell(gateway, "rollback");
    expect(await reload).toMatchObject({ code: 1, stderr: expect.stringContaining("rollback") });
    await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
    for (const { pid } of await clients(gateway.port())) expect(pid).toBe(gateway.process.pid);
    put(gateway, "go");
    expect(await change(gateway, "SIGHUP")).toMatchObject({ msg: GROWN });
    for (const { socket } of await oneOfEach(gateway.port())) socket.destroy();
  });

  test("a stop while workers are still starting: nobody is left", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const holds = `initWorker: async () => { told({ holds: process.pid }); await until(() => false); }`;
    write(gateway, config({ workers: 2, phases: holds }));
    gateway.process.kill("SIGHUP");
    await eventually(() => expect(gateway.log.filter((line) => "holds" in line)).toHaveLength(2));
    const pids = gateway.log.flatMap((line) => ("holds" in line ? [Number(line["holds"])] : []));
    expect(await gateway.stop()).toBe(0);
    await eventually(() => expect(pids.filter(isAlive)).toEqual([]));
  });

  test("a quit waits for the sessions of the one that was alone", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialAt(gateway.port()));
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    const ended = gateway.stop("SIGQUIT");
    const dialed = (): Promise<Socket> => dialAt(gateway.port()).then((socket) => socket.destroy());
    await eventually(() => expect(dialed()).rejects.toThrow("ECONNREFUSED"));
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    old.socket.end();
    expect(await ended).toBe(0);
  });
});
