import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeClientHello } from "../../src/codecs/tls/client-hello-encode.ts";
import { dialIn, exchange, readAll, readUntil } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What OpenResty's phases mean, sentence by sentence; test/openresty/sentences.test.ts says where each of them is proven.

const ROUTE = `otherwise(proxy("echo"))`;

/** What each phase in front of the relay does when a hook exits. */
const EXITS = ["preread", "rewrite", "access", "balancer", "headerFilter"].flatMap((phase) =>
  [0, -1, 403].map((code) => ({
    name: `${phase}Exit${code}`,
    phase,
    code,
    status: { "0": 200, "-1": 500, "403": 403 }[code],
  })),
);

const config = (echoAddress: string): string => `
import { content, defineGateway, on, otherwise, proxy, reject, sleep, timer } from "restyconf";
import { bytes, tls } from "restyconf/preread";
const tell = (what) => console.error(JSON.stringify(what));
const server = (routes, phases = {}, more = {}) => ({ listen: "127.0.0.1:0", routes, phases, ...more });
const onEcho = ${ROUTE};
const exits = (phase, code) => ({ [phase]: async (session) => { await session.vars.connection; session.exit(code); } });
const served = (name) => otherwise(content(async (session) => { await session.write(name); }));
export default defineGateway({
  upstreams: { echo: { peers: ["${echoAddress}"] }, dead: { peers: ["127.0.0.1:1"] } },
  phases: {
    preread: (session) => {
      const code = session.vars.exitFirst;
      if (code !== undefined) session.exit(code);
    },
    log: (session) => tell({ logged: session.server, id: session.id, status: session.status, ctx: session.ctx }),
  },
  servers: {
    ${EXITS.map(({ name, phase, code }) => `"${name}": server([onEcho], exits("${phase}", ${code})),`).join("\n    ")}
    inContent: server([otherwise(content(async (session) => { await sleep(1); session.exit(403); }))]),
    inTimer: server([onEcho], { access: (session) => new Promise(() => timer.at(5, () => session.exit(403))) }),
    skipped: server([served("content")], { set: { exitFirst: () => 0 }, preread: () => reject("the second handler ran") }),
    declined: server([served("content")], { preread: (session) => { session.ctx.second = true; } }),
    ${[-1, 403, 500].map((code) => `"ended${code}": server([otherwise(content(() => tell({ ran: ${code} })))], { set: { exitFirst: () => ${code} } }),`).join("\n    ")}
    ${[200, 408, 444, 499, 500].map((code) => `"content${code}": server([otherwise(content(async (session) => { session.write("sent"); session.exit(${code}); }))]),`).join("\n    ")}
    chosen: server([onEcho], { balancer: (session) => session.exit(0) }),
    "balancer-1": server([onEcho], { balancer: (session) => session.exit(-1) }),
    balancer403: server([onEcho], { balancer: (session) => session.exit(403) }),
    balancerThrows: server([onEcho], { balancer: () => { throw new Error("no shard"); } }),
    prereadThrows: server([onEcho], { preread: () => { throw new Error("in preread"); } }),
    contentThrows: server([otherwise(content(async () => { throw new Error("in content"); }))]),
    logThrows: server([onEcho], { log: () => { throw new Error("in log"); } }),
    peekTimeout: server([onEcho], { preread: async (session) => (await session.peek(64)).data.length }, { preread: { timeoutMs: 100 } }),
    peekFull: server([onEcho], { preread: async (session) => (await session.peek(65)).data.length }, { preread: { maxBytes: 64 } }),
    clientLeaves: server([onEcho], { access: () => new Promise(() => {}) }),
    noPeer: server([otherwise(proxy("dead"))]),
    refused: server([otherwise(reject("closed"))]),
    shared: server([onEcho], {
      preread: (session) => { session.ctx.seen = ["preread"]; },
      balancer: (session) => void session.ctx.seen.push("balancer"),
      log: (session) => { session.ctx.seen.push("log"); tell({ seen: session.ctx.seen }); },
    }),
    replaced: server([served("content")], { preread: (session) => { session.ctx.old = 1; session.ctx = { fresh: 1 }; } }),
    notATable: server([served("content")], { preread: (session) => { session.ctx = 5; } }),
    mine: server([otherwise(content(async (session) => {
      const { data } = await session.reader.receive();
      session.ctx.name = String(data);
      await session.write("in ");
      await session.reader.receive();
      await session.write(session.ctx.name);
    }))]),
    afterExit: server([onEcho], { access: (session) => { session.ctx.why = "no ticket"; session.exit(403); } }),
    variables: server([on(tls(), content((session) => session.write(JSON.stringify(Object.fromEntries(
      ["ssl_preread_server_name", "ssl_preread_alpn_protocols", "ssl_preread_protocol", "ssl_protocol"].map((name) => [name, session.vars[name] ?? null]))))))]),
    abortIgnored: server([otherwise(content(async (session) => {
      session.onAbort(() => {});
      await session.write("ready");
      await new Promise((resolve) => session.worker.signal.addEventListener("abort", resolve) ?? setTimeout(resolve, 50));
      tell({ wentOn: session.server });
    }))]),
    abortPending: server([otherwise(content(async (session) => {
      session.onAbort(() => {});
      await session.write("ready");
      const pending = await session.reader.receive();
      tell({ pending, next: await session.reader.receiveAny(1), peek: await session.reader.peek(1), all: await session.reader.receive("*a") });
    }))]),
  },
});`;

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await echo();
  const text = config(peer.address);
  gateway = await Gateway.start(text, { ports: [...text.matchAll(/^ {4}"?[\w-]+"?: server\(/gm)].length });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await peer?.[Symbol.asyncDispose]();
});

const lineOf = (server: string): Promise<LogLine> => gateway.access((line) => line["server"] === server);
const logged = (server: string): Promise<LogLine> => gateway.line((line) => line["logged"] === server);

describe("ngx.exit (§2.2)", () => {
  test.each(["inContent", "inTimer"])(
    "is allowed in content, timer, balancer and preread, and in the phases that are ours: %s",
    async (server) => {
      expect(await exchange(gateway.port(server), "x")).toBe("");
      expect(await lineOf(server)).toMatchObject({ status: 403, end_cause: "exited", bytes_sent: 0 });
      expect(await logged(server)).toMatchObject({ status: 403 });
    },
  );

  test.each(EXITS)(
    "in each phase OK goes on, ERROR ends with 500, a status with that one: $name",
    async ({ name, code, status }) => {
      expect(await exchange(gateway.port(name), "x")).toBe(code === 0 ? "x" : "");
      expect(await lineOf(name)).toMatchObject({ status, end_cause: code === 0 ? "client_closed" : "exited" });
      expect(await logged(name)).toMatchObject({ status });
    },
  );

  test("in preread, exit(OK) skips the remaining preread handlers and goes on to content", async () => {
    expect(await exchange(gateway.port("skipped"), "x")).toBe("content");
  });

  test("in preread, a normal return is declined: the next handler runs", async () => {
    expect(await exchange(gateway.port("declined"), "x")).toBe("content");
    expect(await logged("declined")).toMatchObject({ ctx: { second: true } });
  });

  test.each([
    [-1, 500],
    [403, 403],
    [500, 500],
  ])(
    "in preread, any code above 0, or ERROR, ends the session; content does not run, log still runs: %i",
    async (code, status) => {
      expect(await exchange(gateway.port(`ended${code}`), "x")).toBe("");
      expect(await logged(`ended${code}`)).toMatchObject({ status });
      expect(gateway.stderr).not.toContain(`{"ran":${code}}`);
    },
  );

  test.each([200, 408, 444, 499, 500])(
    "in content, exit(any) ends the session; output already sent stays sent: %i",
    async (code) => {
      expect(await exchange(gateway.port(`content${code}`), "x")).toBe("sent");
      expect(await lineOf(`content${code}`)).toMatchObject({ status: code, end_cause: "exited", bytes_sent: 4 });
    },
  );

  test("in balancer, exit(OK) continues with whatever peer is set: the upstream's own choice", async () => {
    expect(await exchange(gateway.port("chosen"), "x")).toBe("x");
  });

  test.each([
    ["balancer-1", 500, "exited"],
    ["balancer403", 403, "exited"],
    ["balancerThrows", 500, "hook_failed"],
  ])(
    "in balancer, exit(ERROR), a status or a thrown error ends the session with that status: %s",
    async (server, status, cause) => {
      const before = peer.accepted;
      expect(await exchange(gateway.port(server), "x")).toBe("");
      expect(await lineOf(server)).toMatchObject({ status, end_cause: cause });
      expect(peer.accepted).toBe(before);
    },
  );
});

describe("errors and log (§2.2)", () => {
  test.each(["prereadThrows", "contentThrows"])(
    "an error in preread or content is logged, the session is closed with 500, the log phase still runs: %s",
    async (server) => {
      expect(await exchange(gateway.port(server), "x")).toBe("");
      expect(await lineOf(server)).toMatchObject({ status: 500, code: "RC_HOOK_FAILED", at: expect.any(String) });
      expect(await logged(server)).toMatchObject({ status: 500 });
    },
  );

  test("an error in a log handler is logged and swallowed", async () => {
    expect(await exchange(gateway.port("logThrows"), "x")).toBe("x");
    const line = await gateway.line(({ msg, server }) => msg === "log hook failed" && server === "logThrows");
    expect(JSON.stringify(line)).toContain("in log");
    expect(await lineOf("logThrows")).toMatchObject({ status: 200 });
  });

  const stay = async (port: number, text: string): Promise<void> => {
    const socket = await dialIn(port);
    if (text) socket.write(text);
    await readAll(socket);
    socket.destroy();
  };
  const abort = async (port: number): Promise<void> => {
    const socket = await dialIn(port);
    socket.write("x");
    socket.resetAndDestroy();
  };

  test.each<[string, number, string, (port: number) => Promise<unknown>]>([
    ["peekTimeout", 200, "preread_timeout", (port) => stay(port, "short")],
    ["peekFull", 400, "preread_full", (port) => stay(port, "x".repeat(70))],
    ["clientLeaves", 200, "client_reset", abort],
    ["noPeer", 502, "connect_failed", (port) => exchange(port, "x")],
    ["refused", 403, "rejected", (port) => exchange(port, "x")],
  ])("log runs whatever ends the session: %s", async (server, status, cause, act) => {
    await act(gateway.port(server));
    expect(await lineOf(server)).toMatchObject({ status, end_cause: cause });
    expect(await logged(server)).toMatchObject({ status });
  });
});

describe("ngx.ctx (§2.2)", () => {
  test("is one table per session, shared by preread, balancer and log", async () => {
    await exchange(gateway.port("shared"), "x");
    expect((await gateway.line((line) => "seen" in line))["seen"]).toEqual(["preread", "balancer", "log"]);
  });

  test("assigning a whole new table replaces it", async () => {
    expect(await exchange(gateway.port("replaced"), "x")).toBe("content");
    expect((await logged("replaced"))["ctx"]).toEqual({ fresh: 1 });
  });

  test("what is no table cannot be assigned", async () => {
    await exchange(gateway.port("notATable"), "x");
    expect((await lineOf("notATable"))["reason"]).toBe("hook failed: preread: ctx: expected an object, got number");
  });

  test("is never shared between sessions", async () => {
    const [one, two] = [await dialIn(gateway.port("mine")), await dialIn(gateway.port("mine"))];
    for (const [socket, name] of [
      [one, "one"],
      [two, "two"],
    ] as const) {
      socket.write(`${name}\n`);
      await readUntil(socket, (text) => text === "in ");
    }
    one.end("\n");
    two.end("\n");
    expect([String(await readAll(one)), String(await readAll(two))]).toEqual(["one", "two"]);
  });

  test("stays readable in log after exit", async () => {
    await exchange(gateway.port("afterExit"), "x");
    expect(await logged("afterExit")).toMatchObject({ status: 403, ctx: { why: "no ticket" } });
  });
});

test("ngx.var has what ssl_preread tells: name, protocols, version (§2.2)", async () => {
  const hello = encodeClientHello({ serverName: "play.test", alpn: ["game/1", "h2"] });
  expect(JSON.parse(await exchange(gateway.port("variables"), hello))).toEqual({
    ssl_preread_server_name: "play.test",
    ssl_preread_alpn_protocols: "game/1,h2",
    ssl_preread_protocol: "TLSv1.3",
    ssl_protocol: null,
  });
});

describe("ngx.on_abort (§2.2)", () => {
  const leaveEarly = async (server: string): Promise<void> => {
    const socket = await dialIn(gateway.port(server));
    socket.write("half a line");
    await readUntil(socket, (text) => text === "ready");
    socket.end();
    await readAll(socket);
  };

  test("doing nothing in the callback: the main handler continues", async () => {
    await leaveEarly("abortIgnored");
    expect(await gateway.line((line) => line["wentOn"] === "abortIgnored")).toBeDefined();
    expect(await lineOf("abortIgnored")).toMatchObject({ end_cause: "content_done" });
  });

  test("a pending and the next read end with client aborted instead of closed", async () => {
    await leaveEarly("abortPending");
    const told = await gateway.line((line) => "pending" in line);
    expect(told).toMatchObject({
      pending: { err: "client aborted", partial: { data: [...Buffer.from("half a line")] } },
      next: { err: "client aborted" },
      peek: { err: "client aborted" },
      all: { data: { data: [] } }, // `*a` never fails with an end
    });
  });
});

test("log runs exactly once for every accepted session (§2.2)", async () => {
  await gateway.stop();
  const accepted = gateway.log.filter((line) => "end_cause" in line).map((line) => line["session"]);
  const ran = gateway.log.filter((line) => "logged" in line).map(({ id }) => id);
  expect(accepted.length).toBeGreaterThan(30);
  expect(ran.sort()).toEqual(accepted.sort());
});
