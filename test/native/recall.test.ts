import { closeSync, writeSync } from "node:fs";
import { expect, test } from "vitest";
import { relayCauses } from "../../src/stream/carrier/addon.ts";
import { eventually } from "../support/eventually.ts";
import { echo } from "../support/servers.ts";
import { Client, openFiles, peer, Rig } from "./rig.ts";

/** A relay that runs, after a message to and fro. */
async function running(rig: Rig, port: number): Promise<{ readonly client: Client; readonly session: number }> {
  const client = await Client.open(rig.listen().port, { says: "hello" });
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(port));
  await rig.next("connected");
  await client.receive(5);
  return { client, session };
}

/** The answer that both sockets may be taken. */
async function recalled(rig: Rig, session: number): Promise<void> {
  await eventually(async () => {
    expect(rig.engine.recall(session, 0)).toBe(true);
    expect(await rig.next("recalled")).toMatchObject({ a: 1, b: 5, c: 5, d: 1 });
  });
}

const killed = relayCauses.indexOf("killed");

test("a relay at rest is given back with both its sockets, once", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { client, session } = await running(rig, server.port);
  using _client = client;
  await recalled(rig, session);
  const taken = rig.engine.takeOver(session);
  expect(taken).toMatchObject({ bytes: new Uint8Array(0), flags: 0 });
  expect(rig.engine.takeOver(session)).toBeUndefined();
  const { fd = -1, peer: other = -1 } = taken ?? {};
  writeSync(other, " again"); // it echoes, and nobody relays
  writeSync(fd, " bye");
  expect((await client.receive(9)).toString()).toBe("hello bye");
  for (const socket of [fd, other]) closeSync(socket);
  await client.over;
  expect(client.received.toString()).toBe("hello bye");
  expect(rig.engine.kill(session, killed)).toBe(false);
  expect(rig.engine.counters(session)).toBe(true);
  expect(rig.engine.release(session)).toBe(true);
  expect(rig.unclaimed).toEqual([]);
  expect(rig.engine.sessions).toBe(0);
});

test("one that has moved nothing has no last word of whoever had its place before", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { client } = await running(rig, server.port);
  client.socket.end();
  await rig.end();
  using _silent = await Client.open(rig.listen({ waits: false }).port);
  const { session } = await rig.next("open");
  rig.engine.relay(session, ...peer(server.port));
  await rig.next("connected");
  await eventually(async () => {
    expect(rig.engine.recall(session, 0)).toBe(true);
    expect(await rig.next("recalled")).toMatchObject({ a: 1, b: 0, c: 0, d: 0 });
  });
});

test("one that is not at rest says so, and goes on", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { client, session } = await running(rig, server.port);
  using _client = client;
  expect(rig.engine.recall(session, 60_000)).toBe(true);
  expect(rig.engine.recall(session, 0)).toBe(false); // one at a time
  expect(await rig.next("recalled")).toMatchObject({ a: 0, b: 5, c: 5 });
  expect(rig.engine.takeOver(session)).toBeUndefined();
  client.socket.end(" world");
  expect((await client.receive(11)).toString()).toBe("hello world");
  expect(await rig.end()).toMatchObject({ b: 11, c: 11 });
});

test("one that is released untaken is closed on both sides", async () => {
  await using server = await echo();
  using rig = new Rig();
  const before = openFiles();
  const { client, session } = await running(rig, server.port);
  await recalled(rig, session);
  expect(rig.engine.release(session)).toBe(true);
  await client.over;
  client.socket.destroy();
  await eventually(() => expect(openFiles()).toBeLessThanOrEqual(before + 1)); // the port
  expect(rig.engine.sessions).toBe(0);
});

test.each(["kill", "drain"] as const)("an end that finds it untaken takes the recall back: %s", async (how) => {
  using rig = new Rig();
  await using server = await echo();
  const { client, session } = await running(rig, server.port);
  using _client = client;
  await recalled(rig, session);
  expect(how === "kill" ? rig.engine.kill(session, killed) : rig.engine.drain(session)).toBe(true);
  expect(rig.engine.takeOver(session)).toBeUndefined();
  expect(await client.over).toBe("end");
  client.socket.end();
  expect(await rig.end()).toMatchObject({ a: relayCauses.indexOf(how === "kill" ? "killed" : "drained"), b: 5, c: 5 });
  expect(rig.unclaimed).toEqual([]);
});

test("an end that is said before the answer is read makes it void", async () => {
  using rig = new Rig();
  await using server = await echo();
  const { client, session } = await running(rig, server.port);
  using _client = client;
  expect(rig.engine.recall(session, 0)).toBe(true);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20); // no event is taken meanwhile
  expect(rig.engine.kill(session, killed)).toBe(true);
  expect(await rig.next("recalled")).toMatchObject({ a: 0 });
  expect(await rig.end()).toMatchObject({ a: killed });
  expect(await client.over).toBe("end");
});

test("before it is known to run, there is nothing to recall", async () => {
  using rig = new Rig();
  await using server = await echo();
  using client = await Client.open(rig.listen().port, { says: "x" });
  const { session } = await rig.next("open");
  expect(rig.engine.recall(session, 0)).toBe(false);
  rig.engine.relay(session, ...peer(server.port));
  expect(rig.engine.recall(session, 0)).toBe(false);
  client.socket.end();
  await rig.end();
});

test("a stop closes what was given back and nobody has taken", async () => {
  await using server = await echo();
  const before = openFiles();
  const rig = new Rig();
  const { client, session } = await running(rig, server.port);
  await recalled(rig, session);
  rig.engine.stop();
  expect(rig.engine.takeOver(session)).toBeUndefined();
  expect(rig.engine.recall(session, 0)).toBe(false);
  await client.over;
  client.socket.destroy();
  await eventually(() => expect(openFiles()).toBeLessThanOrEqual(before));
});
