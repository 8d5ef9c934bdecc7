import { once } from "node:events";
import { readSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { relayCauses } from "../../src/stream/carrier/addon.ts";
import { BlackHole } from "../support/black-hole.ts";
import { eventually } from "../support/eventually.ts";
import { echo, TestServer } from "../support/servers.ts";
import { Client, openFiles, peer, Rig } from "./rig.ts";

const cause = (name: (typeof relayCauses)[number]): number => relayCauses.indexOf(name);
const ECONNREFUSED = 111;
const ENOENT = 2;
const EADDRNOTAVAIL = 99;

async function unusedPort(): Promise<number> {
  const server = await echo();
  const { port } = server;
  await server[Symbol.asyncDispose]();
  return port;
}

/** A relay that has echoed something, and its two ends. */
async function running(rig: Rig, serve: Parameters<typeof TestServer.open>[0]) {
  const server = await TestServer.open(serve);
  const client = await Client.open(rig.listen().port, { says: "ping" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  await rig.next("connected");
  await eventually(() => expect(server.accepted).toBe(1)); // the kernel accepts sooner than the server does
  return { server, client, session };
}

test("a client's reset becomes the peer's", async () => {
  using rig = new Rig();
  const failures: unknown[] = [];
  const { server, client } = await running(rig, (socket) => {
    socket.on("error", (error) => failures.push("code" in error && error.code)).resume();
  });
  client.socket.resetAndDestroy();
  expect(await rig.end()).toMatchObject({ a: cause("client_reset"), b: 4 });
  await eventually(() => expect(failures).toEqual(["ECONNRESET"]));
  await server[Symbol.asyncDispose]();
});

test("a peer's reset becomes the client's", async () => {
  using rig = new Rig();
  const { server, client } = await running(rig, (socket) => socket.on("data", () => socket.resetAndDestroy()));
  expect(await client.closed).toBe("reset");
  expect(await rig.end()).toMatchObject({ a: cause("peer_reset"), b: 4 });
  await server[Symbol.asyncDispose]();
});

test("a reset behind an end that was passed on is passed on, too", async () => {
  using rig = new Rig();
  const { server, client } = await running(rig, (socket) => socket.end("bye"));
  await eventually(() => expect(client.ended).toBe(true));
  for (const socket of server.sockets) socket.resetAndDestroy();
  expect(await rig.end()).toMatchObject({ a: cause("peer_closed") }); // what came first names the end
  client.socket.write("to nobody");
  expect(await client.closed).toBe("reset");
  await server[Symbol.asyncDispose]();
});

test("a peer that resets while the client does not read is noticed", async () => {
  using rig = new Rig();
  const { server, client } = await running(rig, (socket) => void socket.write(Buffer.alloc(20_000_000)));
  client.socket.pause();
  await sleep(50);
  for (const socket of server.sockets) socket.resetAndDestroy();
  expect(await rig.end()).toMatchObject({ a: cause("peer_reset") });
  client.socket.resume();
  await client.over; // Node takes a reset behind data for an end
  await server[Symbol.asyncDispose]();
});

test("a refused connect gives the session back, with all its bytes", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "first" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(await unusedPort(), { skip: 2, preface: Buffer.from("lost") }));
  expect(await rig.next("failed")).toMatchObject({ session, a: ECONNREFUSED });
  expect(rig.engine.relay(session, ...peer(server.port))).toBe(true);
  expect((await client.receive(5)).toString()).toBe("first");
  client.socket.end();
  expect(await rig.end()).toMatchObject({ b: 5, c: 5 });
});

test("a connect that gets no answer fails when its time is over", async () => {
  using rig = new Rig();
  await using hole = await BlackHole.open();
  using _client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  const before = performance.now();
  rig.engine.relay(session, ...peer(hole.port, { connectTimeoutMs: 80 }));
  expect(await rig.next("failed")).toMatchObject({ session, a: 0 });
  expect(performance.now() - before).toBeGreaterThanOrEqual(79);
});

test("errors of the socket, the path and the local address are failures with their number", async () => {
  using rig = new Rig();
  await using server = await echo();
  using _client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(-1, { host: "/nonexistent/socket" }));
  expect(await rig.next("failed")).toMatchObject({ a: ENOENT });
  rig.engine.relay(session, ...peer(server.port, { localAddress: "192.0.2.1" }));
  expect(await rig.next("failed")).toMatchObject({ a: EADDRNOTAVAIL });
});

test("the local address is the one that was asked for", async () => {
  using rig = new Rig();
  const from: (string | undefined)[] = [];
  await using server = await TestServer.open((socket) => from.push(socket.remoteAddress));
  using _client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port, { localAddress: "127.0.0.7" }));
  await rig.next("connected");
  await eventually(() => expect(from).toEqual(["127.0.0.7"]));
});

test("a client that resets during the connect ends it", async () => {
  using rig = new Rig();
  await using hole = await BlackHole.open();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(hole.port));
  await sleep(20);
  client.socket.resetAndDestroy();
  expect(await rig.end()).toMatchObject({ a: cause("client_reset"), b: 0, c: 0, d: -1 });
});

test("a client that reset while JavaScript thought is not connected any more", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  client.socket.resetAndDestroy();
  await rig.next("broke");
  expect(rig.engine.relay(session, ...peer(server.port))).toBe(true);
  expect(await rig.end()).toMatchObject({ a: cause("client_reset") });
  expect(server.accepted).toBe(0);
});

test("a relay where nothing moves ends when its idle time is over, and activity puts that off", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  const before = performance.now();
  rig.engine.relay(session, ...peer(server.port, { idleTimeoutMs: 2_500 }));
  for (let beat = 0; beat < 10; beat++) {
    await sleep(300); // three seconds in all: longer than the timeout
    client.socket.write("x");
  }
  expect(await rig.end()).toMatchObject({ a: cause("idle_timeout"), b: 11, c: 11 });
  expect(performance.now() - before).toBeGreaterThanOrEqual(5_450);
  expect(await client.over).toBe("end");
});

test.each(["killed", "shutdown", "drained"] as const)("a relay can be %s", async (name) => {
  using rig = new Rig();
  const { server, client, session } = await running(rig, (socket) => socket.pipe(socket));
  await client.receive(4);
  expect(rig.engine.kill(session, cause(name))).toBe(true);
  expect(await rig.end()).toMatchObject({ a: cause(name), b: 4, c: 4 });
  expect(await client.over).toBe("end");
  expect(rig.engine.kill(session, cause(name))).toBe(false);
  await server[Symbol.asyncDispose]();
});

test("a connect can be killed, whether or not it has failed already", async () => {
  using rig = new Rig();
  await using hole = await BlackHole.open();
  const refusing = await unusedPort();
  const { port } = rig.listen();
  for (const to of [hole.port, refusing]) {
    using client = await Client.open(port, { says: "x" });
    const { session } = await rig.next("open");
    rig.engine.relay(session, ...peer(to));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); // no event is taken meanwhile
    expect(rig.engine.kill(session, cause("killed"))).toBe(true);
    expect(await rig.end()).toMatchObject({ a: cause("killed"), b: 0, c: 0 });
    await client.over;
  }
  expect(rig.unclaimed).toEqual([]);
});

test("thousands of random kills leave nothing behind", async () => {
  const before = openFiles();
  {
    using rig = new Rig();
    const server = await echo();
    const { port } = rig.listen();
    for (let round = 0; round < 20; round++) {
      const clients = await Promise.all(Array.from({ length: 50 }, () => Client.open(port, { says: "x" })));
      const ends = clients.map(async ({ socket }) => {
        const { session } = await rig.next("open");
        rig.engine.relay(session, ...peer(server.port));
        socket.write(Buffer.alloc(Math.floor(Math.random() * 200_000)));
        await sleep(Math.random() * 10);
        rig.engine.kill(session, cause("killed"));
      });
      await Promise.all(ends);
      for (const _ of clients) await rig.end();
      for (const client of clients) client.socket.destroy();
    }
    expect(rig.engine.sessions).toBe(0);
    await server[Symbol.asyncDispose]();
  }
  await eventually(() => expect(openFiles()).toBeLessThanOrEqual(before));
});

test("close ends the client's connection, by an end or by a reset", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  for (const reset of [false, true]) {
    using client = await Client.open(port, { says: "x" });
    const { session } = await rig.next("open");
    expect(rig.engine.close(session, reset)).toBe(true);
    expect(rig.engine.close(session, reset)).toBe(false);
    if (reset) expect(await client.closed).toBe("reset");
    else await eventually(() => expect(client.ended).toBe(true));
    expect(rig.engine.addresses(session)).toBeDefined(); // until it is released
    expect(rig.engine.release(session)).toBe(true);
    expect(rig.engine.addresses(session)).toBeUndefined();
  }
});

test("a released session that was not closed is closed", async () => {
  using rig = new Rig();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  expect(rig.engine.release(session)).toBe(true);
  expect(rig.engine.release(session)).toBe(false);
  await eventually(() => expect(client.ended).toBe(true));
});

test("a socket that was taken over works without the engine", async () => {
  using rig = new Rig();
  const { Socket } = await import("node:net");
  using client = await Client.open(rig.listen().port, { says: "abc" });
  const { session } = await rig.next("open");
  const taken = rig.engine.takeOver(session);
  expect(taken).toMatchObject({ flags: 0 });
  expect(taken?.bytes).toHaveLength(0);
  expect(rig.engine.takeOver(session)).toBeUndefined();
  expect(rig.engine.close(session, true)).toBe(false);
  expect(rig.engine.release(session)).toBe(true);
  const socket = new Socket({ fd: taken?.fd ?? -1 });
  socket.write("hello");
  expect((await client.receive(5)).toString()).toBe("hello");
  client.socket.write("world");
  const [chunk] = await once(socket, "data");
  expect(String(chunk)).toBe("world");
  rig.engine.stop(); // which leaves it alone
  socket.write("!");
  await client.receive(6);
  socket.destroy();
});

test("a socket that is taken over while more is awaited brings the bytes that nobody was told of", async () => {
  using rig = new Rig();
  const { Socket } = await import("node:net");
  const { port } = rig.listen();
  for (let waitMs = 30, brought = ""; brought === ""; waitMs *= 2) {
    using client = await Client.open(port, { says: "abc" });
    const { session } = await rig.next("open");
    rig.engine.more(session, 100, 60_000);
    client.socket.write("def");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, waitMs); // the engine reads meanwhile, this thread does not
    const taken = rig.engine.takeOver(session);
    const { fd = -1, flags } = taken ?? {};
    brought = Buffer.from(taken?.bytes ?? []).toString();
    const left = Buffer.alloc(10);
    // Held up for so long, it may not have read: once more, if the socket has them all.
    if (brought === "") expect(left.toString("latin1", 0, readSync(fd, left))).toBe("def");
    else expect(brought).toBe("def");
    expect(flags).toBe(0);
    new Socket({ fd }).destroy();
    rig.engine.release(session);
  }
  await sleep(20);
  expect(rig.unclaimed).toEqual([]);
});

test("what a peer accepts after the relay's end is nobody's", async () => {
  using rig = new Rig();
  const server = createServer((socket) => socket.on("error", () => {}).end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const { port } = rig.listen();
  for (let count = 0; count < 50; count++) {
    using client = await Client.open(port);
    client.socket.end("x");
    const { session } = await rig.next("open");
    rig.engine.relay(session, ...peer(typeof address === "object" ? (address?.port ?? 0) : 0));
    await rig.end();
  }
  expect(rig.engine.sessions).toBe(0);
  server.close();
});
