import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";
import {
  ask,
  change,
  clients,
  config,
  FAST,
  gone,
  type Held,
  isAlive,
  nextLine,
  oneOf,
  put,
  write,
} from "../support/workers.ts";

// Every end has a limit: a process that does not end by itself, or stands still, is killed, whoever lives or dies beside it.

/** Has a worker stand still: its event loop never turns again. */
async function stuck(gateway: Gateway, number = 1): Promise<Held> {
  const held = await oneOf(gateway.port(), number);
  await ask(held.socket, "spin");
  return held;
}

describe("a worker that stands still", () => {
  test("is killed, and another takes its place", async () => {
    await using gateway = await Gateway.start(config(), { env: FAST });
    const { pid } = await stuck(gateway);
    expect(await nextLine(gateway, (line) => line["msg"] === "worker killed")).toMatchObject({
      pid,
      reason: "it does not answer",
    });
    await gateway.line((line) => line["msg"] === "worker replaced");
    expect(new Set((await clients(gateway.port())).map(({ number }) => number))).toEqual(new Set([0, 1]));
    expect(isAlive(pid)).toBe(false);
  });

  test("holds up no replacement, and no reload after that", async () => {
    await using gateway = await Gateway.start(config(), { env: FAST });
    const { pid } = await stuck(gateway);
    expect(await change(gateway, "SIGUSR2")).toMatchObject({ msg: "replacement done" });
    expect(isAlive(pid)).toBe(false);
    expect(await change(gateway, "SIGHUP", config())).toMatchObject({ msg: "reload done", generation: 2 });
    for (const { generation } of await clients(gateway.port())) expect(generation).toBe(2);
  });

  test("is in the status with what it said last", async () => {
    await using gateway = await Gateway.start(config());
    const { pid } = await stuck(gateway);
    const { workers } = JSON.parse((await tell(gateway, "status")).stdout);
    expect(workers).toHaveLength(2);
    expect(workers).toContainEqual(expect.objectContaining({ number: 1, pid, isSilent: true }));
  });

  test("ends with its master: at a quick stop in its time", async () => {
    await using gateway = await Gateway.start(config());
    const { pid } = await stuck(gateway);
    const began = performance.now();
    expect(await gateway.stop("SIGTERM")).toBe(0);
    expect(performance.now() - began).toBeLessThan(25_000); // five seconds, and what a busy machine takes; sessions may take 30
    await eventually(() => expect(isAlive(pid)).toBe(false));
  });

  test("and where the master was killed, by itself: its ports are free soon", async () => {
    await using gateway = await Gateway.start(config());
    const { pid } = await stuck(gateway);
    const port = gateway.port();
    gateway.process.kill("SIGKILL");
    await eventually(() => expect(isAlive(pid)).toBe(false));
    await eventually(() => refused(port));
  });
});

/** A clock by which all limits are over ten times as fast; `initWorker` sees none of it. */
const FASTER = `
  const { setTimeout: wait } = globalThis, now = performance.now.bind(performance);
  globalThis.setTimeout = Object.assign((work, ms, ...rest) => wait(work, ms >= 1_000 ? ms / 10 : ms, ...rest), wait);
  performance.now = () => now() * 10;`;

test("a worker that took its time when the gateway started may take it again", async () => {
  const phases =
    "initWorker: async () => { const endMs = Date.now() + 6_000; await until(() => Date.now() > endMs); },";
  const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FASTER)}` };
  await using gateway = await Gateway.start(config({ workers: 2, phases }), { env });
  const [held] = await clients(gateway.port(), 1);
  process.kill(held?.pid ?? 0, "SIGKILL");
  expect(await gateway.line(({ msg }) => ["worker replaced", "worker killed"].includes(String(msg)))).toMatchObject({
    msg: "worker replaced",
  });
});

describe("a worker whose code has thrown where nobody catches it", () => {
  test("has half a minute for its sessions, and is gone then", async () => {
    await using gateway = await Gateway.start(config(), { env: FAST });
    const held = await oneOf(gateway.port(), 1);
    const began = performance.now();
    const ended = gone(held.socket).then(() => performance.now() - began);
    held.socket.write("throw\n");
    await gateway.line((line) => line["msg"] === "worker replaced");
    expect(await ended).toBeGreaterThan(5_000); // by a clock that is five times as fast
    await eventually(() => expect(isAlive(held.pid)).toBe(false));
  });

  test("and then stands still is killed", async () => {
    const stops = config({ more: `process.on("exit", () => { for (;;); });` });
    await using gateway = await Gateway.start(stops, { env: FAST });
    const held = await oneOf(gateway.port(), 1);
    held.socket.write("throw\n");
    await gateway.line((line) => line["msg"] === "worker killed");
    await eventually(() => expect(isAlive(held.pid)).toBe(false));
  });
});

describe.each([1, 2])("with %i workers, a reload whose initWorker takes too long", (workers) => {
  test("fails; what the hook does after that is ended when it is over", async () => {
    await using gateway = await Gateway.start(config({ workers }), { env: FAST });
    const late = `
      initWorker: async (worker) => {
        await until(() => there("go"));
        const ticks = setInterval(() => told({ tick: worker.number }), 50);
        worker.signal.addEventListener("abort", () => { clearInterval(ticks); told({ aborted: worker.number }); });
      },
      exitWorker: ({ number }) => told({ exited: number }),`;
    expect(await change(gateway, "SIGHUP", config({ workers, phases: late }))).toMatchObject({
      msg: "reload failed",
      generation: 1,
      reason: expect.stringContaining("initWorker: not finished within"),
    });
    put(gateway, "go");
    for (let number = 0; number < workers; number++) {
      await gateway.line((line) => line["aborted"] === number);
      await gateway.line((line) => line["exited"] === number);
    }
    const { length } = gateway.log;
    expect(await change(gateway, "SIGHUP", config({ workers }))).toMatchObject({ msg: "reload done" });
    expect(gateway.log.slice(length).filter((line) => "tick" in line)).toEqual([]);
  });
});

describe.each([1, 2])("with %i workers, a reload whose initWorker waits for what never comes", (workers) => {
  test("is given up at once by a rollback", async () => {
    await using gateway = await Gateway.start(config({ workers }));
    expect(await change(gateway, "SIGHUP", config({ workers }))).toMatchObject({ msg: "reload done", generation: 2 });
    write(
      gateway,
      config({
        workers,
        phases: `initWorker: ({ number }) => { told({ waits: number }); return until(() => false); }`,
      }),
    );
    gateway.process.kill("SIGHUP");
    for (let number = 0; number < workers; number++) await gateway.line((line) => line["waits"] === number);
    const began = performance.now();
    expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
    expect(performance.now() - began).toBeLessThan(20_000); // a hook may take 25 s
    expect(await gateway.line((line) => line["msg"] === "reload failed")).toMatchObject({
      reason: "a rollback was asked for meanwhile",
    });
    for (const { generation } of await clients(gateway.port())) expect(generation).toBe(1);
  });
});

async function refused(port: number): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  const code = await new Promise((resolve) => {
    socket.once("connect", () => resolve("open")).once("error", (cause: NodeJS.ErrnoException) => resolve(cause.code));
  });
  socket.destroy();
  expect(code).toBe("ECONNREFUSED");
}
