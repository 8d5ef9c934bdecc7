import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Wire } from "../../../src/stream/wire/wire.ts";
import { dialWire, wireTarget } from "../../../src/stream/wire/wire-dial.ts";
import type { PeerEndpoint } from "../../../src/upstream/peer-endpoint.ts";
import { BlackHole } from "../../support/black-hole.ts";
import { lifeOf } from "../../support/life.ts";
import { echo } from "../../support/servers.ts";
import { wirePair } from "../../support/wires.ts";

const HOST = "127.0.0.1";
const life = lifeOf(new AbortController().signal);

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

async function client(): Promise<Wire> {
  const { near, far } = await wirePair();
  open.push(far);
  return near;
}

async function unusedPort(): Promise<number> {
  await using server = await echo();
  return server.port;
}

const closed = (wire: Wire): Promise<void> => new Promise((resolve) => wire.whenClosed(resolve));

test("a peer that accepts is a wire, and what it says first is not lost", async () => {
  await using server = await echo();
  const wire = await dialWire(
    await client(),
    { kind: "tcp", host: HOST, port: server.port },
    { timeoutMs: 5_000, life },
  );
  expect(wire.name("peer")).toMatchObject({ address: HOST, port: server.port });
  wire.close();
  await closed(wire);
});

test("a peer that refuses is told from one that does not answer", async () => {
  const port = await unusedPort();
  const refused = dialWire(await client(), { kind: "tcp", host: HOST, port }, { timeoutMs: 5_000, life });
  await expect(refused).rejects.toMatchObject({
    code: "RC_PEER_CONNECT",
    message: expect.stringContaining("ECONNREFUSED"),
  });
  await using hole = await BlackHole.open();
  const late = dialWire(await client(), { kind: "tcp", host: HOST, port: hole.port }, { timeoutMs: 50, life });
  await expect(late).rejects.toMatchObject({ code: "RC_PEER_CONNECT_TIMEOUT" });
});

test("a client that is closed meanwhile breaks the connect off", async () => {
  await using hole = await BlackHole.open();
  const { near: from, far } = await wirePair();
  open.push(far);
  const dialing = dialWire(from, { kind: "tcp", host: HOST, port: hole.port }, { timeoutMs: 60_000, life });
  from.close();
  await expect(dialing).rejects.toMatchObject({ code: "RC_CLIENT_RESET" });
});

test("a session that is over connects nowhere", async () => {
  const over = lifeOf(AbortSignal.abort());
  const dialing = dialWire(await client(), { kind: "tcp", host: HOST, port: 1 }, { timeoutMs: 60_000, life: over });
  await expect(dialing).rejects.toMatchObject({ code: "RC_SHUTDOWN" });
});

const tcp = { kind: "tcp", host: HOST, port: 1 } as const;
const at = (options: Partial<PeerEndpoint>): PeerEndpoint => ({
  address: "x",
  endpoint: tcp,
  connectTimeoutMs: 1,
  ...options,
});

test.each([
  ["an IP address", at({}), true],
  ["a unix socket", at({ endpoint: { kind: "unix", path: "/x" } }), false],
  ["a name", at({ endpoint: { kind: "tcp", host: "localhost", port: 1 } }), false],
  ["a chosen source address", at({ localAddress: HOST }), false],
])("whether a wire goes to %s", (_what, peer, expected) => {
  expect(wireTarget(peer) !== undefined).toBe(expected);
});
