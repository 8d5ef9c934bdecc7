import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { echo, TestServer } from "../support/servers.ts";
import { BINARY, Client, peer, Rig, USUAL_PORT } from "./rig.ts";

/** Of a race: with a kernel that told one of two alone, every second one was lost. */
const ROUNDS = 100;

/** 127.0.0.1 */
const LOOPBACK = 0x7f000001;

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "carrier-"));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

test("addresses are those of the two ends", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "x" });
  const { session, ends } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.1", port]);
  expect(ends).toEqual([LOOPBACK, client.socket.localPort, LOOPBACK, port]);
});

test("on a wildcard the local address is the one that the client used", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ host: "0.0.0.0" });
  using client = await Client.open(port, { says: "x", host: "127.0.0.9" });
  const { session, ends } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.9", port]);
  expect(ends).toEqual([LOOPBACK, client.socket.localPort, LOOPBACK + 8, port]);
});

test("IPv4 clients of an IPv6 port have IPv4 addresses", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ host: "::" });
  using client = await Client.open(port, { says: "x" });
  const { session, ends } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.1", port]);
  expect(ends).toEqual([LOOPBACK, client.socket.localPort, LOOPBACK, port]);
});

test("IPv6 works on both sides", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.pipe(socket), { host: "::1" });
  const { port } = rig.listen({ host: "::1", ipv6Only: true });
  using client = await Client.open(port, { says: "x", host: "::1" });
  const { session, ends } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["::1", client.socket.localPort, "::1", port]);
  expect(ends).toEqual([-1, client.socket.localPort, -1, port]);
  rig.engine.relay(session, ...peer(server.port, { host: "::1" }));
  expect((await client.receive(1)).toString()).toBe("x");
});

test("a zone belongs to an address", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.pipe(socket), { host: "::1" });
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  expect(rig.engine.relay(session, ...peer(server.port, { host: "::1%lo" }))).toBe(true);
  expect((await client.receive(1)).toString()).toBe("x");
});

test("unix sockets work on both sides, and our own path is removed at the end", async () => {
  using folder = new Folder();
  using rig = new Rig();
  const path = join(folder.path, "in");
  const outer = join(folder.path, "out");
  const behind = rig.listen({ host: undefined, path: outer });
  const { listener, port } = rig.listen({ host: undefined, path });
  expect(port).toBe(0);
  await using server = await echo();
  using client = await Client.open(path, { says: "x" });
  const first = await rig.next("open");
  expect(rig.engine.addresses(first.session)).toEqual(["unix:", 0, `unix:${path}`, 0]);
  rig.engine.relay(first.session, ...peer(-1, { host: outer }));
  const second = await rig.next("open");
  expect(second.a).toBe(behind.listener);
  rig.engine.relay(second.session, ...peer(server.port));
  client.socket.end("y".repeat(100_000));
  expect(await client.closed).toBe("end");
  expect(client.count).toBe(100_001);
  await rig.end();
  await rig.end();
  rig.engine.unlisten(listener);
  expect(existsSync(path)).toBe(false);
});

test("a path that somebody else has taken meanwhile is left to them", () => {
  using folder = new Folder();
  using rig = new Rig();
  const path = join(folder.path, "in");
  const { listener } = rig.listen({ host: undefined, path });
  rmSync(path);
  writeFileSync(path, "theirs");
  rig.engine.unlisten(listener);
  expect(existsSync(path)).toBe(true);
});

test("a port that is in use says so", () => {
  using rig = new Rig();
  const { port } = rig.listen();
  expect(() => rig.listen({ port })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
});

test.each([
  { what: "an address of another machine", host: "192.0.2.1", code: "EADDRNOTAVAIL" },
  { what: "a name", host: "localhost", code: "EINVAL" },
])("$what cannot be listened on", ({ host, code }) => {
  using rig = new Rig();
  expect(() => rig.listen({ host })).toThrow(expect.objectContaining({ code }));
});

test("a path that exists is left alone", () => {
  using folder = new Folder();
  using rig = new Rig();
  const path = join(folder.path, "file");
  writeFileSync(path, "mine");
  expect(() => rig.listen({ host: undefined, path })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  expect(existsSync(path)).toBe(true);
});

test("after unlisten the port is free, and its sessions go on", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { listener, port } = rig.listen();
  using client = await Client.open(port, { says: "x" });
  const { session } = await rig.next("open");
  rig.engine.unlisten(listener);
  rig.engine.unlisten(listener); // nothing happens
  await expect(Client.open(port)).rejects.toThrow("ECONNREFUSED");
  expect(rig.listen({ port }).port).toBe(port);
  rig.engine.relay(session, ...peer(server.port));
  expect((await client.receive(1)).toString()).toBe("x");
  client.socket.end();
  await rig.end();
});

test("several may open one port if all of them say so, and the kernel shares the clients out", async () => {
  using one = new Rig();
  using other = new Rig();
  const { listener, port } = one.listen({ reusePort: true });
  expect(() => other.listen({ port })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  expect(other.listen({ port, reusePort: true }).port).toBe(port);
  one.engine.unlisten(listener);
  using _client = await Client.open(port, { says: "x" });
  expect((await other.next("open")).bytes.toString()).toBe("x");
});

describe("a socket that listens already", () => {
  const inherited = { host: undefined, path: undefined } as const;

  test("is shared: who pauses leaves the clients to the other, and nobody refuses one", async () => {
    using one = new Rig();
    using other = new Rig();
    const first = one.listen();
    const second = other.listen({ ...inherited, listenFd: first.fd });
    expect(second.port).toBe(first.port);
    expect(one.engine.pause(first.listener)).toBe(true);
    using client = await Client.open(first.port, { says: "to the other" });
    const { session } = await other.next("open");
    expect(other.engine.addresses(session)?.slice(2)).toEqual(["127.0.0.1", first.port]);
    other.engine.pause(second.listener);
    using _waiting = await Client.open(first.port, { says: "to the first" });
    one.engine.resume(first.listener);
    expect((await one.next("open")).bytes.toString()).toBe("to the first");
    expect(other.unclaimed).toEqual([]);
    one.engine.unlisten(first.listener);
    other.engine.resume(second.listener);
    using _late = await Client.open(first.port, { says: "it is still open" });
    expect((await other.next("open")).bytes.toString()).toBe("it is still open");
    client.socket.destroy();
  });

  test("who leaves while a client comes leaves him to the other, or takes him", async () => {
    using one = new Rig();
    using other = new Rig();
    const clients: Socket[] = [];
    for (let round = 1; round <= ROUNDS; round++) {
      const first = one.listen();
      const second = other.listen({ ...inherited, listenFd: first.fd });
      clients.push(connect(first.port, "127.0.0.1").on("error", () => {})); // it connects behind this turn
      process.nextTick(() => one.engine.unlisten(first.listener));
      await eventually(() => expect(one.engine.sessions + other.engine.sessions).toBe(round));
      other.engine.unlisten(second.listener);
    }
    for (const client of clients) client.destroy();
  });

  test("lets others open the port beside it from then on, when it is asked to, and is still open itself", async () => {
    using one = new Rig();
    using other = new Rig();
    const { fd, port, listener } = one.listen();
    expect(() => other.listen({ port, reusePort: true })).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    const copy = other.listen({ ...inherited, listenFd: fd, reusePort: true });
    const beside = other.listen({ port, reusePort: true });
    expect([copy.port, beside.port]).toEqual([port, port]);
    for (const each of [copy, beside]) other.engine.unlisten(each.listener);
    using _client = await Client.open(port, { says: "to the first" });
    expect((await one.next("open")).bytes.toString()).toBe("to the first");
    expect(one.engine.unlisten(listener)).toBe(true);
  });

  test("of the file system keeps its path when one of two lets go", async () => {
    using folder = new Folder();
    using one = new Rig();
    using other = new Rig();
    const path = join(folder.path, "in");
    const { fd } = one.listen({ host: undefined, path });
    const { listener } = other.listen({ ...inherited, listenFd: fd });
    other.engine.unlisten(listener);
    expect(existsSync(path)).toBe(true);
    using _client = await Client.open(path, { says: "x" });
    const { session } = await one.next("open");
    expect(one.engine.addresses(session)).toEqual(["unix:", 0, `unix:${path}`, 0]);
  });

  test("may come from another process, which then accepts there", async () => {
    using rig = new Rig();
    const { listener, port, fd } = rig.listen();
    rig.engine.pause(listener);
    const options = JSON.stringify({ ...USUAL_PORT, ...inherited, listenFd: 3 });
    const child = spawn(process.execPath, ["-e", ACCEPTS_ONE, BINARY, options], {
      stdio: ["ignore", "pipe", "inherit", fd],
    });
    if (!child.stdout) throw new TypeError("no pipe");
    const said = text(child.stdout);
    using client = await Client.open(port, { says: "hello" });
    expect(await said).toBe("hello\n");
    expect(await client.over).toBe("end");
    rig.engine.resume(listener); // the port outlives it
    using _late = await Client.open(port, { says: "x" });
    expect((await rig.next("open")).bytes.toString()).toBe("x");
  });

  test.each([
    { what: "a number that is no file", fdOf: () => 1_000_000, code: "EBADF" },
    { what: "a file", fdOf: () => openSync("/dev/null", "r"), code: "ENOTSOCK" },
  ])("is not $what", ({ fdOf, code }) => {
    using rig = new Rig();
    const listenFd = fdOf();
    expect(() => rig.listen({ ...inherited, listenFd })).toThrow(expect.objectContaining({ code }));
    if (code === "ENOTSOCK") closeSync(listenFd); // it is still ours
  });

  test("is not a connection", async () => {
    using rig = new Rig();
    const socket = connect(rig.listen().port, "127.0.0.1");
    await once(socket, "connect");
    const listenFd = Number(Reflect.get(Reflect.get(socket, "_handle"), "fd"));
    expect(() => rig.listen({ ...inherited, listenFd })).toThrow(expect.objectContaining({ code: "EINVAL" }));
    socket.destroy();
  });

  test("takes the place of an address: both together are misuse", () => {
    using rig = new Rig();
    expect(() => rig.listen({ listenFd: 0 })).toThrow(TypeError);
    expect(() => rig.listen({ ...inherited, listenFd: -1 })).toThrow(TypeError);
  });
});

describe("an open port", () => {
  test("takes other rules, and misses no client meanwhile", async () => {
    using rig = new Rig();
    const { port, listener } = rig.listen({ firstByteMs: 60_000 });
    using before = await Client.open(port);
    await eventually(() => expect(rig.engine.silent()).toHaveLength(1));
    expect(rig.engine.adjust(listener, { ...USUAL_PORT, waits: false })).toBe(true);
    using after = await Client.open(port);
    const told = await rig.next("open");
    expect(told).toMatchObject({ a: listener, b: 0, d: 0 });
    expect(rig.engine.addresses(told.session)?.[1]).toBe(after.socket.localPort);
    before.socket.write("late"); // who was there keeps waiting
    expect((await rig.next("open")).bytes.toString()).toBe("late");
    expect(rig.engine.adjust(999, USUAL_PORT)).toBe(false);
  });

  test("of the file system keeps its path through that", async () => {
    using folder = new Folder();
    using rig = new Rig();
    const path = join(folder.path, "in");
    const { listener } = rig.listen({ host: undefined, path });
    expect(rig.engine.adjust(listener, { ...USUAL_PORT, headBytes: 2, group: 7 })).toBe(true);
    using _client = await Client.open(path, { says: "hello" });
    expect((await rig.next("open")).bytes.toString()).toBe("he");
    rig.engine.unlisten(listener);
    expect(existsSync(path)).toBe(false);
  });

  test("counts its sessions together with the others of its group", async () => {
    using rig = new Rig();
    const rules = { group: 3, maxSessions: 2 };
    const [one, two, alone] = [rig.listen(rules), rig.listen(rules), rig.listen({ maxSessions: 1 })];
    using _first = await Client.open(one.port);
    using _second = await Client.open(two.port);
    await eventually(() => expect(rig.engine.silent()).toHaveLength(2));
    using third = await Client.open(one.port);
    expect(await third.over).toBe("end");
    using _other = await Client.open(alone.port);
    await eventually(() => expect(rig.engine.silent()).toHaveLength(3));
    rig.engine.adjust(two.listener, { ...USUAL_PORT, group: 4, maxSessions: 1 });
    using _moved = await Client.open(two.port); // its old sessions count where they came in
    await eventually(() => expect(rig.engine.silent()).toHaveLength(4));
    using late = await Client.open(one.port);
    expect(await late.over).toBe("end");
    const [silent] = rig.engine.silent().find(([, listener]) => listener === one.listener) ?? [0];
    rig.engine.open(silent);
    await rig.next("open");
    rig.engine.release(silent); // a place that was released is free at once
    using _free = await Client.open(one.port, { says: "x" });
    expect((await rig.next("open")).bytes.toString()).toBe("x");
  });
});

/** Accepts one client at the socket it was given, says what that one said, and closes. */
const ACCEPTS_ONE = `
  const addon = require(process.argv[1]);
  const events = new Float64Array(120);
  const bytes = Buffer.alloc(1000);
  const engine = addon.start({ maxSessions: 10, events, bytes, wake: () => {
    for (let count = engine.take(); count > 0; count = engine.take()) {
      console.log(bytes.toString("latin1", events[5], events[5] + events[6]));
      engine.stop();
    }
  } });
  engine.listen({ ...JSON.parse(process.argv[2]) });
`;
