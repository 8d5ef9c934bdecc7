import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, exchange, readAll, readUntil } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, TestServer } from "../support/servers.ts";

// Every end cause that this version knows, reached from outside, with the status and code of its access line.

let gateway: Gateway;
let peer: TestServer;
let resetting: TestServer;
let mute: TestServer;
let hangup: TestServer;

beforeAll(async () => {
  peer = await echo();
  resetting = await TestServer.open((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  hangup = await TestServer.open((socket) => void socket.end()); // the first end comes from the peer
  mute = await TestServer.open(() => {}); // accepts, and never answers a ClientHello
  gateway = await Gateway.start(config(peer.address, resetting.address, mute.address, hangup.address), {
    ports: 11,
    files: await certificateFiles(),
  });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
  await resetting[Symbol.asyncDispose]();
  await mute[Symbol.asyncDispose]();
  await hangup[Symbol.asyncDispose]();
});

/** Clients of `hasty…` meet a time limit; all others are far from one, also on a busy machine. */
const config = (echoAddress: string, resetAddress: string, muteAddress: string, hangupAddress: string): string => `
import { content, defineGateway, on, otherwise, proxy, registry, reject } from "restyconf";
import { bytes, http } from "restyconf/preread";
const routes = [otherwise(proxy("echo"))];
export default defineGateway({
  upstreams: {
    echo: { peers: ["${echoAddress}"] },
    reset: { peers: ["${resetAddress}"] },
    refused: { peers: ["127.0.0.1:1"], tries: 1 },
    stuck: { peers: ["${muteAddress}"], ssl: { verify: false }, connectTimeoutMs: 100, tries: 1 },
    hangup: { peers: ["${hangupAddress}"] },
    none: { peers: registry("nobody") },
  },
  servers: {
    edge: { listen: "127.0.0.1:0", preread: { timeoutMs: 30_000, maxBytes: 64 }, routes: [
      on(bytes("echo"), proxy("echo")), on(bytes("reset"), proxy("reset")), on(bytes("refused"), proxy("refused")),
      on(bytes("none"), proxy("none")), on(bytes("stuck"), proxy("stuck")),
      on(bytes("content"), content(async (session) => { await session.write("done\\n"); })),
      on(bytes("throw"), content(async () => { throw new Error("no luck"); })),
      on(bytes("reject"), reject("not you")), on(bytes("limited"), reject("slow down", { status: 503 })),
      on(bytes("hangup"), proxy("hangup")),
      on({ name: "broken", examples: [], sniff(head) {
        if (head[0] !== 0x62) return { kind: "mismatch" };
        throw new Error("a sniffer of the user's must not throw");
      } }, proxy("echo")),
      on(http(), proxy("echo")),
    ] },
    hasty: { listen: "127.0.0.1:0", preread: { timeoutMs: 1_000 }, routes: [on(bytes("echo"), proxy("echo"))] },
    idle: { listen: "127.0.0.1:0", idleTimeoutMs: 100, routes },
    header: { listen: "127.0.0.1:0", proxyProtocol: { trust: ["127.0.0.1"], timeoutMs: 30_000 }, routes },
    hastyHeader: { listen: "127.0.0.1:0", proxyProtocol: { trust: ["127.0.0.1"], timeoutMs: 1_000 }, routes },
    secure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: ".", handshakeTimeoutMs: 30_000 }, routes },
    hastySecure: { listen: "127.0.0.1:0", ssl: { mode: "always", certs: ".", handshakeTimeoutMs: 1_000 }, routes },
    hooked: { listen: "127.0.0.1:0", routes, phases: { access: () => { throw new Error("hook broke"); } } },
    refusing: { listen: "127.0.0.1:0", routes, phases: { access: () => reject("not at night") } },
    internal: { listen: "127.0.0.1:0", routes: [otherwise(proxy("echo"))], phases: { balancer: () => 5 } },
    log: { listen: "127.0.0.1:0", routes, phases: { log: () => { throw new Error("log broke"); } } },
  },
});`;

async function ended(send: (port: number) => Promise<unknown>, server = "edge"): Promise<LogLine> {
  const port = gateway.port(server);
  const before = gateway.log.length;
  await send(port);
  return gateway.access((line) => line["server"] === server && gateway.log.indexOf(line) >= before);
}
const say = (text: string) => (port: number) => exchange(port, text);
const stay = (text: string) => async (port: number) => {
  const socket = await dialIn(port);
  if (text) socket.write(text);
  await readAll(socket);
  socket.destroy();
};
const abort = (text: string) => async (port: number) => {
  const socket = await dialIn(port);
  if (text) await new Promise((resolve) => socket.write(text, resolve));
  socket.resetAndDestroy();
};

describe.each([
  ["client_closed", 200, undefined, "edge", say("echo")],
  ["peer_closed", 200, undefined, "edge", stay("hangup")],
  ["internal", 500, "RC_INTERNAL", "edge", stay("broken")],
  ["client_closed", 200, "RC_CLIENT_CLOSED", "edge", say("")],
  ["client_reset", 200, "RC_CLIENT_RESET", "edge", abort("ec")],
  ["peer_reset", 200, undefined, "edge", stay("reset")],
  ["content_done", 200, undefined, "edge", stay("content")],
  ["preread_timeout", 200, "RC_PREREAD_TIMEOUT", "hasty", stay("ec")],
  ["preread_timeout", 200, "RC_PREREAD_TIMEOUT", "hasty", stay("")],
  ["preread_full", 400, "RC_PREREAD_FULL", "edge", stay(`GET /${"x".repeat(100)}`)],
  ["no_route", 400, "RC_NO_ROUTE", "edge", stay("?unknown")],
  ["rejected", 403, "RC_REJECTED", "edge", stay("reject")],
  ["rejected", 503, "RC_REJECTED", "edge", stay("limited")],
  ["rejected", 403, "RC_REJECTED", "refusing", stay("x")],
  ["hook_failed", 500, "RC_HOOK_FAILED", "edge", stay("throw")],
  ["hook_failed", 500, "RC_HOOK_FAILED", "hooked", stay("x")],
  ["hook_failed", 500, "RC_HOOK_FAILED", "internal", stay("x")],
  ["connect_failed", 502, "RC_PEER_CONNECT", "edge", stay("refused")],
  ["connect_timeout", 502, "RC_PEER_CONNECT_TIMEOUT", "edge", stay("stuck")],
  ["no_live_peer", 502, "RC_NO_LIVE_PEER", "edge", stay("none")],
  ["idle_timeout", 200, undefined, "idle", stay("x")],
  ["proxy_header", 400, "RC_PROXY_HEADER", "header", stay("GET / HTTP/1.1\r\n\r\n")],
  ["proxy_header", 400, "RC_PROXY_HEADER_TIMEOUT", "hastyHeader", stay("PROXY TC")],
  ["handshake_failed", 400, "RC_TLS_PLAIN", "secure", stay("GET / HTTP/1.1\r\n\r\n")],
  ["handshake_failed", 400, "RC_TLS_HELLO", "secure", stay("\x16\x03\x01\x00\x04\x02\x00\x00\x00")],
  ["handshake_timeout", 400, "RC_TLS_HANDSHAKE_TIMEOUT", "hastySecure", stay("\x16\x03\x01")],
] as const)("%s", (cause, status, code, server, send) => {
  test(`is logged with status ${status} and ${code ?? "no code"}`, async () => {
    const line = await ended(send, server);
    expect(line).toMatchObject({ end_cause: cause, status, server });
    expect(line["code"]).toBe(code);
    if (code) expect(line).toMatchObject({ phase: expect.any(String), reason: expect.any(String) });
  });
});

test("a log hook that throws is reported, and the access line is written all the same", async () => {
  const line = await ended(say("x"), "log");
  expect(line).toMatchObject({ end_cause: "client_closed", status: 200 });
  expect(
    await gateway.line((other) => other["level"] === "error" && JSON.stringify(other).includes("log broke")),
  ).toBeDefined();
});

test("a hook that throws is logged with the line of the configuration where it did", async () => {
  const line = await ended(say("x"), "hooked");
  expect(line).toMatchObject({ phase: "access", reason: "hook failed: access: hook broke" });
  expect(line["at"]).toMatch(/restyconf\.config\.ts:\d+:\d+/);
});

test("a route that refuses is not asked for access, and says in which phase it was decided", async () => {
  expect(await ended(stay("reject"))).toMatchObject({ phase: "preread" });
});

test("a quick stop ends running sessions as shutdown", async () => {
  await using other = await Gateway.start(config(peer.address, resetting.address, mute.address, hangup.address), {
    ports: 11,
    files: await certificateFiles(),
  });
  const socket = await dialIn(other.port());
  socket.write("echo");
  await readUntil(socket, (text) => text === "echo");
  expect(await other.stop("SIGTERM")).toBe(0);
  expect(other.log.find((line) => "end_cause" in line)).toMatchObject({
    end_cause: "shutdown",
    bytes_received: 4,
    bytes_sent: 4,
  });
});
