import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeClientHello } from "../../src/codecs/tls/client-hello-encode.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";
import { freePorts } from "../support/service.ts";

// Which hooks run, in which order, and what each of them can do to a session.

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await echo();
  const [dead = 0] = await freePorts(1);
  gateway = await Gateway.start(
    `
import { content, defineGateway, dispatch, on, otherwise, proxy, reject } from "restyconf";
import { bytes, tls } from "restyconf/preread";
const never = () => new Promise(() => {});
const onEcho = otherwise(proxy("echo"));
const server = (routes, phases = {}, more = {}) => ({ listen: "127.0.0.1:0", routes, phases, ...more });
const note = (session, what) => void (session.ctx.seen ??= []).push(what ?? session.phase);
const told = (session) => console.error(JSON.stringify({ told: session.server, seen: session.ctx.seen }));
const every = {
  sslClientHello: note, sslCertificate: (session) => void note(session), preread: (session) => void note(session),
  set: { once: (session) => { note(session, "set"); return 1; } },
  rewrite: (session) => { note(session); session.vars.once; session.vars.once; },
  access: (session) => void note(session), balancer: (session) => void note(session, "balancer " + session.attempt),
  log: (session) => { note(session); told(session); },
};
const swallow = (act) => async (session) => {
  try { await null; act(session); } catch {}
  try { await session.write("after"); } catch (error) { session.ctx.after = error.code; }
  console.error(JSON.stringify({ swallowed: session.server, code: session.ctx.after }));
  return proxy("echo");
};
export default defineGateway({
  upstreams: {
    echo: { peers: ["${peer.address}"] },
    twice: { peers: [{ address: "127.0.0.1:${dead}", maxFails: 0 }, { address: "${peer.address}", backup: true }] },
  },
  phases: {
    preread: (session) => void note(session, "gateway " + session.phase),
    log: (session) => void note(session, "gateway log"),
  },
  servers: {
    plain: server([otherwise(proxy("twice"))], every),
    secure: server([otherwise(proxy("twice"))], every, { ssl: { mode: "always", certs: "." } }),
    passed: server([on(tls({ serverName: "through.test" }), proxy("twice")), onEcho], every, { ssl: { mode: "auto", certs: "." } }),
    rewritten: server([otherwise(reject("no"))], { rewrite: ({ action }) => (action.kind === "reject" ? proxy("echo") : undefined) }),
    kept: server([onEcho], { rewrite: () => undefined, access: ({ action, upstream }) => reject(action.kind + " " + upstream) }),
    exitPreread: server([onEcho], { preread: swallow((session) => session.exit(403)) }),
    exitSync: server([onEcho], { access: (session) => { try { session.exit(403); } catch {} } }),
    exitOk: server([onEcho], { preread: async (session) => { await null; session.exit(0); } }),
    exitOkSync: server([onEcho], { preread: (session) => session.exit(0), access: async (session) => session.exit(0) }),
    exitContent: server([otherwise(content(async (session) => { session.write("before"); await swallow((one) => one.exit(0))(session); }))]),
    exitBalancer: server([onEcho], { balancer: async (session) => { await null; session.exit(-1); } }),
    exitLater: server([onEcho], { access: async (session) => { setTimeout(() => session.exit(503), 10); await never(); } }),
    exitBad: server([onEcho], { access: (session) => session.exit(7) }),
    exitLog: server([onEcho], { log: (session) => session.exit(200) }),
    exitCert: server([onEcho], { sslCertificate: async (session) => { await null; session.exit(403); } }, { ssl: { mode: "always", certs: "." } }),
    late: server([onEcho], { access: never }, { phaseTimeoutMs: { access: 50 } }),
    lateContent: server([otherwise(content(never))], {}, { phaseTimeoutMs: { content: 50 } }),
    variables: server([otherwise(content(async (session) => {
      const { vars } = session;
      await session.reader.receive();
      const text = (name) => name + "=" + vars[name];
      vars.mine = "written";
      let readonly = "";
      try { vars.remote_addr = "x"; } catch (error) { readonly = error.name; }
      await session.end(["remote_addr", "server_port", "protocol", "bytes_received", "status", "twiceIt", "mine", "toString"].map(text).join(" ") + " " + readonly);
    }))], { set: { base: () => 21, twiceIt: (session) => session.vars.base * 2 } }),
    slowSet: server([onEcho], { set: { slow: () => { const until = Date.now() + 5; while (Date.now() < until); return 1; } }, access: (session) => void session.vars.slow }),
    brokenSet: server([onEcho], { set: { broken: () => ({}) }, access: (session) => void session.vars.broken }),
    front: server([on(bytes("in"), dispatch("inner")), on(bytes("circle"), dispatch("circle")), otherwise(dispatch("secureInner"))],
      { preread: (session) => { note(session); session.ctx.from = "front"; }, set: { where: () => "front" }, access: (session) => void session.vars.where }),
    inner: { listen: [], routes: [otherwise(content(async (session) => {
      await session.write(session.server + " " + session.ctx.from + " " + session.vars.where + " ");
      const { data } = await session.reader.receive("*a");
      await session.end(data);
    }))], phases: { set: { where: () => "inner" } } },
    circle: { listen: [], routes: [otherwise(dispatch("front"))] },
    secureInner: { listen: [], routes: [onEcho], ssl: { mode: "always", certs: "." } },
    nowhere: server([onEcho], { preread: () => dispatch("nobody") }),
  },
});`,
    { ports: 22, files: await certificateFiles() },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

async function lineAfter(server: string, act: () => Promise<unknown>): Promise<LogLine> {
  const before = gateway.log.length;
  await act();
  return gateway.access((line) => line["server"] === server && gateway.log.indexOf(line) >= before);
}

function seenBy(server: string): Promise<unknown> {
  return gateway.line((line) => line["told"] === server).then((line) => line["seen"]);
}

describe("the order of phases", () => {
  const fromRewrite = ["rewrite", "set", "access", "balancer 1", "balancer 2", "gateway log", "log"];

  test("over plain TCP", async () => {
    expect(await exchange(gateway.port("plain"), "x")).toBe("x");
    expect(await seenBy("plain")).toEqual(["gateway preread", "preread", ...fromRewrite]);
  });

  test("over TLS that ends here", async () => {
    const socket = await dialTls(gateway.port("secure"));
    socket.end("x");
    expect((await readAll(socket)).toString()).toBe("x");
    expect(await seenBy("secure")).toEqual([
      "sslClientHello",
      "sslCertificate",
      "gateway preread",
      "preread",
      ...fromRewrite,
    ]);
  });

  test("over TLS that is passed through: the phases of its handshake do not run", async () => {
    const socket = await dialIn(gateway.port("passed"));
    const hello = Buffer.from(encodeClientHello({ serverName: "through.test" }));
    socket.end(hello);
    expect(await readAll(socket)).toEqual(hello);
    expect(await seenBy("passed")).toEqual(["gateway preread", "preread", ...fromRewrite]);
  });
});

describe("rewrite", () => {
  test("changes what the route said", async () => {
    expect(await exchange(gateway.port("rewritten"), "x")).toBe("x");
  });

  test("and access see what will happen", async () => {
    const line = await lineAfter("kept", () => exchange(gateway.port("kept"), "x"));
    expect(line).toMatchObject({ code: "RC_REJECTED", reason: "rejected: proxy echo" });
  });
});

describe("session.exit", () => {
  test("ends the session inside of try and catch, and nothing written after it arrives", async () => {
    const line = await lineAfter("exitPreread", async () => {
      expect(await exchange(gateway.port("exitPreread"), "x")).toBe("");
    });
    expect(line).toMatchObject({ status: 403, end_cause: "exited", bytes_sent: 0 });
    expect(line).not.toHaveProperty("code");
    expect(await gateway.line(({ swallowed }) => swallowed === "exitPreread")).toMatchObject({ code: "RC_EXITED" });
  });

  test.each([
    ["exitSync", 403],
    ["exitBalancer", 500],
    ["exitLater", 503],
  ])("ends it in a hook that swallows the exit, from -1, and from outside of the hook: %s", async (server, status) => {
    const line = await lineAfter(server, () => exchange(gateway.port(server), "x"));
    expect(line).toMatchObject({ status, end_cause: "exited" });
  });

  test.each(["exitOk", "exitOkSync"])(
    "with 0 goes on behind the phase, as if the hook had decided nothing: %s",
    async (server) => {
      expect(await exchange(gateway.port(server), "x")).toBe("x");
    },
  );

  test("in content: what was written before arrives, what comes after does not", async () => {
    const line = await lineAfter("exitContent", async () => {
      expect(await exchange(gateway.port("exitContent"), "x")).toBe("before");
    });
    expect(line).toMatchObject({ status: 200, end_cause: "exited" });
  });

  test("while a certificate is chosen: the handshake fails", async () => {
    const line = await lineAfter("exitCert", async () => {
      await expect(dialTls(gateway.port("exitCert"))).rejects.toThrow();
    });
    expect(line).toMatchObject({ status: 403, end_cause: "exited" });
  });

  test("with a status that is none is the hook's mistake", async () => {
    const line = await lineAfter("exitBad", () => exchange(gateway.port("exitBad"), "x"));
    expect(line).toMatchObject({ code: "RC_HOOK_FAILED", reason: "hook failed: access: exit: bad status 7" });
  });

  test("is not there in the log phase", async () => {
    await lineAfter("exitLog", () => exchange(gateway.port("exitLog"), "x"));
    const error = await gateway.line((line) => line["msg"] === "log hook failed" && line["server"] === "exitLog");
    expect(JSON.stringify(error)).toContain("exit: not available in the log phase");
  });
});

describe("a hook that takes too long", () => {
  test.each(["late", "lateContent"])("ends its session by the limit of its phase: %s", async (server) => {
    const line = await lineAfter(server, () => exchange(gateway.port(server), "x"));
    expect(line).toMatchObject({ code: "RC_HOOK_TIMEOUT", status: 500, end_cause: "hook_failed" });
    expect(line["reason"]).toContain("not finished within 50 ms");
  });
});

describe("session.vars", () => {
  test("has nginx's variables, those of set, and what hooks write; nginx's cannot be written", async () => {
    const told = await exchange(gateway.port("variables"), "x\n");
    expect(told).toBe(
      `remote_addr=127.0.0.1 server_port=${gateway.port("variables")} protocol=TCP bytes_received=2 status=200 twiceIt=42 mine=written toString=undefined TypeError`,
    );
  });

  test("of set that take longer than 1 ms are reported, once", async () => {
    for (const _ of [1, 2]) await lineAfter("slowSet", () => exchange(gateway.port("slowSet"), "x"));
    const reports = gateway.log.filter((line) => line["msg"] === "slow variable" && line["server"] === "slowSet");
    expect(reports).toEqual([expect.objectContaining({ variable: "slow" })]);
  });

  test("of set that are neither text, number nor boolean fail the hook that asks", async () => {
    const line = await lineAfter("brokenSet", () => exchange(gateway.port("brokenSet"), "x"));
    expect(line).toMatchObject({ code: "RC_HOOK_FAILED" });
    expect(line["reason"]).toContain("set.broken: expected a boolean, a number or a text, got object");
  });
});

describe("dispatch", () => {
  test("goes on at another server, with its variables, the same ctx and all unread bytes", async () => {
    const line = await lineAfter("inner", async () => {
      expect(await exchange(gateway.port("front"), "in and more")).toBe("inner front inner in and more");
    });
    expect(line).toMatchObject({ end_cause: "content_done", bytes_received: 11 });
  });

  test("to a server with TLS begins it", async () => {
    const socket = await dialTls(gateway.port("front"));
    socket.end("x");
    expect((await readAll(socket)).toString()).toBe("x");
  });

  test("in a circle ends the session", async () => {
    const line = await lineAfter("circle", () => exchange(gateway.port("front"), "circle"));
    expect(line).toMatchObject({
      code: "RC_DISPATCH",
      status: 500,
      reason: expect.stringContaining("front: was there before"),
    });
  });

  test("to a server that there is not ends the session", async () => {
    const line = await lineAfter("nowhere", () => exchange(gateway.port("nowhere"), "x"));
    expect(line).toMatchObject({ code: "RC_DISPATCH", reason: expect.stringContaining("no server is called nobody") });
  });
});

test("exitWorker runs once when the worker stops, however often it is told to", async () => {
  await using other = await Gateway.start(
    `import { appendFileSync } from "node:fs";
     import { defineGateway, otherwise, reject } from "restyconf";
     export default defineGateway({
       servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("no"))] } },
       phases: { exitWorker: async (worker) => {
         await new Promise((resolve) => setTimeout(resolve, 20));
         appendFileSync(new URL("exited.txt", import.meta.url), "worker " + worker.number);
       } },
     });`,
  );
  other.process.kill("SIGQUIT");
  expect(await other.stop("SIGTERM")).toBe(0);
  expect(readFileSync(join(other.folder, "exited.txt"), "utf8")).toBe("worker 0");
});
