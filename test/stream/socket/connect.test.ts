import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/errors.ts";
import { connect } from "../../../src/stream/socket/connect.ts";
import type { ConnectOptions } from "../../../src/stream/socket/connect-settings.ts";
import { resolveFailure } from "../../../src/stream/socket/resolve-host.ts";
import { systemWords } from "../../../src/stream/socket/system-words.ts";
import { BlackHole } from "../../support/black-hole.ts";
import { echo, TestServer } from "../../support/servers.ts";
import { freePorts } from "../../support/service.ts";
import { closeAll, later, onlyClient, said, serving, silent, socketTo } from "./socket-rig.ts";

afterEach(closeAll);

describe("connect(address, options) (§3.1)", () => {
  test("connects by address, by name, and to a unix socket", async () => {
    const server = await serving();
    const folder = mkdtempSync(join(tmpdir(), "restyconf-socket-"));
    const path = join(folder, "echo.sock");
    const unix = createServer((client) => void client.pipe(client)).listen(path);
    await once(unix, "listening");
    later(() => rmSync(folder, { recursive: true }));
    later(() => unix.close());
    for (const address of [server.address, `localhost:${server.port}`, `unix:${path}`]) {
      const socket = await socketTo(address);
      expect(await socket.send("hello\n")).toEqual({ sent: 6 });
      expect(said(await socket.receive())).toBe("hello");
      expect(socket.getReusedTimes()).toBe(0);
      expect(socket.close()).toEqual({ ok: true });
    }
  });

  test("nobody listens: `connection refused`", async () => {
    const [port] = await freePorts(1);
    expect(await connect(`127.0.0.1:${port}`)).toEqual({ err: "connection refused" });
  });

  test("a unix socket that is not there: `no such file or directory`", async () => {
    expect(await connect("unix:/nowhere/at-all.sock")).toEqual({ err: "no such file or directory" });
  });

  test("no answer: `timeout`, after the connect timeout", async () => {
    await using hole = await BlackHole.open();
    const beganAt = performance.now();
    expect(await connect(`127.0.0.1:${hole.port}`, { connectMs: 80 })).toEqual({ err: "timeout" });
    expect(performance.now() - beganAt).toBeGreaterThan(75);
  });

  test.each([
    ["127.0.0.1:65536", "bad port number: 65536"],
    ["127.0.0.1:-1", "bad port number: -1"],
    [":80", 'failed to parse host name "": no host'],
    ["unix:", 'failed to parse host name "unix:": no path in the unix domain socket'],
    ["a b:80", 'failed to parse host name "a b": invalid host'],
    ["nosuch.invalid:80", "nosuch.invalid could not be resolved (3: Host not found)"],
  ])("%s: `%s`", async (address, err) => {
    expect(await connect(address)).toEqual({ err });
  });

  test.each<[unknown, ConnectOptions, string]>([
    ["localhost", {}, "bad address: localhost"],
    [80, {}, "bad address: 80"],
    ["127.0.0.1:80", { pool: true as unknown as string }, 'bad "pool" option type: boolean'],
    ["127.0.0.1:80", { poolSize: 0 }, 'bad "poolSize" option value: 0'],
    ["127.0.0.1:80", { backlog: -1 }, 'bad "backlog" option value: -1'],
    ["127.0.0.1:80", { backlog: "many" as "1" }, 'bad "backlog" option value: many'],
    ["127.0.0.1:80", { connectMs: -1 }, "bad timeout value: -1"],
    ["127.0.0.1:80", { readMs: 2 ** 31 }, "bad timeout value: 2147483648"],
  ])("misuse throws: %j with %j", async (address, options, message) => {
    await expect(connect(address as string, options)).rejects.toThrow(message);
  });

  test("bind: the address to come from, or `bad address`", async () => {
    const server = await silent();
    await socketTo(server.address, { localAddress: "127.0.0.3" });
    expect((await onlyClient(server)).remoteAddress).toBe("127.0.0.3");
    expect(await connect(server.address, { localAddress: "nonsense" })).toEqual({ err: "bad address" });
  });

  test("an address to come from that is not ours: `cannot assign requested address`", async () => {
    const server = await silent();
    expect(await connect(server.address, { localAddress: "203.0.113.1" })).toEqual({
      err: "cannot assign requested address",
    });
  });

  test.each([
    ["ENOTFOUND", "a.test could not be resolved (3: Host not found)"],
    ["EAI_AGAIN", "a.test could not be resolved (110: Operation timed out)"],
    ["", "a.test could not be resolved (110: Operation timed out)"], // our own limit
    ["EAI_FAIL", "a.test could not be resolved (2: Server failure)"],
  ])("a resolver that says %j: `%s`", (code, words) => {
    expect(resolveFailure("a.test", code)).toBe(words);
  });

  test.each([
    ["EHOSTUNREACH", "no route to host"],
    ["ENETUNREACH", "network is unreachable"],
    ["ECONNRESET", "connection reset by peer"],
    ["EPIPE", "broken pipe"],
    ["ETIMEDOUT", "connection timed out"],
    ["EMFILE", "too many open files"],
    ["ENOMEM", "no memory"],
    ["EACCES", "permission denied"],
    ["ENOTCONN", "transport endpoint is not connected"],
  ])("the system's texts, lower-cased: %s is `%s`, also inside an error of ours", (code, words) => {
    const cause = Object.assign(new Error("from Node"), { code });
    expect(systemWords(cause)).toBe(words);
    expect(systemWords(new GatewayError("RC_PEER_CONNECT", "there", { cause }))).toBe(words);
  });

  test("a name with several addresses: the next one is tried", async () => {
    await using server = await TestServer.open((client) => client.end("here\n"), { host: "127.0.0.1" });
    for (let round = 0; round < 3; round++) {
      expect(said(await (await socketTo(`localhost:${server.port}`)).receive())).toBe("here");
    }
  });
});

describe("send(data) (§3.10)", () => {
  test.each<[string, unknown, string]>([
    ["text", "grün", "grün"],
    ["bytes", Buffer.from("raw"), "raw"],
    ["numbers", 1.5, "1.5"],
    ["booleans as words", true, "true"],
    ["null and undefined as nil", null, "nil"],
    ["nested arrays, flattened", ["a", ["b", [1, Buffer.from("c")], []], "d"], "ab1cd"],
  ])("%s", async (_, data, expected) => {
    const socket = await socketTo((await serving()).address);
    const size = Buffer.byteLength(expected);
    expect(await socket.send(data as string)).toEqual({ sent: size });
    expect(said(await socket.receive(size))).toBe(expected);
  });

  test('send("") is 0', async () => {
    const socket = await socketTo((await silent()).address);
    expect(await socket.send("")).toEqual({ sent: 0 });
  });

  test.each<[string, unknown]>([
    ["bad data type nil found", ["a", null]],
    ["bad data type boolean found", [["a", true]]],
    ["bad data type object found", { a: 1 }],
    ["bad data type function found", () => "a"],
  ])("`%s` throws, and nothing is sent", async (message, data) => {
    const socket = await socketTo((await serving()).address);
    await expect(socket.send(data as string)).rejects.toThrow(message);
    await socket.send("x");
    expect(said(await socket.receiveAny(10))).toBe("x");
  });

  test("resolves when everything reached the kernel, in order, however much it is", async () => {
    let heard = 0;
    const server = await serving((client) => client.on("data", (chunk: Buffer) => (heard += chunk.length)));
    const socket = await socketTo(server.address);
    expect(await socket.send(Buffer.alloc(5_000_000, "x"))).toEqual({ sent: 5_000_000 });
    socket.close();
    await new Promise((resolve) => [...server.sockets][0]?.once("end", resolve) ?? resolve(undefined));
    expect(heard).toBe(5_000_000);
  });

  test("a peer that takes nothing: `timeout`, which closes the write half; reading goes on", async () => {
    const server = await serving((client) => void client.pause().write("still talking\n"));
    const socket = await socketTo(server.address, { sendMs: 60 });
    const large = socket.send(Buffer.alloc(20_000_000));
    expect([await socket.send("x"), socket.close(), socket.shutdown("send")]).toEqual(
      Array(3).fill({ err: "socket busy writing" }),
    );
    expect(await large).toEqual({ err: "timeout" });
    expect(await socket.send("x")).toEqual({ err: "closed" });
    expect(said(await socket.receive())).toBe("still talking");
    expect(await socket.setKeepalive()).toEqual({ err: "closed" });
    expect(socket.close()).toEqual({ ok: true });
  });

  test("a signal that ends gives up a send that waits", async () => {
    const ending = new AbortController();
    const server = await serving((client) => void client.pause());
    const socket = await socketTo(server.address, { signal: ending.signal });
    const large = socket.send(Buffer.alloc(20_000_000));
    setTimeout(() => ending.abort(), 30); // the buffers are full by then, or they are not: it is given up all the same
    expect(await large).toEqual({ err: "aborted" });
    expect(await socket.send("x")).toEqual({ err: "closed" });
  });

  test("errors close the write half", async () => {
    const server = await silent();
    const socket = await socketTo(server.address);
    (await onlyClient(server)).resetAndDestroy();
    expect((await socket.receive()).err).toBe("connection reset by peer");
    expect((await socket.send("x")).err).toMatch(/^(broken pipe|connection reset by peer|closed)$/);
    expect(await socket.send("x")).toEqual({ err: "closed" });
  });
});

describe("setTimeouts({ connectMs, sendMs, readMs }) and setTimeout(ms) (§3.5)", () => {
  test("0 or none falls back to the default, not to infinite; they apply to later operations only", async () => {
    const socket = await socketTo((await silent()).address);
    socket.setTimeouts({ readMs: 20 });
    const first = socket.receive();
    socket.setTimeouts({ readMs: 0 });
    expect((await first).err).toBe("timeout");
    socket.setTimeout(20);
    expect((await socket.receive()).err).toBe("timeout");
  });

  test.each([-1, 2 ** 31, Number.NaN])("`bad timeout value: %s` throws", async (ms) => {
    const socket = await socketTo((await silent()).address);
    expect(() => socket.setTimeout(ms)).toThrow("bad timeout value");
    expect(() => socket.setTimeouts({ sendMs: ms })).toThrow("bad timeout value");
  });
});

describe("setOption(name, value) (§3.11)", () => {
  test("keepalive and tcp-nodelay are set, and stay on pooled connections", async () => {
    await using server = await echo();
    const first = await socketTo(server.address);
    expect(first.getOption("tcp-nodelay")).toEqual({ value: 1 });
    expect(first.setOption("tcp-nodelay", 0)).toEqual({ ok: true });
    expect(first.setOption("keepalive", false)).toEqual({ ok: true });
    await first.setKeepalive();
    const second = await socketTo(server.address);
    expect([second.getOption("tcp-nodelay"), second.getOption("keepalive")]).toEqual([{ value: 0 }, { value: 0 }]);
  });

  test("what Node cannot set answers so", async () => {
    const socket = await socketTo((await silent()).address);
    expect(socket.setOption("sndbuf" as "keepalive", 1)).toEqual({ err: "unsupported option sndbuf" });
    expect(socket.getOption("sndbuf" as "keepalive")).toEqual({ err: "unsupported option sndbuf" });
  });
});
