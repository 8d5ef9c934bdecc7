import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Endpoint } from "../../src/codecs/address.ts";
import { GatewayError } from "../../src/errors.ts";
import { dial } from "../../src/upstream/dial.ts";
import type { PeerEndpoint } from "../../src/upstream/peer-endpoint.ts";
import { BlackHole } from "../support/black-hole.ts";
import { readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { lifeOf } from "../support/life.ts";
import { echo, TestServer } from "../support/servers.ts";

const tcp = (port: number, host = "127.0.0.1"): Endpoint => ({ kind: "tcp", host, port });

function at(endpoint: Endpoint, options: Partial<PeerEndpoint> = {}): PeerEndpoint {
  return { address: "test", endpoint, connectTimeoutMs: 5_000, ...options };
}

/** File descriptors of sockets that this process has open. */
const descriptors = (): number => readdirSync("/proc/self/fd").length;

async function unusedPort(): Promise<number> {
  await using server = await echo();
  return server.port;
}

describe("dial", () => {
  test("connects by TCP with half-open sides, no delay, and the stream as its own transport", async () => {
    await using server = await echo();
    const { stream, transport } = await dial(at(tcp(server.port)));
    expect(transport).toBe(stream);
    expect(stream.isPaused()).toBe(true);
    expect(stream.allowHalfOpen).toBe(true);
    stream.end("there and back");
    expect((await readAll(stream.resume())).toString()).toBe("there and back");
  });

  test("connects to a unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dial-"));
    const path = join(folder, "peer.sock");
    const server = createServer((socket) => socket.end("by unix"));
    server.listen(path);
    await once(server, "listening");
    const { stream } = await dial(at({ kind: "unix", path }));
    expect((await readAll(stream.resume())).toString()).toBe("by unix");
    stream.destroy();
    server.close();
    rmSync(folder, { recursive: true });
    await expect(dial(at({ kind: "unix", path }))).rejects.toMatchObject({
      code: "RC_PEER_CONNECT",
      message: `cannot connect to peer: unix:${path}: ENOENT`,
    });
  });

  test("loses no byte of a peer that speaks first and ends at once", async () => {
    const banner = Buffer.alloc(300_000, "220 ready ");
    await using server = await TestServer.open((socket) => void socket.end(banner));
    const { stream } = await dial(at(tcp(server.port)));
    await eventually(() => expect(server.sockets.size).toBe(1)); // the owner takes its time
    expect((await readAll(stream.resume())).equals(banner)).toBe(true);
  });

  test("sends the preface before everything else", async () => {
    await using server = await echo();
    const { stream } = await dial(at(tcp(server.port)), { preface: Buffer.from("PROXY UNKNOWN\r\n") });
    stream.end("hello");
    expect((await readAll(stream.resume())).toString()).toBe("PROXY UNKNOWN\r\nhello");
  });

  test("binds to the local address that it is given", async () => {
    const seen: (string | undefined)[] = [];
    await using server = await TestServer.open((socket) => void seen.push(socket.remoteAddress));
    const { stream } = await dial(at(tcp(server.port), { localAddress: "127.0.0.2" }));
    await eventually(() => expect(seen).toEqual(["127.0.0.2"]));
    stream.destroy();
  });

  test("says why a peer could not be connected", async () => {
    const port = await unusedPort();
    const failure = dial(at(tcp(port)));
    await expect(failure).rejects.toBeInstanceOf(GatewayError);
    await expect(failure).rejects.toMatchObject({
      code: "RC_PEER_CONNECT",
      message: `cannot connect to peer: 127.0.0.1:${port}: ECONNREFUSED`,
    });
    const bad = dial(at(tcp(port), { localAddress: "203.0.113.1" }));
    await expect(bad).rejects.toMatchObject({
      code: "RC_PEER_CONNECT",
      message: `cannot connect to peer: 127.0.0.1:${port}: EADDRNOTAVAIL`,
    });
  });

  test("gives up in time on a peer that does not answer, and leaves nothing open", async () => {
    await using hole = await BlackHole.open();
    const before = descriptors();
    const begun = performance.now();
    await expect(dial(at(tcp(hole.port), { connectTimeoutMs: 150 }))).rejects.toMatchObject({
      code: "RC_PEER_CONNECT_TIMEOUT",
      message: `peer did not accept in time: 127.0.0.1:${hole.port}`,
    });
    expect(performance.now() - begun).toBeGreaterThan(140);
    await eventually(() => expect(descriptors()).toBeLessThanOrEqual(before));
  });

  test("does not begin when the signal has aborted already", async () => {
    await using server = await echo();
    const reason = new GatewayError("RC_CLIENT_RESET");
    await expect(dial(at(tcp(server.port)), { life: lifeOf(AbortSignal.abort(reason)) })).rejects.toBe(reason);
    expect(server.accepted).toBe(0);
  });

  test("ends at once when the signal aborts, with its reason, and leaves no descriptor and no listener behind", async () => {
    await using hole = await BlackHole.open();
    const before = descriptors();
    const controls = Array.from({ length: 50 }, () => new AbortController());
    const dials = controls.map(({ signal }) => dial(at(tcp(hole.port)), { life: lifeOf(signal) }));
    await eventually(() => expect(descriptors()).toBeGreaterThan(before + 40));
    for (const control of controls) control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    for (const result of await Promise.allSettled(dials)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "RC_CLIENT_CLOSED" } });
    }
    await eventually(() => expect(descriptors()).toBeLessThanOrEqual(before));
  });

  test("leaves a connected socket to its owner when the signal aborts later", async () => {
    await using server = await echo();
    const control = new AbortController();
    const { stream } = await dial(at(tcp(server.port)), { life: lifeOf(control.signal) });
    control.abort();
    stream.end("still here");
    expect((await readAll(stream.resume())).toString()).toBe("still here");
  });

  test("does not end the process when a peer resets before anybody listens", async () => {
    const accepted: Socket[] = [];
    await using server = await TestServer.open((socket) => void accepted.push(socket));
    const { stream } = await dial(at(tcp(server.port)));
    await eventually(() => expect(accepted).toHaveLength(1));
    stream.resume();
    accepted[0]?.resetAndDestroy();
    await eventually(() => expect(stream.destroyed).toBe(true));
    expect(stream.errored).toMatchObject({ code: "ECONNRESET" });
  });

  test("keeps what a peer sends in the kernel until somebody reads", async () => {
    const room = 8 * 1_024 * 1_024;
    await using server = await TestServer.open((socket) => void socket.write(Buffer.alloc(room)));
    const { stream } = await dial(at(tcp(server.port)));
    await eventually(() => expect([...server.sockets][0]?.writableLength).toBeGreaterThan(0));
    expect(stream.readableLength).toBeLessThan(256 * 1_024);
    let size = 0;
    stream.on("data", (chunk: Buffer) => {
      size += chunk.length;
    });
    stream.resume();
    await eventually(() => expect(size).toBe(room));
    stream.destroy();
  });

  test("reads on after a pause between connect and first read", async () => {
    await using server = await TestServer.open((socket) => void socket.write("banner\n"));
    const { stream } = await dial(at(tcp(server.port)));
    expect(await readUntil(stream, (text) => text.includes("\n"))).toBe("banner\n");
    stream.destroy();
  });
});
