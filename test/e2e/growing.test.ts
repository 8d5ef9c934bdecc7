import { existsSync, readFileSync, renameSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";
import {
  ask,
  change,
  clients,
  config,
  GROWN,
  gone,
  hold,
  isAlive,
  load,
  oneOfEach,
  put,
  write,
} from "../support/workers.ts";

// One process becomes several by a reload: nobody is refused, and sessions stay where they are.

/** Counts in memory that all workers share, and answers with the sum. */
const COUNTS = `counts: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
  for (;;) {
    const { err } = await session.reader.receive();
    if (err) return;
    await session.write(session.worker.shared.counters.incr("all", 1, 0).value + "\\n");
  }
}))] },`;
const SHARED = 'shared: { counters: "1m" },';

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
    const old = [await hold(dialIn(gateway.port())), await hold(dialTls(gateway.port("secure")))];
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
    await eventually(async () =>
      expect((await status()).find(({ pid }) => pid === gateway.process.pid)).toMatchObject({ sessions: 2 }),
    ); // those of the load have gone, and it may not know yet
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
    const old = await hold(dialIn(gateway.port()));
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

  test("whose master goes on by itself: its timers run, and what the old configuration does at its end is nobody else's", async () => {
    const more = `import { timer } from "restyconf";`;
    const phases = (round: number): string => `init: () => void timer.at(1, () => told({ rang: ${round} })),
      exitWorker: ({ generation }) => { if (generation === 1) { told({ exits: generation }); process.exit(3); } }`;
    await using gateway = await Gateway.start(config({ workers: 1, more, phases: phases(1) }));
    const old = await hold(dialIn(gateway.port()));
    for (const round of [2, 3]) {
      await change(gateway, "SIGHUP", config({ workers: 2, more, phases: phases(round) }));
      await gateway.line((line) => line["rang"] === round);
    }
    old.socket.end();
    await gateway.line((line) => "exits" in line);
    await change(gateway, "SIGHUP", config({ workers: 2, more, phases: phases(4) }));
    await gateway.line((line) => line["rang"] === 4);
    for (const { socket } of await oneOfEach(gateway.port())) socket.destroy();
    expect(await gateway.stop()).toBe(0);
  });

  test("in new log files, if those are asked for meanwhile", async () => {
    const keys = `log: { access: "access.log" },`;
    const phases = `initWorker: async ({ generation }) => {
      if (generation > 1) { told({ holds: process.pid }); await until(() => there("go")); }
    }`;
    await using gateway = await Gateway.start(config({ workers: 1, keys, phases }));
    const path = join(gateway.folder, "access.log");
    write(gateway, config({ workers: 2, keys, phases }));
    const reload = tell(gateway, "reload");
    await eventually(() => expect(gateway.log.filter((line) => "holds" in line)).toHaveLength(2));
    renameSync(path, `${path}.1`);
    gateway.process.kill("SIGUSR1");
    await eventually(() => expect(existsSync(path)).toBe(true));
    put(gateway, "go");
    expect(await reload).toMatchObject({ code: 0 });
    for (const { socket } of await oneOfEach(gateway.port())) socket.end();
    const linesIn = (name: string): number => readFileSync(name, "utf8").split("end_cause").length - 1;
    await eventually(() => expect(linesIn(path)).toBeGreaterThanOrEqual(2));
    expect(linesIn(`${path}.1`)).toBe(0);
  });

  test("when what was tried out is promoted, not before, also at the address that it alone has opened", async () => {
    const [added = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const servers = `added: { listen: "127.0.0.1:${added}", routes: [otherwise(talk)] },`;
    write(gateway, config({ workers: 2, servers }));
    expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
    for (const port of [gateway.port(), added])
      for (const { pid } of await clients(port)) expect(pid).toBe(gateway.process.pid);
    expect(await tell(gateway, "promote")).toMatchObject({ code: 0, stderr: "" });
    for (const { pid } of await clients(added)) expect(pid).not.toBe(gateway.process.pid);
    const held = await oneOfEach(gateway.port(), 2);
    for (const { pid, socket } of held) {
      expect(pid).not.toBe(gateway.process.pid);
      socket.destroy();
    }
  });

  test("with what is counted in shared memory, exactly", async () => {
    const common = { servers: COUNTS, keys: SHARED };
    await using gateway = await Gateway.start(config({ workers: 1, ...common }), { ports: 2 });
    const old = await dialIn(gateway.port("counts"));
    for (let n = 1; n <= 10; n++) expect(await count(old)).toBe(n);
    await change(gateway, "SIGHUP", config({ workers: 2, ...common }));
    const sessions = await Promise.all(Array.from({ length: 8 }, () => dialIn(gateway.port("counts"))));
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
    const old = await hold(dialIn(gone));
    const stop = load(kept);
    const next = config({ workers: 2, servers: server("kept", kept) + server("added", added) });
    expect(await change(gateway, "SIGHUP", next)).toMatchObject({ msg: GROWN });
    await expect(dialIn(gone)).rejects.toThrow("ECONNREFUSED");
    for (const port of [kept, added]) for (const { number } of await clients(port)) expect([0, 1]).toContain(number);
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    old.socket.destroy();
    expect(await stop()).toBeGreaterThan(5);
  });

  test("at a unix socket, whose path stays, and goes with the gateway; another one goes with the reload", async () => {
    const server = (name: string): string =>
      `${name}: { listen: "unix:" + import.meta.dirname + "/${name}.sock", routes: [otherwise(talk)] },`;
    const first = config({ workers: 1, servers: server("gone") + server("local") });
    await using gateway = await Gateway.start(first, { ports: 3 });
    const path = join(gateway.folder, "local.sock");
    const dial = async (): Promise<Socket> => {
      const socket = connect(path);
      await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
      return socket;
    };
    const old = await hold(dial());
    const next = config({ workers: 2, servers: server("local") });
    expect(await change(gateway, "SIGHUP", next)).toMatchObject({ msg: GROWN });
    expect(existsSync(join(gateway.folder, "gone.sock"))).toBe(false);
    expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
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
    const old = await hold(dialIn(gateway.port()));
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
    const old = await hold(dialIn(gateway.port()));
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
    const old = await hold(dialIn(gateway.port()));
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    const held = await oneOfEach(gateway.port());
    const ends = [old, ...held].map(({ socket }) => gone(socket));
    const sessions = await eventually(async () => {
      const rows = (await tell(gateway, "sessions")).stdout.trim().split("\n");
      expect(rows).toHaveLength(3); // those that were only asked who they are at have gone
      return rows.map((line): { session: string } => JSON.parse(line));
    });
    for (const { session } of sessions) expect(await tell(gateway, "kill", session)).toMatchObject({ code: 0 });
    await Promise.all(ends);
  });
});
