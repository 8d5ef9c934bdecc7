import { describe, expect, test } from "vitest";
import {
  content,
  defineGateway,
  dispatch,
  on,
  otherwise,
  proxy,
  reject,
  type ServerConfig,
  type ServerPhases,
  silent,
  sleep,
} from "../../src/index.ts";
import { http, mqtt, ssh } from "../../src/preread/index.ts";
import { echo, end, type RunOptions, receive, runSession, send, wait } from "../../src/testing/index.ts";

type Routes = ServerConfig<"game">["routes"];

/** A gateway with one server and one upstream. */
function gateway(phases: ServerPhases<"game">, { routes, ...more }: Partial<ServerConfig<"game">> = {}) {
  const all: Routes = routes ?? [otherwise(proxy("game"))];
  return defineGateway({
    upstreams: { game: { peers: ["10.0.0.1:7000", "10.0.0.2:7000", "10.0.0.3:7000"] } },
    servers: { edge: { listen: "127.0.0.1:5050", routes: all, phases, ...more } },
  });
}

const hello: RunOptions = { client: [send("hello"), receive("hello"), end()], peers: { game: echo() } };

describe.each([
  { mode: "in whole pieces", oneByOne: false },
  { mode: "byte by byte", oneByOne: true },
])("$mode", ({ oneByOne }) => {
  test("every phase runs once, in order, and balancer once per attempt", async () => {
    const config = gateway({
      preread: async (session) => void (await session.peek(5)),
      rewrite: () => undefined,
      access: () => undefined,
      balancer: ({ attempt }) => `10.0.0.${attempt}:7000`,
      headerFilter: () => undefined,
      bodyFilter: { client: (chunk) => chunk },
      log: () => undefined,
    });
    const run = await runSession(config, {
      client: [send("hello"), receive("hello"), end()],
      peers: { "10.0.0.2:7000": echo() },
      oneByOne,
    });
    const phases = run.transcript.flatMap((event) => (event.kind === "phase" ? [event.phase] : []));
    expect(phases).toEqual([
      "preread",
      "rewrite",
      "access",
      "balancer",
      "balancer",
      "headerFilter",
      "bodyFilter",
      "log",
    ]);
    expect(run.line).toMatchObject({ upstream_addr: "10.0.0.1:7000, 10.0.0.2:7000", status: 200 });
  });

  test("preread answers the client, reads from it, and chooses", async () => {
    const config = gateway({
      async preread(session) {
        await session.write("who?\n");
        const { data } = await session.reader.receive("*l");
        return String(data) === "player" ? proxy("game") : reject("nobody");
      },
    });
    const client = [receive("who?\n"), send("player\nhello"), receive("hello"), end()];
    const run = await runSession(config, { client, peers: { game: echo() }, oneByOne });
    expect(run.toPeer("game").toString()).toBe("hello");
    expect(run.line).toMatchObject({ bytes_received: 12, bytes_sent: 10, end_cause: "client_closed" });
  });

  test("set computes variables, rewrite takes them to another upstream, ctx stays", async () => {
    const config = defineGateway({
      upstreams: { near: { peers: ["10.0.0.1:1"] }, far: { peers: ["10.0.0.2:1"] } },
      servers: {
        edge: {
          listen: "127.0.0.1:0",
          routes: [otherwise(proxy("near"))],
          phases: {
            set: { away: ({ remote }) => remote.host !== "127.0.0.1" },
            rewrite: (session) => {
              Object.assign(session.ctx, { away: session.vars["away"] });
              return session.vars["away"] ? proxy("far") : undefined;
            },
          },
        },
      },
    });
    const peers = { near: echo(), far: echo() };
    const client = [send("x"), receive("x"), end()];
    const away = await runSession(config, { client, peers, remote: { host: "10.0.0.7" }, oneByOne });
    expect(away.connected).toEqual(["10.0.0.2:1"]);
    expect(away.ctx).toEqual({ away: true });
    const near = await runSession(config, { client, peers, oneByOne });
    expect(near.connected).toEqual(["10.0.0.1:1"]);
  });

  test("access refuses in the client's own protocol", async () => {
    const access: ServerPhases["access"] = () => reject("closed", { retryAfterMs: 2_000 });
    const byHttp = gateway({ access }, { routes: [on(http(), proxy("game")), otherwise(proxy("game"))] });
    const http1 = await runSession(byHttp, { client: send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), oneByOne });
    expect(http1.toClient.toString()).toMatch(/^HTTP\/1.1 403 .*\r\nretry-after: 2\r\n/is);
    const byMqtt = gateway({ access }, { routes: [on(mqtt(), proxy("game"))] });
    const connect = Buffer.from("100c00044d5154540402003c0000", "hex");
    const answer = await runSession(byMqtt, { client: send(connect), oneByOne });
    expect(answer.toClient.toString("hex")).toBe("20020005"); // CONNACK, not authorized
    expect(answer.line).toMatchObject({ status: 403, end_cause: "rejected", code: "RC_REJECTED", reason: /closed/ });
    expect(answer.connected).toEqual([]);
  });

  test("content is the server, and its tasks end before it", async () => {
    const greet = content(async (session) => {
      const name = await session.reader.receive("*l");
      session.spawn(async () => {
        await sleep(5_000);
        await session.write(`bye ${name.data}\n`);
      });
      await session.write(`hi ${name.data}\n`);
    });
    const config = gateway({}, { routes: [on(ssh(), reject("no")), otherwise(greet)] });
    const run = await runSession(config, { client: send("ann\n"), oneByOne });
    expect(run.toClient.toString()).toBe("hi ann\nbye ann\n");
    expect(run.line).toMatchObject({ end_cause: "content_done", session_time: 5 });
  });

  test("exit ends the session, also inside of try", async () => {
    const leave = content(async (session) => {
      await session.reader.receive("*l");
      await session.write("before\n");
      try {
        session.exit(403);
      } catch {
        await session.write("after\n").catch(() => {});
      }
    });
    const run = await runSession(gateway({}, { routes: [otherwise(leave)] }), { client: send("go\n"), oneByOne });
    expect(run.toClient.toString()).toBe("before\n");
    expect(run.line).toMatchObject({ status: 403, end_cause: "exited" });
  });

  test("dispatch goes on at another server, with ctx and unread bytes", async () => {
    const config = defineGateway({
      upstreams: { game: { peers: ["10.0.0.1:7000"] } },
      servers: {
        front: {
          listen: "127.0.0.1:5050",
          routes: [otherwise(dispatch("game"))],
          phases: { preread: (session) => void Object.assign(session.ctx, { from: session.server }) },
        },
        game: { listen: [], routes: [otherwise(proxy("game"))] },
      },
    });
    const run = await runSession(config, { ...hello, server: "front", oneByOne });
    expect(run.toPeer("game").toString()).toBe("hello");
    expect(run.line).toMatchObject({ server: "game", upstream: "game" });
    expect(run.ctx).toEqual({ from: "front" });
  });

  test("headerFilter writes in front of either side, bodyFilter changes what they say", async () => {
    const config = gateway({
      headerFilter: (_, tools) => {
        if (tools.response) return;
        tools.toClient("welcome\n");
        tools.toUpstream("from edge\n");
      },
      bodyFilter: {
        client: (chunk) => chunk.toString().toUpperCase(),
        upstream: (chunk) => (chunk.includes("!") ? null : chunk),
      },
    });
    const peer = [receive("from edge\nHELLO"), send("fine"), end()];
    const run = await runSession(config, {
      client: [send("hello"), receive("welcome\nfine")],
      peers: { game: peer },
      oneByOne,
    });
    expect(run.toPeer("game").toString()).toBe("from edge\nHELLO");
    expect(run.toClient.toString()).toBe("welcome\nfine");
  });

  test("a silent client is taken for a listener when its time has come", async () => {
    const config = gateway({}, { routes: [on(ssh(), reject("no")), silent(3_000, proxy("game"))] });
    const peer = [send("server first"), receive("ok"), end()];
    const run = await runSession(config, {
      client: [receive("server first"), send("ok")],
      peers: { game: peer },
      oneByOne,
    });
    expect(run.transcript.find(({ kind }) => kind === "connect")).toMatchObject({ atMs: 3_000, outcome: "connected" });
    expect(run.line).toMatchObject({ end_cause: "peer_closed" });
  });

  test("log knows everything, and what it throws changes nothing", async () => {
    const seen: unknown[] = [];
    const config = gateway({
      log: ({ status, endCause, bytesReceived, bytesSent, peer }) => {
        seen.push({ status, endCause, bytesReceived, bytesSent, peer });
        throw new Error("log is full");
      },
    });
    const run = await runSession(config, { ...hello, oneByOne });
    const facts = { status: 200, endCause: "client_closed", bytesReceived: 5, bytesSent: 5, peer: "10.0.0.1:7000" };
    expect(seen).toEqual([facts]);
    expect(run.logs).toContainEqual({ level: "error", event: "log hook failed", fields: expect.anything() });
  });
});

describe("time", () => {
  const forever = (): Promise<void> => new Promise(() => {});

  test.each(["preread", "rewrite", "access", "balancer"] as const)("%s has a limit", async (phase) => {
    const run = await runSession(gateway({ [phase]: forever }), { client: send("x") });
    expect(run.line).toMatchObject({ status: 500, code: "RC_HOOK_TIMEOUT", session_time: 60, phase });
  });

  test("the limits of a configuration are kept to the millisecond", async () => {
    const config = gateway({ access: forever }, { phaseTimeoutMs: { access: 1_234 } });
    expect((await runSession(config, { client: send("x") })).line.session_time).toBe(1.234);
  });

  test("preread.timeoutMs ends who says too little", async () => {
    const config = gateway({}, { routes: [on(http(), proxy("game"))], preread: { timeoutMs: 700 } });
    const run = await runSession(config, { client: [send("GE"), wait(100), send("T")] });
    expect(run.line).toMatchObject({ code: "RC_PREREAD_TIMEOUT", status: 200, session_time: 0.7 });
  });

  test("idleTimeoutMs ends a relay where nothing moves, ten minutes by default", async () => {
    const run = await runSession(gateway({}), { client: [send("x"), wait(30_000), send("y")], peers: { game: [] } });
    expect(run.line).toMatchObject({ end_cause: "idle_timeout", session_time: 630 });
  });

  test("connectTimeoutMs ends a connect that nobody answers, and another peer is tried", async () => {
    const run = await runSession(gateway({}), { ...hello, peers: { "10.0.0.1:7000": "silent", game: echo() } });
    expect(run.line).toMatchObject({ upstream_addr: "10.0.0.1:7000, 10.0.0.2:7000", session_time: 5 });
    expect(run.connected).toEqual(["10.0.0.2:7000"]);
  });
});

test("a session looks the same in whole pieces and byte by byte", async () => {
  const config = gateway(
    { bodyFilter: { client: (chunk) => chunk.toString().toUpperCase() } },
    {
      routes: [
        on(
          http(),
          content((session) => session.write("HTTP/1.1 204 No Content\r\n\r\n")),
        ),
        otherwise(proxy("game")),
      ],
    },
  );
  for (const first of ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "hello"]) {
    const options: RunOptions = { client: [send(first), wait(10), end()], peers: { game: echo() } };
    const [whole, cut] = [await runSession(config, options), await runSession(config, { ...options, oneByOne: true })];
    expect({ ...cut.line, session: "" }).toEqual({ ...whole.line, session: "" });
    expect([cut.toPeer("game"), cut.toClient]).toEqual([whole.toPeer("game"), whole.toClient]);
  }
});
