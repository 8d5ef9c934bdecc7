import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { dialIn } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";
import { ask, change, clients, config, GROWN, hold, isAlive, load, oneOfEach, put, write } from "../support/workers.ts";

// One process is to become several, and something is in the way.

/** Processes that a gateway has started. */
function childrenOf({ process: { pid } }: Gateway): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
}

describe("what fails leaves the one process as it was", () => {
  test("a worker that cannot start, an address that is taken; and then it succeeds", async () => {
    const [taken = 0] = await freePorts(1);
    await using other = await Gateway.start(config({ workers: 1, listen: `"127.0.0.1:${taken}"` }));
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialIn(gateway.port()));
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
    const rollback = tell(gateway, "rollback");
    expect(await reload).toMatchObject({ code: 1, stderr: expect.stringContaining("rollback") });
    await rollback;
    await gateway.line((line) => /^rollback (?:done|failed)$/.test(String(line["msg"])));
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

  test("a promotion whose workers never come is given up by a rollback", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const phases = `initWorker: ({ generation }) => until(() => generation === 1 || !there("hold"))`;
    write(gateway, config({ workers: 2, phases }));
    expect(await tell(gateway, "reload", "--canary", "50%")).toMatchObject({ code: 0 });
    put(gateway, "hold");
    const promotion = tell(gateway, "promote");
    await eventually(() => expect(childrenOf(gateway)).toHaveLength(2));
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
    expect(await promotion).toMatchObject({ code: 1, stderr: expect.stringContaining("rollback") });
    await eventually(() => expect(childrenOf(gateway)).toEqual([]));
    for (const { pid, generation } of await clients(gateway.port()))
      expect({ pid, generation }).toEqual({ pid: gateway.process.pid, generation: 1 });
  });

  test("Redis that is away: the new workers would make no ids", async () => {
    await using redis = await RedisServer.start();
    const keys = `redis: { url: "${redis.url}", connectTimeoutMs: 2_000, commandTimeoutMs: 1_000 },`;
    await using gateway = await Gateway.start(config({ workers: 1, keys }));
    const old = await hold(dialIn(gateway.port()));
    await redis.kill();
    expect(await change(gateway, "SIGHUP", config({ workers: 2, keys }))).toMatchObject({
      msg: "reload failed",
      reason: expect.stringContaining("no lease of ids"),
    });
    expect((await ask(old.socket, "ids")).text.split(",")).toHaveLength(300);
    await redis.start();
    await eventually(async () =>
      expect(await change(gateway, "SIGHUP", config({ workers: 2, keys }))).toMatchObject({ msg: GROWN }),
    );
    for (const { socket } of await oneOfEach(gateway.port())) {
      expect((await ask(socket, "ids")).text.split(",")).toHaveLength(300);
      socket.destroy();
    }
    old.socket.destroy();
  });
});

describe("in the midst of it", () => {
  test("workers that die before they serve, and do not come back, hold up nobody", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const phases = `initWorker: async ({ number }) => {
      if (number === 0) return until(() => there("dead"));
      if (there("dead")) throw new Error("no more");
      setTimeout(() => { writeFileSync(import.meta.dirname + "/dead", ""); process.exit(1); });
    }`;
    write(gateway, config({ workers: 2, phases, more: `import { writeFileSync } from "node:fs";` }));
    await tell(gateway, "reload");
    await eventually(async () => {
      for (const { number, generation, pid } of await clients(gateway.port()))
        expect({ number, generation, isNew: pid !== gateway.process.pid }).toEqual({
          number: 0,
          generation: 2,
          isNew: true,
        });
    });
  });

  test("a quit ends the workers, too, and waits for the sessions of the one that was alone", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialIn(gateway.port()));
    const phases = `initWorker: ({ number }) => void (number === 1 && setTimeout(() => {
      told({ blocks: process.pid });
      for (const end = Date.now() + 3_000; Date.now() < end; );
    }))`; // it is ready, and does not accept for a while
    write(gateway, config({ workers: 2, phases }));
    gateway.process.kill("SIGHUP");
    await gateway.line((line) => "blocks" in line);
    gateway.process.kill("SIGQUIT");
    const dialed = (): Promise<Socket> => dialIn(gateway.port()).then((socket) => socket.destroy());
    await eventually(() => expect(dialed()).rejects.toThrow("ECONNREFUSED"));
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    await eventually(() => expect(childrenOf(gateway)).toEqual([]));
    old.socket.end();
    await eventually(() => expect(gateway.process.exitCode).toBe(0));
  });

  test("a quit waits for the sessions of the one that was alone", async () => {
    await using gateway = await Gateway.start(config({ workers: 1 }));
    const old = await hold(dialIn(gateway.port()));
    await change(gateway, "SIGHUP", config({ workers: 2 }));
    const ended = gateway.stop("SIGQUIT");
    const dialed = (): Promise<Socket> => dialIn(gateway.port()).then((socket) => socket.destroy());
    await eventually(() => expect(dialed()).rejects.toThrow("ECONNREFUSED"));
    expect(await ask(old.socket)).toMatchObject({ pid: gateway.process.pid });
    old.socket.end();
    expect(await ended).toBe(0);
  });
});
