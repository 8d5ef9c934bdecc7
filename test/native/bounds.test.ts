import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { eventKinds } from "../../src/stream/carrier/addon.ts";
import { eventually } from "../support/eventually.ts";
import { echo, TestServer } from "../support/servers.ts";
import { BINARY, Client, peer, Rig, USUAL_PORT } from "./rig.ts";

const EMFILE = 24;

test.each([
  { whose: "the engine's", engine: 3, port: 100 },
  { whose: "the port's", engine: 100, port: 3 },
])("clients beyond $whose limit are turned away, and told of", async ({ engine, port }) => {
  using rig = new Rig({ maxSessions: engine });
  const listening = rig.listen({ maxSessions: port });
  const clients = await Promise.all(Array.from({ length: 5 }, () => Client.open(listening.port, { says: "x" })));
  const opened = [await rig.next("open"), await rig.next("open"), await rig.next("open")];
  let turnedAway = 0;
  while (turnedAway < 2) {
    const trouble = await rig.next("trouble");
    expect(trouble).toMatchObject({ session: listening.listener, b: 0, c: 0 });
    turnedAway += trouble.a;
  }
  expect(turnedAway).toBe(2);
  await eventually(() => expect(clients.filter(({ socket, ended }) => ended || socket.destroyed)).toHaveLength(2));
  expect(rig.engine.sessions).toBe(3);
  rig.engine.release(opened[0]?.session ?? 0);
  using _late = await Client.open(listening.port, { says: "y" }); // a place that was released is free at once
  expect((await rig.next("open")).bytes.toString()).toBe("y");
  for (const { socket } of clients) socket.destroy();
});

test("a limit slows a direction down, and can be changed and lifted while it runs", async () => {
  using rig = new Rig();
  const size = 20_000_000;
  await using server = await TestServer.open((socket) => socket.end(Buffer.alloc(size)));
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  expect(rig.engine.limit(session, 0, 200_000)).toBe(true);
  const began = performance.now();
  rig.engine.relay(session, ...peer(server.port));
  await sleep(500);
  await eventually(() => expect(client.count).toBeGreaterThan(0));
  const { count } = client;
  expect(count).toBeLessThan(((performance.now() - began) / 1_000) * 200_000 + 200_000); // and the burst
  const before = performance.now();
  expect(rig.engine.limit(session, 0, 0)).toBe(true);
  await client.receive(size);
  expect(performance.now() - before).toBeLessThan(20_000); // and not a hundred seconds
});

test("a stream can be slowed down while it runs", async () => {
  using rig = new Rig();
  const more = Buffer.alloc(1_000_000);
  await using server = await TestServer.open((socket) => {
    const pour = (): void => void (socket.writable && socket.write(more, pour));
    pour();
  });
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  await client.receive(50_000_000);
  rig.engine.limit(session, 0, 100_000);
  await eventually(async () => {
    const [began, before] = [performance.now(), client.count]; // again, as long as what was under way arrives
    await sleep(500);
    const moved = client.count - before;
    expect(moved).toBeLessThan(((performance.now() - began) / 1_000) * 100_000 + 50_000);
    expect(moved).toBeGreaterThan(0);
  });
});

describe("a bucket", () => {
  const RATE = 400_000;

  /** Relays a client that says "x", and takes from the bucket. */
  async function shared(rig: Rig, port: number, to: number, bucket: number): Promise<Client> {
    const client = await Client.open(port, { says: "x" });
    const { session } = await rig.next("open");
    expect(rig.engine.share(session, bucket)).toBe(true);
    rig.engine.relay(session, ...peer(to));
    expect(rig.engine.share(session, bucket)).toBe(false); // it is too late
    return client;
  }

  test("is shared equally by those who take from it, and holds what it holds for all of them", async () => {
    using rig = new Rig();
    await using server = await TestServer.open((socket) => socket.end(Buffer.alloc(10_000_000)));
    const { port } = rig.listen();
    const bucket = rig.engine.bucket();
    expect(rig.engine.fill(bucket, RATE, 40_000, 0, RATE, 40_000, 40_000)).toBe(true);
    const began = performance.now();
    const clients: Client[] = [];
    for (let at = 0; at < 4; at++) clients.push(await shared(rig, port, server.port, bucket));
    const countsNow = (): number[] => clients.map(({ count }) => count);
    const sumOf = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);
    await sleep(300); // the first one may have had what was there before the others came
    const before = countsNow();
    await eventually(() => expect(sumOf(countsNow()) - sumOf(before)).toBeGreaterThan(1.5 * RATE));
    const counts = countsNow();
    expect(sumOf(counts)).toBeLessThanOrEqual(((performance.now() - began) / 1_000) * RATE + 40_000);
    const shares = counts.map((count, at) => count - (before[at] ?? 0));
    expect(Math.min(...shares)).toBeGreaterThan(Math.max(...shares) / 2);
    await eventually(async () => {
      const [start, had] = [performance.now(), sumOf(countsNow())]; // again, if nobody let the engine work
      await sleep(500);
      expect(sumOf(countsNow()) - had).toBeGreaterThan(((performance.now() - start) / 1_000) * RATE * 0.6);
    });
    for (const client of clients) client[Symbol.dispose]();
  });

  test("lets everybody through who wants little, though each gives back some of what he was promised", async () => {
    using rig = new Rig();
    await using server = await TestServer.open((socket) => socket.end(Buffer.alloc(4_000)));
    const { port } = rig.listen();
    const bucket = rig.engine.bucket();
    rig.engine.fill(bucket, RATE, 40_000, 0, RATE, 40_000, 0);
    const clients: Client[] = [];
    for (let at = 0; at < 40; at++) clients.push(await shared(rig, port, server.port, bucket));
    await Promise.all(clients.map((client) => client.receive(4_000)));
    for (const client of clients) client[Symbol.dispose]();
  });

  test("that is filled with nothing lets nothing through, until it is; dropped, it still holds for whoever takes from it", async () => {
    using rig = new Rig();
    await using server = await echo();
    const bucket = rig.engine.bucket();
    rig.engine.fill(bucket, 0, 0, 0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0);
    using client = await shared(rig, rig.listen().port, server.port, bucket);
    await client.receive(1); // the first byte was there before
    client.socket.write(Buffer.alloc(100_000));
    using other = await Client.open(rig.listen().port, { says: "x" });
    rig.engine.relay((await rig.next("open")).session, ...peer(server.port));
    other.socket.write(Buffer.alloc(100_000));
    await other.receive(100_001); // by when it would have come
    expect(client.count).toBe(1);
    const before = performance.now();
    rig.engine.fill(bucket, 100_000, 10_000, 0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0);
    expect(rig.engine.drop(bucket)).toBe(true);
    await client.receive(100_001);
    expect(performance.now() - before).toBeGreaterThan(800);
    for (const answer of [rig.engine.drop(bucket), rig.engine.levels(bucket), rig.engine.pay(bucket, 1)])
      expect(answer).toBe(false);
  });

  test("tells what has come in, what was taken, and who waits", async () => {
    using rig = new Rig();
    await using server = await echo();
    const bucket = rig.engine.bucket();
    rig.engine.fill(bucket, 1_000, 100, 100, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0);
    rig.engine.pay(bucket, 50);
    expect(rig.engine.levels(bucket)).toBe(true);
    expect([...rig.events.subarray(1, 10)]).toEqual([50, 50, 0, 1_000, 0, 0, 0, 0, Number.POSITIVE_INFINITY]);
    using client = await shared(rig, rig.listen().port, server.port, bucket);
    client.socket.write(Buffer.alloc(10_000));
    await eventually(() => {
      rig.engine.levels(bucket);
      expect(rig.events[3]).toBe(1);
    });
  });

  test.each([
    [-1, 1, 0],
    [Number.NaN, 1, 0],
    [1, -1, 0],
    [1, 1, Number.POSITIVE_INFINITY],
  ])("is not filled with %d, %d, %d", (...way) => {
    using rig = new Rig();
    const bucket = rig.engine.bucket();
    expect(() => rig.engine.fill(bucket, 1, 1, 0, ...way)).toThrow(TypeError);
    expect(() => rig.engine.fill(bucket, ...way, 1, 1, 0)).toThrow(TypeError);
    expect(() => rig.engine.pay(bucket, -1)).toThrow(TypeError);
  });
});

test("a limited upload arrives whole", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  rig.engine.limit(session, 1_000_000, 0);
  const before = performance.now();
  client.socket.end(Buffer.alloc(500_000));
  await client.closed;
  expect(client.count).toBe(500_001);
  expect(performance.now() - before).toBeGreaterThan(300);
  expect(await rig.end()).toMatchObject({ b: 500_001, c: 500_001 });
});

test("counters are read while bytes move", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  client.socket.write("0123456789");
  await client.receive(11);
  expect(rig.engine.counters(session)).toBe(true);
  expect([...rig.events.subarray(0, 2)]).toEqual([11, 11]);
  await sleep(50);
  rig.engine.counters(session);
  expect(rig.events[2]).toBeGreaterThanOrEqual(45);
  client.socket.end();
  const ended = await rig.next("ended");
  expect(rig.engine.counters(session)).toBe(true); // until it is released
  rig.engine.release(ended.session);
  expect(rig.engine.counters(session)).toBe(false);
});

/** Has no file descriptor left, until it is told to close some; says what its engine says. */
const EXHAUSTED = `
  const { openSync, closeSync } = require("node:fs");
  const addon = require(process.argv[1]);
  const events = new Float64Array(120);
  const engine = addon.start({ maxSessions: 10, events, bytes: new Uint8Array(100), wake: () => {
    for (let count = engine.take(); count > 0; count = engine.take())
      for (let at = 0; at < count; at++) console.log(JSON.stringify([...events.subarray(at * 12, at * 12 + 6)]));
  } });
  const { port } = engine.listen(JSON.parse(process.argv[2]));
  const held = [];
  try { for (;;) held.push(openSync("/dev/null")); } catch {}
  process.stdin.once("data", () => { for (const fd of held) closeSync(fd); });
  process.stdin.once("end", () => engine.stop());
  console.log(JSON.stringify([port]));`;

test("without file descriptors clients wait, without a busy loop, until there are some", async () => {
  const args = [
    "-c",
    'ulimit -n 100; exec "$0" -e "$@"',
    process.execPath,
    EXHAUSTED,
    BINARY,
    JSON.stringify(USUAL_PORT),
  ];
  const child = spawn("sh", args, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<number[]> => JSON.parse((await lines.next()).value);
  const [port = 0] = await next();
  const before = performance.now();
  using _client = await Client.open(port, { says: "x" });
  let tries = 0;
  while (tries < 3) {
    const told = await next();
    expect(told).toEqual([eventKinds.trouble, 1, 0, 0, expect.any(Number), EMFILE]);
    tries += told[4] ?? 0; // whoever hears late hears of several at once
  }
  expect(performance.now() - before).toBeGreaterThan((tries - 1) * 95);
  child.stdin.write("close some");
  let told = await next();
  while (told[0] === eventKinds.trouble) told = await next();
  expect(told[0]).toBe(eventKinds.open);
  child.stdin.end();
  await once(child, "exit");
});

test("a thousand idle sessions cost no CPU", async () => {
  using rig = new Rig({ maxSessions: 2_000 });
  await using server = await echo();
  const { port } = rig.listen({ maxSessions: 2_000 });
  const clients: Client[] = [];
  for (let batch = 0; batch < 10; batch++) {
    clients.push(...(await Promise.all(Array.from({ length: 100 }, () => Client.open(port, { says: "x" })))));
  }
  for (const _ of clients) rig.engine.relay((await rig.next("open")).session, ...peer(server.port));
  for (const _ of clients) await rig.next("connected");
  await eventually(async () => {
    const before = process.cpuUsage(); // again, as long as the test's own work goes on behind
    await sleep(1_000);
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(50_000); // microseconds, of the whole process
  });
  for (const { socket } of clients) socket.destroy();
});
