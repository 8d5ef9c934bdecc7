import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { echo, TestServer } from "../support/servers.ts";
import { Client, peer, Rig } from "./rig.ts";

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
  const { session } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.1", port]);
});

test("on a wildcard the local address is the one that the client used", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ host: "0.0.0.0" });
  using client = await Client.open(port, { says: "x", host: "127.0.0.9" });
  const { session } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.9", port]);
});

test("IPv4 clients of an IPv6 port have IPv4 addresses", async () => {
  using rig = new Rig();
  const { port } = rig.listen({ host: "::" });
  using client = await Client.open(port, { says: "x" });
  const { session } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["127.0.0.1", client.socket.localPort, "127.0.0.1", port]);
});

test("IPv6 works on both sides", async () => {
  using rig = new Rig();
  await using server = await TestServer.open((socket) => socket.pipe(socket), { host: "::1" });
  const { port } = rig.listen({ host: "::1", ipv6Only: true });
  using client = await Client.open(port, { says: "x", host: "::1" });
  const { session } = await rig.next("open");
  expect(rig.engine.addresses(session)).toEqual(["::1", client.socket.localPort, "::1", port]);
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
