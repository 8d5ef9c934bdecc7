import { closeSync } from "node:fs";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type Engine, EVENT_FIELDS, type HandedOver } from "../../src/stream/carrier/addon.ts";
import { RUNS } from "../laws/sniffer-laws.ts";
import { eventually } from "../support/eventually.ts";
import { echo } from "../support/servers.ts";
import { addon, BINARY, Client, openFiles, peer, Rig, USUAL_PORT } from "./rig.ts";

const METHODS = [
  "listen",
  "unlisten",
  "pause",
  "resume",
  "adjust",
  "silent",
  "open",
  "openSilent",
  "bucket",
  "drop",
  "fill",
  "levels",
  "pay",
  "share",
  "take",
  "more",
  "relay",
  "takeOver",
  "close",
  "kill",
  "drain",
  "recall",
  "limit",
  "counters",
  "addresses",
  "release",
] as const;

/** Calls a method by name with anything at all; a TypeError, or an error of the system, is an answer. */
function call(engine: Engine, method: (typeof METHODS)[number], self: unknown, args: readonly unknown[]): unknown {
  try {
    return Reflect.apply(engine[method], self, args);
  } catch (cause) {
    expect(cause).toBeInstanceOf(Error);
    return undefined;
  }
}

function shutAll(taken: HandedOver | undefined): void {
  if (taken) closeSync(taken.fd);
  if (taken?.peer !== undefined) closeSync(taken.peer);
}

const anything = fc.oneof(
  fc.anything({ withTypedArray: true, withBigInt: true, withDate: true }),
  fc.double(),
  fc.integer(),
  fc.nat(2 ** 21),
  fc.bigInt(),
  fc.constantFrom(2 ** 20, 2 ** 20 + 1, 2 ** 21, 2 ** 52, Number.MAX_VALUE, Number.NaN, -0, Symbol("id"), () => 1),
);

const relayLike = fc.tuple(
  anything,
  fc.oneof(fc.constantFrom("127.0.0.1", "::1", "", "x".repeat(300), "a\0b", "/tmp/x"), anything),
  fc.oneof(fc.integer({ min: -2, max: 70_000 }), anything),
  fc.oneof(fc.double(), anything),
  fc.oneof(fc.double(), anything),
  fc.oneof(fc.nat(100), anything),
  fc.oneof(fc.constantFrom(undefined, "127.0.0.1", "nonsense"), anything),
  fc.oneof(fc.constant(undefined), fc.uint8Array(), anything),
);

test("whatever is passed to whatever method, the process lives, and a session that is running does not notice", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  await client.receive(1);
  const args = fc.oneof(fc.array(anything, { maxLength: 4 }), relayLike);
  // Its own id is left out: with that, a kill or a limit would be right to end it.
  const isHarmless = (list: readonly unknown[]): boolean => list[0] !== session && list[0] !== 1;
  fc.assert(
    fc.property(fc.constantFrom(...METHODS), args.filter(isHarmless), (method, list) => {
      call(rig.engine, method, rig.engine, list);
    }),
    { numRuns: RUNS },
  );
  client.socket.write("y");
  expect((await client.receive(2)).toString()).toBe("xy");
});

test("whatever is done to a session in whatever order, the engine goes on", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { port } = rig.listen();
  const bucket = rig.engine.bucket();
  rig.engine.fill(bucket, 1_000_000, 100_000, 100_000, 1_000_000, 100_000, 100_000);
  const step = fc.record({
    method: fc.constantFrom(
      "more",
      "relay",
      "close",
      "kill",
      "drain",
      "recall",
      "takeOver",
      "limit",
      "share",
      "counters",
      "addresses",
      "release",
      "take",
    ),
    whose: fc.nat(9),
    number: fc.nat(10),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const clients = await Promise.all(Array.from({ length: 3 }, () => Client.open(port, { says: "abc" })));
      const sessions: number[] = [];
      for (const _ of clients) sessions.push((await rig.next("open")).session);
      for (const { method, whose, number } of steps) {
        const session = sessions[whose % 3] ?? 0;
        if (method === "more") rig.engine.more(session, number, number);
        else if (method === "relay")
          rig.engine.relay(session, ...peer(number === 0 ? 1 : server.port, { skip: number % 4 }));
        else if (method === "close") rig.engine.close(session, number % 2 === 0);
        else if (method === "kill") rig.engine.kill(session, number % 8);
        else if (method === "recall") rig.engine.recall(session, number % 2);
        else if (method === "takeOver") shutAll(rig.engine.takeOver(session));
        else if (method === "limit") rig.engine.limit(session, number, number);
        else if (method === "share") rig.engine.share(session, bucket);
        else if (method === "take") rig.engine.take();
        else rig.engine[method](session);
      }
      for (const { socket } of clients) socket.destroy();
      await eventually(() => {
        for (const session of sessions) rig.engine.release(session);
        expect(rig.engine.sessions).toBe(0);
      });
    }),
    { numRuns: Math.min(RUNS / 20, 500) },
  );
});

test.each(METHODS)("%s on something that is no engine is a TypeError", (method) => {
  using rig = new Rig();
  for (const self of [undefined, null, 1, {}, Object.create(rig.engine), rig.events]) {
    expect(() => Reflect.apply(rig.engine[method], self, [1, 1, 1])).toThrow(TypeError);
  }
});

test.each([
  undefined,
  {},
  { maxSessions: 0 },
  { maxSessions: 2 ** 20 + 1 },
  { maxSessions: 1, events: new Float32Array(80), bytes: new Uint8Array(1), wake: () => {} },
  { maxSessions: 1, events: new Float64Array(EVENT_FIELDS), bytes: new Uint8Array(1), wake: () => {} },
  { maxSessions: 1, events: new Float64Array(80), bytes: new Uint8Array(0), wake: () => {} },
  { maxSessions: 1, events: new Float64Array(80), bytes: new Uint8Array(1), wake: 1 },
])("no engine starts with %o", (options) => {
  expect(() => Reflect.apply(addon().start, undefined, [options])).toThrow(TypeError);
});

test("misuse is a TypeError, and a session that is gone answers false", () => {
  using rig = new Rig();
  const { engine } = rig;
  expect(() => engine.kill(2 ** 20, 8)).toThrow(TypeError);
  expect(() => engine.limit(2 ** 20, -1, 0)).toThrow(TypeError);
  expect(() => engine.more(2 ** 20, 1, Number.NaN)).toThrow(TypeError);
  expect(() => engine.recall(2 ** 20, -1)).toThrow(TypeError);
  expect(() => rig.listen({ host: undefined })).toThrow(TypeError);
  expect(engine.kill(2 ** 20, 5)).toBe(false);
  expect(engine.relay(2 ** 20, ...peer(1))).toBe(false);
  expect(engine.takeOver(2 ** 20)).toBeUndefined();
  expect(engine.recall(2 ** 20, 0)).toBe(false);
});

test("more bytes cannot be skipped than there are", async () => {
  using rig = new Rig();
  using _client = await Client.open(rig.listen().port, { says: "abc" });
  const { session } = await rig.next("open");
  expect(() => rig.engine.relay(session, ...peer(1, { skip: 4 }))).toThrow(TypeError);
  expect(() => rig.engine.relay(session, ...peer(1, { host: "name" }))).toThrow(TypeError);
  expect(rig.engine.close(session, false)).toBe(true); // it is still JavaScript's
});

test("shared memory that JavaScript has given away is not written to", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  structuredClone(rig.bytes, { transfer: [rig.bytes.buffer] });
  using _client = await Client.open(port, { says: "abc" });
  await eventually(() => expect(rig.wakes).toBeGreaterThan(0));
  expect(rig.engine.take()).toBe(0); // there is no room
  expect(rig.engine.sessions).toBe(1);
});

test("events that do not fit wait for the next take", async () => {
  let takes = 0;
  let opened = 0;
  const events = new Float64Array(2 * EVENT_FIELDS);
  const engine = addon().start({
    maxSessions: 100,
    events,
    bytes: new Uint8Array(5),
    wake: () => {
      for (let count = engine.take(); count > 0; count = engine.take()) {
        takes++;
        opened += count;
      }
    },
  });
  const { port } = engine.listen({ ...USUAL_PORT, headBytes: 100 });
  const clients = await Promise.all(Array.from({ length: 10 }, () => Client.open(port, { says: "abcdefgh" })));
  await eventually(() => expect(opened).toBe(10));
  expect(takes).toBe(10); // five bytes: one head at a time
  for (const { socket } of clients) socket.destroy();
  engine.stop();
});

test("several engines do not know of each other", async () => {
  using one = new Rig();
  using other = new Rig();
  await using server = await echo();
  using client = await Client.open(one.listen().port, { says: "x" });
  const { session } = await one.next("open");
  expect(other.engine.relay(session, ...peer(server.port))).toBe(false);
  one.engine.relay(session, ...peer(other.listen().port));
  const second = await other.next("open");
  other.engine.relay(second.session, ...peer(server.port));
  expect((await client.receive(1)).toString()).toBe("x");
});

test("stop closes what is the engine's, can be repeated, and leaves methods that answer", async () => {
  const before = openFiles();
  await using server = await echo();
  const rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  await client.receive(1);
  using waiting = await Client.open(port, { says: "y" });
  await rig.next("open");
  rig.engine.stop();
  rig.engine.stop();
  await client.over;
  await waiting.over;
  expect(rig.engine.take()).toBe(0);
  expect(rig.engine.release(session)).toBe(false);
  expect(rig.engine.counters(session)).toBe(false);
  expect(rig.engine.sessions).toBe(0);
  rig.engine.openSilent();
  rig.engine.unlisten(1);
  expect(() => rig.listen()).toThrow(expect.objectContaining({ code: "ECANCELED" }));
  client.socket.destroy();
  waiting.socket.destroy();
  await eventually(() => expect(openFiles()).toBeLessThanOrEqual(before + 1)); // the server of the test
});

test("engines start and stop by the hundred", () => {
  const before = openFiles();
  for (let count = 0; count < 200; count++) {
    using rig = new Rig();
    rig.listen();
  }
  expect(openFiles()).toBeLessThanOrEqual(before);
});

test("a wake that throws does not silence the engine", async () => {
  const WORKER = `
    const { parentPort, workerData } = require("node:worker_threads");
    const addon = require(workerData.path);
    let wakes = 0;
    process.on("uncaughtException", () => {});
    const engine = addon.start({ maxSessions: 10, events: new Float64Array(120), bytes: new Uint8Array(1000), wake: () => {
      if (++wakes === 1) throw new Error("thrown on purpose");
      let count; while ((count = engine.take()) > 0) parentPort.postMessage(count);
      engine.stop();
    } });
    parentPort.postMessage(engine.listen(workerData.listen).port);`;
  const worker = new Worker(WORKER, { eval: true, workerData: { path: BINARY, listen: USUAL_PORT } });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  const count = new Promise((resolve) => worker.once("message", resolve));
  const exit = new Promise((resolve) => worker.once("exit", resolve)); // it may come together with the message
  using _client = await Client.open(port, { says: "x" });
  expect(await count).toBe(1);
  await exit;
});

test("workers have engines of their own, and their end is the engine's", async () => {
  const before = openFiles();
  const WORKER = `
    const { parentPort, workerData } = require("node:worker_threads");
    const addon = require(workerData.path);
    const events = new Float64Array(120);
    const engine = addon.start({ maxSessions: 10, events, bytes: new Uint8Array(1000), wake: () => {
      let count; while ((count = engine.take()) > 0) for (let at = 0; at < count; at++)
        if (events[12 * at] === 1) engine.relay(events[12 * at + 1], ...workerData.peer);
    } });
    parentPort.postMessage(engine.listen(workerData.listen).port);`;
  const server = await echo();
  const workerData = { path: BINARY, listen: USUAL_PORT, peer: peer(server.port) };
  const workers = Array.from({ length: 3 }, () => {
    const worker = new Worker(WORKER, { eval: true, workerData });
    return { worker, listening: new Promise<number>((resolve) => worker.once("message", resolve)) };
  });
  for (const { worker, listening } of workers) {
    const port = await listening;
    using client = await Client.open(port, { says: "x" });
    expect((await client.receive(1)).toString()).toBe("x");
    await worker.terminate(); // in the middle of a relay
    await client.over;
    await expect(Client.open(port)).rejects.toThrow("ECONNREFUSED");
  }
  await server[Symbol.asyncDispose]();
  await eventually(() => expect(openFiles()).toBeLessThanOrEqual(before + 2)); // what the first worker made Node open
});
