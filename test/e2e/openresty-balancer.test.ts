import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readAll } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { named, TestServer } from "../support/servers.ts";
import { freePorts } from "../support/service.ts";

// What ngx.balancer means, sentence by sentence; test/openresty/sentences.test.ts says where each of them is proven.

const folder = mkdtempSync(join(tmpdir(), "restyconf-balancer-"));
const path = join(folder, "peer.sock");

interface Addresses {
  readonly good: string;
  readonly port: number;
  readonly resets: string;
  readonly dead: readonly number[];
}

const config = ({ good, port, resets, dead }: Addresses): string => `
import { defineGateway, otherwise, proxy } from "restyconf";
const dead = ${JSON.stringify(dead)};
const tell = (what) => console.error(JSON.stringify(what));
const server = (balancer, upstream = "game", log) => ({ listen: "127.0.0.1:0", routes: [otherwise(proxy(upstream))], phases: { balancer, log } });
const times = ({ vars }) => tell({ addr: vars.upstream_addr, connect: vars.upstream_connect_time, session: vars.upstream_session_time });
export default defineGateway({
  upstreams: {
    game: { peers: ["127.0.0.1:1"], tries: 5, maxFails: 0 },
    once: { peers: ["127.0.0.1:1"], tries: 1, maxFails: 0 },
    plain: { peers: ["${resets}", { address: "${good}", backup: true }] },
  },
  servers: {
    ip: server(() => "${good}"),
    v6: server(() => "[::1]:${port}"),
    unix: server(() => "unix:${path}"),
    name: server(async () => "localhost:${port}"),
    bound: server(() => ({ address: "${good}", localAddress: "127.0.0.9" })),
    retried: server(({ attempt, lastFailure, ctx }) => {
      (ctx.asked ??= []).push([attempt, lastFailure]);
      return "127.0.0.1:" + dead[attempt - 1];
    }, "game", ({ ctx }) => tell({ asked: ctx.asked })),
    single: server(({ attempt }) => "127.0.0.1:" + dead[attempt - 1], "once"),
    second: server(({ attempt, ctx }) => { ctx.tries = (ctx.tries ?? 0) + 1; return attempt < 3 ? "127.0.0.1:" + dead[attempt] : "${good}"; },
      "game", (session) => { tell({ tries: session.ctx.tries }); times(session); }),
    noneLeft: server(() => "127.0.0.1:" + dead[0], "game", times),
    relayed: server(undefined, "plain"),
    impatient: server(() => ({ address: "${good}", idleTimeoutMs: 80 })),
    badTimeout: server(() => ({ address: "${good}", connectTimeoutMs: 0 })),
    badIdle: server(() => ({ address: "${good}", idleTimeoutMs: -1 })),
  },
});`;

let gateway: Gateway;
let good: TestServer;
let resets: TestServer;
let local: Server;
let v6: Server;
const far: (string | undefined)[] = [];

async function listening(server: Server, on: object): Promise<Server> {
  server.listen(on);
  await once(server, "listening");
  return server;
}

beforeAll(async () => {
  good = await named("good");
  good.server.on("connection", (socket: Socket) => far.push(socket.remoteAddress));
  resets = await TestServer.open((socket) => void socket.once("data", () => socket.resetAndDestroy()));
  local = await listening(
    createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)),
    { path },
  );
  v6 = await listening(
    createServer({ allowHalfOpen: true }, (socket) => void socket.pipe(socket)),
    { host: "::1", port: good.port },
  );
  const text = config({ good: good.address, port: good.port, resets: resets.address, dead: await freePorts(6) });
  gateway = await Gateway.start(text, { ports: [...text.matchAll(/^ {4}\w+: server\(/gm)].length });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  for (const server of [good, resets]) await server?.[Symbol.asyncDispose]();
  for (const server of [local, v6]) server?.close();
  rmSync(folder, { recursive: true });
});

const lineOf = (server: string): Promise<LogLine> => gateway.access((line) => line["server"] === server);

describe("set_current_peer (§6.1)", () => {
  test.each(["ip", "v6", "unix", "name"])(
    "takes an IP address of either kind, a unix socket, and here a name, too: %s",
    async (server) => {
      expect(await exchange(gateway.port(server), "hello")).toMatch(/^(good\n)?hello$/);
    },
  );

  test("bind_to_local_addr is localAddress", async () => {
    await exchange(gateway.port("bound"), "x");
    expect(far).toContain("127.0.0.9");
  });

  test.each([
    ["badTimeout", "balancer: bad connect timeout"],
    ["badIdle", "balancer: bad idle timeout"],
  ])("set_timeouts refuses 0 and less: %s", async (server, words) => {
    await exchange(gateway.port(server), "x");
    expect(await lineOf(server)).toMatchObject({
      code: "RC_HOOK_FAILED",
      reason: `hook failed: ${words}`,
      status: 500,
    });
  });

  test("of set_timeouts, the larger one of send and read is idleTimeoutMs", async () => {
    const socket = await dialIn(gateway.port("impatient"));
    socket.write("x");
    await readAll(socket);
    expect(await lineOf("impatient")).toMatchObject({ end_cause: "idle_timeout", status: 200 });
    socket.destroy();
  });
});

describe("attempts (§6.2)", () => {
  test("the hook runs before every attempt and is told of the last failure; limit 5, 5 attempts", async () => {
    await exchange(gateway.port("retried"), "x");
    const line = await lineOf("retried");
    expect(line).toMatchObject({ status: 502, end_cause: "connect_failed" });
    expect(String(line["upstream_addr"]).split(", ")).toHaveLength(5);
    const { asked } = await gateway.line((one) => "asked" in one);
    const failed = expect.stringMatching(/^cannot connect to peer: .*ECONNREFUSED/);
    expect(asked).toEqual([[1, null], ...[2, 3, 4, 5].map((attempt) => [attempt, failed])]);
  });

  test("tries: 1 is exactly one attempt", async () => {
    await exchange(gateway.port("single"), "x");
    expect(await lineOf("single")).toMatchObject({ upstream_addr: expect.not.stringContaining(","), status: 502 });
  });

  test("client bytes buffered meanwhile are replayed to the peer finally connected, and ctx survives between attempts", async () => {
    expect(await exchange(gateway.port("second"), "buffered")).toBe("good\nbuffered");
    expect(await gateway.line((line) => "tries" in line)).toEqual({ tries: 3 });
  });

  test("once bytes flowed there is no retry", async () => {
    const before = good.accepted;
    const socket = await dialIn(gateway.port("relayed"));
    socket.write("x");
    expect(String(await readAll(socket))).toBe("");
    expect(await lineOf("relayed")).toMatchObject({ upstream_addr: resets.address, end_cause: "peer_reset" });
    expect(good.accepted).toBe(before);
  });

  test("upstream_addr has all attempts, comma separated; upstream_connect_time is - for failed ones", async () => {
    await exchange(gateway.port("second"), "x");
    const told = await gateway.line(({ addr }) => String(addr).endsWith(good.address));
    expect(told).toEqual({
      addr: expect.stringMatching(/^127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+, 127\.0\.0\.1:\d+$/),
      connect: expect.stringMatching(/^-, -, \d+(\.\d+)?$/),
      session: expect.stringMatching(/^-, -, \d+(\.\d+)?$/),
    });
    expect(await lineOf("second")).toMatchObject({
      upstream_addr: told["addr"],
      upstream_connect_time: expect.any(Number),
    });
  });

  test("a peer that was tried is not tried again: the session ends with its failure", async () => {
    await exchange(gateway.port("noneLeft"), "x");
    expect(await lineOf("noneLeft")).toMatchObject({
      status: 502,
      code: "RC_PEER_CONNECT",
      upstream_addr: expect.not.stringContaining(","),
    });
    expect(await gateway.line(({ connect }) => connect === "-")).toMatchObject({ session: "-" });
  });
});
