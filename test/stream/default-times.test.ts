import { describe, expect, test } from "vitest";
import {
  connect,
  content,
  type GatewayConfig,
  on,
  otherwise,
  proxy,
  type ServerConfig,
  type ServerPhases,
} from "../../src/index.ts";
import { ssh } from "../../src/preread/index.ts";
import { echo, type RunOptions, receive, runSession, send, wait } from "../../src/testing/index.ts";

// Times that nobody sets are too long for a story with real sockets: the test kit has them in no time, to the millisecond.

const forever = (): Promise<never> => new Promise(() => {});

function gateway(server: Partial<ServerConfig>): GatewayConfig {
  return {
    upstreams: { game: { peers: ["10.0.0.1:7000"] } },
    servers: { edge: { listen: "127.0.0.1:5050", routes: [otherwise(proxy("game"))], ...server } },
  };
}

const sniffed: ServerConfig["routes"] = [on(ssh(), proxy("game")), otherwise(proxy("game"))];
const hooked = (phases: ServerPhases): Partial<ServerConfig> => ({ phases });
const handler = (work: Parameters<typeof content>[0]): Partial<ServerConfig> => ({
  routes: [otherwise(content(work))],
});

test.each<[string, number, Partial<ServerConfig>, RunOptions, object]>([
  ["preread", 5, { routes: sniffed }, { client: send("SS") }, { code: "RC_PREREAD_TIMEOUT", status: 200 }],
  [
    "PROXY header",
    3,
    { proxyProtocol: { trust: ["127.0.0.1"] } },
    {},
    { code: "RC_PROXY_HEADER_TIMEOUT", status: 400 },
  ],
  [
    "connect",
    5,
    {},
    { client: send("x"), peers: { game: "silent" } },
    { code: "RC_PEER_CONNECT_TIMEOUT", status: 502 },
  ],
  ["idle relay", 600, {}, { client: send("x"), peers: { game: echo() } }, { end_cause: "idle_timeout", status: 200 }],
  [
    "sleep in preread",
    60,
    hooked({ preread: forever }),
    { client: send("x") },
    { code: "RC_HOOK_TIMEOUT", status: 500 },
  ],
  [
    "sleep in rewrite",
    60,
    hooked({ rewrite: forever }),
    { client: send("x") },
    { code: "RC_HOOK_TIMEOUT", status: 500 },
  ],
  ["sleep in access", 60, hooked({ access: forever }), { client: send("x") }, { code: "RC_HOOK_TIMEOUT", status: 500 }],
  [
    "sleep in balancer",
    60,
    hooked({ balancer: forever }),
    { client: send("x") },
    { code: "RC_HOOK_TIMEOUT", status: 500 },
  ],
  [
    "sleep in headerFilter",
    60,
    hooked({ headerFilter: forever }),
    { client: send("x"), peers: { game: echo() } },
    { code: "RC_HOOK_TIMEOUT", status: 500 },
  ],
  [
    "sleep in bodyFilter",
    60,
    hooked({ bodyFilter: { client: forever } }),
    { client: send("x"), peers: { game: echo() } },
    { code: "RC_HOOK_TIMEOUT", status: 500 },
  ],
  ["read in preread", 5, hooked({ preread: async ({ reader }) => void (await reader.receive()) }), {}, { status: 502 }],
  [
    "read in content",
    60,
    handler(async ({ reader }) => void (await reader.receive())),
    {},
    { end_cause: "content_done" },
  ],
])("%s: %d s", async (_, seconds, server, options, line) => {
  const run = await runSession(gateway(server), options);
  expect(run.line).toMatchObject({ ...line, session_time: seconds });
});

test("a log hook that waits holds the session for 5 s, and its line for no time", async () => {
  const run = await runSession(gateway({ phases: { log: forever } }), {
    client: [send("x"), wait(1)],
    peers: { game: [receive(1), (peer) => peer.end()] },
  });
  expect(run.line.session_time).toBeLessThan(0.01);
  expect(run.logs).toMatchObject([
    { event: "log hook failed", fields: { err: new Error("not finished within 5000 ms") } },
  ]);
});

describe("outgoing sockets of hooks", () => {
  const timeOf = async (work: () => Promise<unknown>, options: RunOptions) =>
    (await runSession(gateway(handler(async () => void (await work()))), options)).line.session_time;

  test("connect within 60 s, as in OpenResty", async () => {
    expect(await timeOf(() => connect("10.0.0.9:1"), { peers: { "10.0.0.9:1": "silent" } })).toBe(60);
  });

  test("read within 60 s", async () => {
    const read = async () => (await connect("10.0.0.9:1")).socket?.receive();
    expect(await timeOf(read, { peers: { "10.0.0.9:1": [] } })).toBe(60);
  });
});
