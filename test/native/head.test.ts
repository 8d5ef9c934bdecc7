import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { headFlags, type NativeSilent } from "../../src/stream/carrier/addon.ts";
import { eventually } from "../support/eventually.ts";
import { echo } from "../support/servers.ts";
import { Client, peer, Rig } from "./rig.ts";

test("a session opens with the first bytes, its listener, and the time of its accept", async () => {
  using rig = new Rig();
  const { listener, port } = rig.listen();
  const before = Number(process.hrtime.bigint()) / 1e6;
  using _client = await Client.open(port, { says: "hello" });
  const open = await rig.next("open");
  expect(open).toMatchObject({ a: listener, b: 0 });
  expect(open.bytes.toString()).toBe("hello");
  expect(open.e).toBeGreaterThanOrEqual(before - 1);
  expect(open.e).toBeLessThanOrEqual(Number(process.hrtime.bigint()) / 1e6);
  expect(open.session % 2 ** 20).toBe(open.slot);
});

test("no more than headBytes are read before JavaScript is asked, and the rest is not lost", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { port } = rig.listen({ headBytes: 10 });
  using client = await Client.open(port, { says: "0123456789abcdef" });
  const open = await rig.next("open");
  expect(open.bytes.toString()).toBe("0123456789");
  rig.engine.relay(open.session, ...peer(server.port));
  expect((await client.receive(16)).toString()).toBe("0123456789abcdef");
});

test("a port that does not wait opens sessions at once", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ waits: false });
  using _client = await Client.open(port);
  expect(await rig.next("open")).toMatchObject({ b: 0, d: 0 });
});

test("a client that says nothing is opened when its time is over, and not before", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ firstByteMs: 60 });
  const before = performance.now();
  using _client = await Client.open(port);
  expect(await rig.next("open")).toMatchObject({ b: headFlags.timeout, d: 0 });
  expect(performance.now() - before).toBeGreaterThanOrEqual(59);
});

test("openSilent opens those who have said nothing, and only those", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using _talker = await Client.open(port, { says: "x" });
  const open = await rig.next("open");
  using _silent = await Client.open(port);
  await eventually(() => expect(rig.engine.sessions).toBe(2)); // accepted, and not told of
  expect(rig.unclaimed).toEqual([]);
  rig.engine.openSilent();
  const silent = await rig.next("open");
  expect(silent).toMatchObject({ b: headFlags.timeout, d: 0 });
  expect(silent.session).not.toBe(open.session);
});

test("a client that ends without a byte is opened as ended", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port);
  client.socket.end();
  expect(await rig.next("open")).toMatchObject({ b: headFlags.ended, d: 0 });
});

test("a client that resets before its first byte is opened as reset", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port);
  await eventually(() => expect(rig.engine.sessions).toBe(1)); // a reset in the queue of the kernel is nobody's client
  client.socket.resetAndDestroy();
  expect(await rig.next("open")).toMatchObject({ b: headFlags.reset, d: 0 });
});

test("more is answered once, when enough bytes have come, however they come", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  const wakes = rig.wakes;
  expect(rig.engine.more(session, 50, 60_000)).toBe(true);
  expect(rig.engine.more(session, 50, 60_000)).toBe(false); // it is not JavaScript's now
  for (let sent = 1; sent < 49; sent++) {
    client.socket.write("b");
    await sleep(1);
  }
  expect(rig.wakes).toBe(wakes);
  client.socket.write("c");
  const head = await rig.next("head");
  expect(head).toMatchObject({ session, b: 0 });
  expect(head.bytes.toString()).toBe(`${"b".repeat(48)}c`);
});

test("more gives what came when the time is over", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  client.socket.write("bc");
  let got = "";
  while (got === "") {
    rig.engine.more(session, 50, 80); // again, should the engine not have read them in time
    const head = await rig.next("head");
    expect(head.b).toBe(headFlags.timeout);
    got += head.bytes.toString();
  }
  expect(got).toBe("bc");
});

test("more gives what came when the client ends, and says so again when asked again", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  rig.engine.more(session, 50, 60_000);
  client.socket.end("bc");
  const head = await rig.next("head");
  expect(head.b).toBe(headFlags.ended);
  expect(head.bytes.toString()).toBe("bc");
  rig.engine.more(session, 50, 60_000);
  expect(await rig.next("head")).toMatchObject({ b: headFlags.ended, d: 0 });
});

test("a head may be larger than the first read, and than the shared buffer in several answers", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  const sent = Buffer.alloc(400_000, "0123456789");
  client.socket.write(sent);
  const got: Buffer[] = [];
  for (let count = 1; count < sent.length + 1; count += got.at(-1)?.length ?? 0) {
    expect(rig.engine.more(session, sent.length + 1, 60_000)).toBe(true);
    got.push((await rig.next("head")).bytes);
    expect(got.at(-1)?.length).toBeGreaterThan(0);
  }
  expect(Buffer.concat(got).equals(sent)).toBe(true);
});

test("a reset is told while JavaScript thinks, once", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  client.socket.resetAndDestroy();
  expect(await rig.next("broke")).toMatchObject({ session });
  expect(rig.engine.close(session, false)).toBe(true);
  expect(rig.engine.release(session)).toBe(true);
  expect(rig.engine.sessions).toBe(0);
});

test("a kill ends a wait for more", async () => {
  using rig = new Rig();
  const { port } = rig.listen();
  using _client = await Client.open(port, { says: "a" });
  const { session } = await rig.next("open");
  expect(rig.engine.kill(session, 5)).toBe(false); // nothing goes on
  rig.engine.more(session, 50, 60_000);
  expect(rig.engine.kill(session, 5)).toBe(true);
  expect(await rig.next("head")).toMatchObject({ session, b: headFlags.reset });
});

test("clients that say nothing are listed with their addresses, and one of them can be opened", async () => {
  using rig = new Rig();
  const { port, listener } = rig.listen();
  const begun = Number(process.hrtime.bigint()) / 1e6;
  using talker = await Client.open(port, { says: "x" });
  const talking = await rig.next("open");
  using one = await Client.open(port);
  using other = await Client.open(port);
  const list = await eventually(() => {
    const silent = rig.engine.silent();
    expect(silent).toHaveLength(2);
    return silent;
  });
  const portOf = (entry: NativeSilent): number => entry[4];
  expect(list.map(portOf).sort()).toEqual([one.socket.localPort, other.socket.localPort].sort());
  for (const [session, from, acceptedMs, remote, , local, localPort] of list) {
    expect([from, remote, local, localPort]).toEqual([listener, "127.0.0.1", "127.0.0.1", port]);
    expect(acceptedMs).toBeGreaterThanOrEqual(begun - 1);
    expect(rig.engine.kill(session, 5)).toBe(false); // nobody has heard of it
    expect(rig.engine.release(session)).toBe(false);
  }
  expect(rig.engine.open(talking.session)).toBe(false);
  for (const wrong of [-1, 0.5, Number.NaN, 2 ** 60, 2 ** 20 + 999]) expect(rig.engine.open(wrong)).toBe(false);
  const [chosen = talking.session] = list.find((entry) => portOf(entry) === one.socket.localPort) ?? [];
  expect(rig.engine.open(chosen)).toBe(true);
  expect(await rig.next("open")).toMatchObject({ session: chosen, b: headFlags.timeout, d: 0 });
  expect(rig.engine.open(chosen)).toBe(false);
  expect(rig.engine.silent().map(portOf)).toEqual([other.socket.localPort]);
  talker.socket.destroy();
});

test("a client that says nothing on a unix socket has no address", async () => {
  using rig = new Rig();
  const path = `/tmp/carrier-silent-${process.pid}`;
  const { listener } = rig.listen({ host: undefined, path });
  using _client = await Client.open(path);
  await eventually(() =>
    expect(rig.engine.silent()).toEqual([[expect.any(Number), listener, expect.any(Number), "unix:", 0, "unix:", 0]]),
  );
});
