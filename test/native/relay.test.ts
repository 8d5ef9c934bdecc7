import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { echo, TestServer } from "../support/servers.ts";
import { Client, peer, Rig } from "./rig.ts";

const CLIENT_CLOSED = 0;
const PEER_CLOSED = 1;
const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Relays the next session as it is. */
async function relayNext(rig: Rig, port: number, options: Parameters<typeof peer>[1] = {}): Promise<number> {
  const { session } = await rig.next("open");
  expect(rig.engine.relay(session, ...peer(port, options))).toBe(true);
  return session;
}

test.each([1, 1_000, 1_000_000, 20_000_000])("%i bytes come back unchanged, and are counted", async (size) => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port);
  const sent = randomBytes(size);
  client.socket.end(sent);
  const session = await relayNext(rig, server.port);
  expect((await rig.next("connected")).a).toBeGreaterThanOrEqual(0);
  expect(await client.closed).toBe("end");
  expect(hash(client.received)).toBe(hash(sent));
  const ended = await rig.end();
  expect(ended).toMatchObject({ session, a: CLIENT_CLOSED, b: size, c: size });
  expect(ended.d).toBeGreaterThanOrEqual(0);
});

test("the preface goes first, what was consumed is left out, and neither counts", async () => {
  using rig = new Rig();
  const got: Buffer[] = [];
  await using server = await TestServer.open((socket) =>
    socket.on("data", (chunk) => got.push(chunk)).on("end", () => socket.end()),
  );
  using client = await Client.open(rig.listen().port, { says: "consumed+first" });
  await relayNext(rig, server.port, { skip: 9, preface: Buffer.from("PROXY ") });
  client.socket.end(" second");
  expect(await rig.end()).toMatchObject({ b: "first second".length, c: 0, d: -1 });
  expect(Buffer.concat(got).toString()).toBe("PROXY first second");
});

test("an end that came with the first byte is passed on behind it", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port);
  client.socket.end("x");
  await relayNext(rig, server.port);
  expect(await client.closed).toBe("end");
  expect(client.received.toString()).toBe("x");
  expect(await rig.end()).toMatchObject({ a: CLIENT_CLOSED, b: 1, c: 1 });
});

test("one byte and the end in one segment are both passed on, in either direction", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.on("data", () => socket.end("y")));
  using client = await Client.open(rig.listen().port, { says: "opening" });
  await relayNext(rig, server.port);
  await client.receive(1);
  await eventually(() => expect(client.ended).toBe(true));
  client.socket.end("z");
  expect(await rig.end()).toMatchObject({ a: PEER_CLOSED, b: 8, c: 1 });
});

test("a server that speaks first is heard by a client that says nothing", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.write("220 hello\r\n"));
  using client = await Client.open(rig.listen({ waits: false }).port);
  await relayNext(rig, server.port);
  expect((await client.receive(11)).toString()).toBe("220 hello\r\n");
});

test("the client's end does not stop the answer", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => {
    socket.resume().on("end", () => setTimeout(() => socket.end("answer"), 30));
  });
  using client = await Client.open(rig.listen().port);
  client.socket.end("question");
  await relayNext(rig, server.port);
  expect(await client.closed).toBe("end");
  expect(client.received.toString()).toBe("answer");
  expect(await rig.end()).toMatchObject({ a: CLIENT_CLOSED });
});

test("the peer's end does not stop the upload", async () => {
  using rig = new Rig();
  let got = 0;
  await using server = await TestServer.open((socket) => {
    socket.on("data", (chunk) => {
      got += chunk.length;
    });
    socket.end("bye");
  });
  using client = await Client.open(rig.listen().port, { says: "x" });
  await relayNext(rig, server.port);
  await client.receive(3);
  await eventually(() => expect(client.ended).toBe(true));
  for (let part = 0; part < 10; part++) {
    client.socket.write(Buffer.alloc(50_000));
    await sleep(2);
  }
  client.socket.end();
  expect(await rig.end()).toMatchObject({ a: PEER_CLOSED, b: 500_001, c: 3 });
  await eventually(() => expect(got).toBe(500_001)); // the kernel has them sooner than the server reads them
});

test("who does not read stops who sends, and memory does not grow", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.pause());
  using client = await Client.open(rig.listen().port, { says: "x" });
  const session = await relayNext(rig, server.port);
  const before = process.memoryUsage().rss;
  const chunk = Buffer.alloc(1024 * 1024);
  let sent = 0;
  const pour = (): void => {
    while (sent < 64 && client.socket.write(chunk)) sent++;
    sent++;
  };
  client.socket.on("drain", pour);
  pour();
  let count = -1;
  await eventually(() => {
    const previous = count;
    expect(rig.engine.counters(session)).toBe(true);
    [count = 0] = rig.events;
    expect(count).toBe(previous); // two looks, the same count: it has stopped
  });
  expect(count).toBeLessThan(32 * 1024 * 1024);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
  rig.engine.kill(session, 5);
  expect(await rig.end()).toMatchObject({ a: 5 });
});

test("who begins to read again gets everything", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.end(Buffer.alloc(8_000_000, "0123456789")));
  using client = await Client.open(rig.listen().port, { says: "x" });
  client.socket.pause();
  await relayNext(rig, server.port);
  await sleep(100);
  client.socket.resume().end();
  await client.closed;
  expect(hash(client.received)).toBe(hash(Buffer.alloc(8_000_000, "0123456789")));
  expect(await rig.end()).toMatchObject({ c: 8_000_000 });
});

test("hundreds of sessions at once keep their bytes apart", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { port } = rig.listen();
  const clients = await Promise.all(Array.from({ length: 200 }, () => Client.open(port)));
  const sent = clients.map(() => randomBytes(20_000));
  for (const [at, { socket }] of clients.entries()) socket.end(sent[at] ?? "");
  for (const _ of clients) await relayNext(rig, server.port);
  await Promise.all(clients.map(({ closed }) => closed));
  expect(clients.map(({ received }) => hash(received))).toEqual(sent.map(hash));
  for (const _ of clients) expect(await rig.end()).toMatchObject({ a: CLIENT_CLOSED, b: 20_000, c: 20_000 });
  expect(rig.engine.sessions).toBe(0);
});

test("connects and ends of many sessions do not wake JavaScript one by one", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { port } = rig.listen();
  const clients = await Promise.all(Array.from({ length: 50 }, () => Client.open(port, { says: "x" })));
  for (const _ of clients) await relayNext(rig, server.port);
  for (const _ of clients) await rig.next("connected");
  const wakes = rig.wakes;
  for (const { socket } of clients) socket.end();
  await Promise.all(clients.map(({ closed }) => closed));
  for (const _ of clients) await rig.end();
  expect(rig.wakes - wakes).toBeLessThan(25);
});

test("a relay whose peer closed and whose client has been silent is reused by nobody", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.end());
  using client = await Client.open(rig.listen().port, { says: "x" });
  const session = await relayNext(rig, server.port);
  await eventually(() => expect(client.ended).toBe(true));
  expect(rig.engine.release(session)).toBe(false); // it still flows
  expect(rig.engine.relay(session, ...peer(server.port))).toBe(false);
  expect(rig.engine.takeOver(session)).toBeUndefined();
  client.socket.end();
  await once(client.socket, "close");
  await rig.end();
  expect(rig.engine.release(session)).toBe(false);
});
