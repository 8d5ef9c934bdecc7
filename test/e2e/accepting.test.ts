import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import { freePorts } from "../support/service.ts";
import {
  ask,
  change,
  clients,
  config,
  FAST,
  gone,
  nextLine,
  oneOf,
  oneOfEach,
  put,
  write,
} from "../support/workers.ts";

// Each listening socket is always somebody's: no client waits where nobody accepts, whatever becomes of the workers.

/** The successor of worker 1 waits for as long as the file is there. */
const holds = `initWorker: async ({ number }) => {
  if (number !== 1 || !there("hold")) return;
  told({ holds: process.pid });
  await until(() => !there("hold"));
}`;

/** No worker 1 can start while the file is there. */
const fails = `initWorker: ({ number }) => { if (number === 1 && there("broken")) throw new Error("number one"); }`;

describe("a worker that starts", () => {
  test("during a reload serves what the others serve, at new ports, too", async () => {
    const [added = 0] = await freePorts(1);
    await using gateway = await Gateway.start(config({ phases: holds }));
    put(gateway, "hold");
    process.kill((await oneOf(gateway.port(), 1)).pid, "SIGKILL");
    await gateway.line((line) => "holds" in line);
    const servers = `added: { listen: "127.0.0.1:${added}", routes: [otherwise(talk)] }`;
    expect(await change(gateway, "SIGHUP", config({ servers }))).toMatchObject({ msg: "reload done", generation: 2 });
    for (const { number } of await clients(added)) expect(number).toBe(0);
    rmSync(join(gateway.folder, "hold"));
    await gateway.line((line) => line["msg"] === "worker replaced");
    for (const port of [gateway.port(), added]) {
      const answers = await clients(port);
      expect(new Set(answers.map(({ generation }) => generation))).toEqual(new Set([2]));
      expect(new Set(answers.map(({ number }) => number))).toEqual(new Set([0, 1]));
    }
  });

  test("takes its sockets back from whoever stood in for it", async () => {
    await using gateway = await Gateway.start(config({ phases: holds }));
    put(gateway, "hold");
    process.kill((await oneOf(gateway.port(), 1)).pid, "SIGKILL");
    await gateway.line((line) => "holds" in line);
    for (const { number } of await clients(gateway.port())) expect(number).toBe(0);
    rmSync(join(gateway.folder, "hold"));
    await gateway.line((line) => line["msg"] === "worker replaced");
    const ofOne = (await clients(gateway.port(), 200)).filter(({ number }) => number === 1);
    expect(ofOne.length).toBeGreaterThan(60); // half of them, not a quarter: by the kernel's hash of their ports
  });

  test("and hangs is killed and started again; the others serve its clients meanwhile", async () => {
    await using gateway = await Gateway.start(config({ phases: holds }), { env: FAST });
    put(gateway, "hold");
    process.kill((await oneOf(gateway.port(), 1)).pid, "SIGKILL");
    await gateway.line((line) => "holds" in line);
    const killed = nextLine(gateway, (line) => line["msg"] === "worker killed");
    for (const { number } of await clients(gateway.port())) expect(number).toBe(0);
    expect(await killed).toMatchObject({ worker: 1, reason: "it has not started" });
    rmSync(join(gateway.folder, "hold"));
    await gateway.line((line) => line["msg"] === "worker replaced");
    await eventually(async () => expect((await clients(gateway.port())).map(({ number }) => number)).toContain(1));
  });
});

describe("a worker that does not come back", () => {
  test("keeps nobody waiting, and is there again when what was wrong is mended", async () => {
    await using gateway = await Gateway.start(config({ phases: fails }));
    put(gateway, "broken");
    process.kill((await oneOf(gateway.port(), 1)).pid, "SIGKILL");
    await gateway.line((line) => line["msg"] === "worker not started");
    for (const { number } of await clients(gateway.port())) expect(number).toBe(0);
    rmSync(join(gateway.folder, "broken"));
    await gateway.line((line) => line["msg"] === "worker replaced");
    expect(new Set((await clients(gateway.port())).map(({ number }) => number))).toEqual(new Set([0, 1]));
  });

  test("holds up no reload to fewer workers: those that are too many go once others accept for them", async () => {
    const first = fails.replace("number === 1", "number === 0");
    await using gateway = await Gateway.start(config({ workers: 3, phases: first }));
    const held = await oneOf(gateway.port(), 2);
    put(gateway, "broken");
    process.kill((await oneOf(gateway.port(), 0)).pid, "SIGKILL");
    await gateway.line((line) => line["msg"] === "worker not started");
    expect(await change(gateway, "SIGHUP", config({ workers: 2, phases: first }))).toMatchObject({
      msg: "reload done",
    });
    await eventually(async () => {
      for (const { number } of await clients(gateway.port(), 40)) expect(number).toBe(1);
    }); // who is told to go may have a client on its way yet
    expect(await ask(held.socket)).toMatchObject({ pid: held.pid, generation: 1 });
    held.socket.destroy();
  });
});

test("a worker that is told to quit by a signal ends with its sessions, and another is in its place at once", async () => {
  await using gateway = await Gateway.start(config());
  const held = await oneOf(gateway.port(), 1);
  const replaced = nextLine(gateway, (line) => line["msg"] === "worker replaced");
  process.kill(held.pid, "SIGQUIT");
  await replaced;
  const answers = await clients(gateway.port());
  expect(answers.map(({ pid }) => pid)).not.toContain(held.pid);
  expect(new Set(answers.map(({ number }) => number))).toEqual(new Set([0, 1]));
  expect(await ask(held.socket)).toMatchObject({ pid: held.pid });
  held.socket.destroy();
});

describe("more workers", () => {
  test("that a canary wants are not there before it is promoted, and nobody waits for them", async () => {
    await using gateway = await Gateway.start(config());
    write(gateway, config({ workers: 4 }));
    expect(await tell(gateway, "reload", "--canary", "10%")).toMatchObject({ code: 0 });
    const during = await clients(gateway.port());
    expect(Math.max(...during.map(({ number }) => number))).toBe(1);
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
    await clients(gateway.port());
    expect(await tell(gateway, "reload", "--canary", "10%")).toMatchObject({ code: 0 });
    expect(await tell(gateway, "promote")).toMatchObject({ code: 0 });
    for (const { socket, generation } of await oneOfEach(gateway.port(), 4)) {
      expect(generation).toBe(3);
      socket.destroy();
    }
  });

  test("take no client before they are ready", async () => {
    await using gateway = await Gateway.start(config());
    const slow = `initWorker: async ({ number }) => { if (number > 1) await until(() => there("go")); told({ ready: number }); }`;
    const done = change(gateway, "SIGHUP", config({ workers: 4, phases: slow }));
    await gateway.line((line) => line["ready"] === 1);
    for (const { number, generation } of await clients(gateway.port())) {
      expect(number).toBeLessThan(2);
      expect(generation).toBe(1);
    }
    put(gateway, "go");
    expect(await done).toMatchObject({ msg: "reload done", generation: 2 });
    for (const { socket } of await oneOfEach(gateway.port(), 4)) socket.destroy();
  });

  test("of which one fails leave everything as it was", async () => {
    await using gateway = await Gateway.start(config());
    const failing = `initWorker: ({ number }) => { if (number === 3) throw new Error("number three"); }`;
    expect(await change(gateway, "SIGHUP", config({ workers: 4, phases: failing }))).toMatchObject({
      msg: "reload failed",
      generation: 1,
      reason: "number three",
    });
    for (const { number, generation } of await clients(gateway.port())) {
      expect(number).toBeLessThan(2);
      expect(generation).toBe(1);
    }
    expect(await change(gateway, "SIGHUP", config({ workers: 4 }))).toMatchObject({ msg: "reload done" });
    for (const { socket } of await oneOfEach(gateway.port(), 4)) socket.destroy();
  });
});

test("workers that go by a reload are known until their last session has ended", async () => {
  await using gateway = await Gateway.start(config({ workers: 3 }));
  const [, , going] = await oneOfEach(gateway.port(), 3);
  if (!going) throw new Error("no session");
  const kept = await oneOf(gateway.port(), 2);
  expect(await change(gateway, "SIGHUP", config({ workers: 2 }))).toMatchObject({ msg: "reload done" });
  const sessions = await eventually(async () => {
    const rows = (await tell(gateway, "sessions")).stdout.trim().split("\n");
    expect(rows).toHaveLength(4); // those that were only asked who they are at have gone
    return rows;
  });
  const ended = gone(going.socket);
  const listed = sessions.map((line) => JSON.parse(line)).find((one) => one.remote_port === going.socket.localPort);
  expect(await tell(gateway, "kill", listed.session)).toMatchObject({ code: 0 });
  await ended;
  const exit = gateway.stop("SIGQUIT");
  await eventually(() => expect(exchange(gateway.port(), "x\n")).rejects.toMatchObject({ code: "ECONNREFUSED" }));
  expect(await ask(kept.socket)).toMatchObject({ pid: kept.pid });
  expect(gateway.process.exitCode).toBe(null);
  kept.socket.end();
  gateway.process.kill("SIGTERM"); // the sessions of the others
  expect(await exit).toBe(0);
});
