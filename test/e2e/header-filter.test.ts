import type { Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { echo, TestServer } from "../support/servers.ts";

// Response heads edited on their way, byte by byte; and prefaces for what is no HTTP.

let gateway: Gateway;
let echoing: TestServer;
let greeting: TestServer;
/** Answers with the text that the client puts into its first request's path, percent-encoded, and ends if it says so. */
let parrot: TestServer;

beforeAll(async () => {
  echoing = await echo();
  greeting = await TestServer.open((socket) => {
    socket.write("hello from the peer\n");
    socket.pipe(socket);
  });
  parrot = await TestServer.open(parroting);
  gateway = await Gateway.start(config(), { ports: 14 });
});

afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await Promise.all([echoing, greeting, parrot].map((each) => each?.[Symbol.asyncDispose]()));
});

const config = (): string => `
import { defineGateway, on, otherwise, proxy } from "restyconf";
import { http } from "restyconf/preread";
const server = (upstream, headerFilter, more = {}) => ({
  listen: "127.0.0.1:0", routes: [on(http(), proxy(upstream)), otherwise(proxy(upstream))], phases: { headerFilter }, ...more,
});
const waiting = (session) => new Promise((resolve) => {
  session.signal.addEventListener("abort", () => { console.log("left " + session.server); resolve(); });
  console.log("waits " + session.server);
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
export default defineGateway({
  upstreams: {
    parrot: { peers: ["${parrot.address}"] }, echo: { peers: ["${echoing.address}"] }, greeting: { peers: ["${greeting.address}"] },
  },
  servers: {
    edit: server("parrot", (session, { response }) => {
      const { headers } = response;
      headers.set("b", "new " + headers.getAll("B").join("+"));
      headers.delete("c");
      headers.add("E", "end");
    }),
    look: server("parrot", (session, { request, response }) => void [request.headers.get("host"), [...response.headers.entries()]]),
    status: server("parrot", (session, { response }) => { response.status = 503; response.reason = "Later"; }),
    slow: server("parrot", async (session, { response }) => { await sleep(50); response.headers.add("Slow", "yes"); }),
    early: server("parrot", (session, { toClient, response }) => {
      toClient("HTTP/1.1 103 Early Hints\\r\\nLink: </a.css>\\r\\n\\r\\n");
      response.headers.set("Late", "yes");
    }),
    faulty: server("parrot", (session, { request, response, toUpstream }) => {
      const [, what] = request.target.split("?");
      if (what === "length") response.headers.set("content-LENGTH", "5");
      if (what === "chunked") response.headers.delete("Transfer-Encoding");
      if (what === "value") response.headers.set("A", "b\\r\\nC: d");
      if (what === "name") response.headers.add("A b", "c");
      if (what === "wide") response.headers.add("A", "\\u0100");
      if (what === "bodiless") response.status = 304;
      if (what === "reason") response.reason = "a\\nb";
      if (what === "up") toUpstream("x");
      if (what === "throw") throw new Error("on purpose");
    }),
    stuck: server("parrot", () => new Promise(() => {}), { phaseTimeoutMs: { headerFilter: 100 } }),
    leaving: server("parrot", (session) => { try { session.exit(418); } catch {} }),
    both: server("echo", async (session, { toClient, toUpstream, response }) => {
      toUpstream("up " + response + "\\n");
      toClient("down\\n");
      await sleep(50);
      toClient(session.peer + "\\n");
    }),
    greeting: server("greeting", (session, { toClient }) => toClient("first\\n"), { routes: [otherwise(proxy("greeting"))] }),
    failing: server("echo", async () => { await sleep(10); throw new Error("no preface"); }),
    waiting: server("parrot", waiting), gated: server("echo", waiting),
    body: { ...server("parrot", (session, { response }) => response.headers.set("Phase", session.phase)),
      phases: {
        headerFilter: (session, { response }) => response.headers.set("Phase", session.phase),
        bodyFilter: { upstream: (chunk, session) => chunk.toString("latin1").replace("body", session.phase.slice(0, 4)) },
      } },
  },
});
`;

function parroting(socket: Socket): void {
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    const [, path] = /^GET \/([^?\s]*)\S* HTTP[\s\S]*?\r\n\r\n/.exec(text) ?? [];
    if (path === undefined) return;
    socket.removeAllListeners("data").resume();
    const answer = Buffer.from(decodeURIComponent(path), "latin1");
    for (const byte of answer.subarray(0, 40)) socket.write(Buffer.of(byte)); // a head that comes in pieces
    socket.write(answer.subarray(40));
    if (!answer.includes("keep")) socket.end();
  });
}

/** What the gateway makes of a response: the peer sends exactly `answer`, then its end. */
async function through(server: string, answer: string, what = ""): Promise<string> {
  return exchange(gateway.port(server), `GET /${encodeURIComponent(answer)}${what} HTTP/1.1\r\nHost: a\r\n\r\n`);
}

describe("a head that passes a header filter", () => {
  const odd =
    "HTTP/1.1  200".replace("  ", " ") +
    " Fine enough \nb:1\r\nB :".replace(" :", ":") +
    "  2\t\r\nC: 3\r\nd:4\n\r\nbody";

  test("is the peer's, byte for byte, when nobody touches it", async () => {
    expect(await through("look", odd)).toBe(odd);
  });

  test("keeps the lines that nobody touched, in their order and spelling", async () => {
    expect(await through("edit", odd)).toBe("HTTP/1.1 200 Fine enough \nb: new 1+2\r\nd:4\nE: end\r\n\r\nbody");
  });

  test("may have another status and reason", async () => {
    expect(await through("status", "HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody")).toBe(
      "HTTP/1.0 503 Later\r\nA: b\r\n\r\nbody",
    );
  });

  test("waits for an async filter, and all behind it with it", async () => {
    const two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    expect(await through("slow", two)).toBe(two.replace("\r\n\r\n", "\r\nSlow: yes\r\n\r\n"));
  });

  test("may have something in front of it", async () => {
    const answer = await through("early", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect(answer).toMatch(
      /^HTTP\/1\.1 103 Early Hints\r\nLink: <\/a\.css>\r\n\r\nHTTP\/1\.1 200 OK\r\n[\s\S]*Late: yes\r\n\r\n$/,
    );
  });

  test("comes to a body filter edited, and each filter is in its own phase", async () => {
    const answer = await through("body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody");
    expect(answer).toBe("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nPhase: headerFilter\r\n\r\nbody");
  });
});

describe("a header filter that would break the message", () => {
  const sized = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";

  test.each([
    ["length", sized, "header content-LENGTH: it tells where the body ends"],
    ["chunked", chunked, "header Transfer-Encoding: it tells where the body ends"],
    ["value", sized, "header A: a value is text without line ends"],
    ["name", sized, 'header "A b": not a name'],
    ["wide", sized, "header A: a value is text without line ends, control or wide characters"],
    ["bodiless", sized, "status 304 in the place of 200: the body stays as it is"],
    ["reason", sized, "reason: text in one line"],
    ["up", sized, "toUpstream: not for HTTP"],
    ["throw", sized, "on purpose"],
  ])("ends the session (%s)", async (what, answer, words) => {
    const before = gateway.log.length;
    expect(await through("faulty", answer, `?${what}`)).toBe("");
    const line = await gateway.access((each) => gateway.log.indexOf(each) >= before && each["server"] === "faulty");
    expect(line).toMatchObject({ status: 500, end_cause: "hook_failed", code: "RC_HOOK_FAILED" });
    expect(line["reason"]).toContain(`headerFilter: ${words}`);
    expect(line["at"]).toContain("restyconf.config.ts");
  });

  test("has a time limit", async () => {
    expect(await through("stuck", sized)).toBe("");
    const line = await gateway.access((each) => each["server"] === "stuck");
    expect(line).toMatchObject({ status: 500, code: "RC_HOOK_TIMEOUT" });
  });

  test("may end the session, whatever it catches", async () => {
    expect(await through("leaving", sized)).toBe("");
    expect(await gateway.access((each) => each["server"] === "leaving")).toMatchObject({
      status: 418,
      end_cause: "exited",
    });
  });
});

test.each(["waiting", "gated"])(
  "a client that resets while a header filter waits ends the session (%s)",
  async (server) => {
    const socket = await dialIn(gateway.port(server));
    const hello =
      server === "gated" ? "hello\n" : `GET /${encodeURIComponent("HTTP/1.1 204 No\r\n\r\n")}keep HTTP/1.1\r\n\r\n`;
    socket.write(hello);
    await eventually(() => expect(gateway.stdout).toContain(`waits ${server}\n`));
    socket.resetAndDestroy();
    expect(await gateway.access((line) => line["server"] === server)).toMatchObject({ end_cause: "client_reset" });
    await eventually(() => expect(gateway.stdout).toContain(`left ${server}\n`));
  },
);

describe("malformed traffic", () => {
  test.each([
    ["a response of another protocol", "SSH-2.0-x\r\n", "not HTTP/1.x"],
    ["a response with two ends", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"],
    ["a response that nobody asked for", `HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n`.repeat(2), "nobody asked"],
    ["a response head without end", `HTTP/1.1 200 OK\r\nA: ${"b".repeat(13_000)}`, "within a head"],
    ["a chunk that is none", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "malformed chunk"],
    ["a 101 that nobody asked for", "HTTP/1.1 101 Go\r\n\r\n", "101"],
  ])("of a peer ends the session with 502: %s", async (_, answer, reason) => {
    const before = gateway.log.length;
    await through("look", answer);
    const line = await gateway.access((each) => gateway.log.indexOf(each) >= before && each["server"] === "look");
    expect(line).toMatchObject({ status: 502, end_cause: "rejected", code: "RC_PEER_HTTP" });
    expect(line["reason"]).toContain(reason);
  });

  test.each([
    ["a request with two ends", "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"],
    ["a second one that is no HTTP", "GET /keep HTTP/1.1\r\n\r\nhello world\r\n", "not a request line"],
    ["a chunk that is none", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello", "malformed chunk"],
  ])("of a client ends the session with 400: %s", async (_, text, reason) => {
    const before = gateway.log.length;
    expect(await exchange(gateway.port("look"), text)).toBe("");
    const line = await gateway.access((each) => gateway.log.indexOf(each) >= before && each["server"] === "look");
    expect(line).toMatchObject({ status: 400, end_cause: "rejected", code: "RC_HTTP" });
    expect(line["reason"]).toContain(reason);
  });
});

describe("a header filter of what is no HTTP", () => {
  test("runs once and writes in front of both directions, while the client's bytes wait", async () => {
    const answer = await exchange(gateway.port("both"), "hello\n");
    expect(answer).toBe(`down\n${echoing.address}\nup undefined\nhello\n`);
  });

  test("comes before a peer that speaks first", async () => {
    const socket = await dialIn(gateway.port("greeting"));
    expect(await readUntil(socket, (text) => text.endsWith("peer\n"))).toBe("first\nhello from the peer\n");
    socket.destroy();
  });

  test("ends the session when it fails, and no byte has passed", async () => {
    expect(await exchange(gateway.port("failing"), "hello\n")).toBe("");
    const line = await gateway.access((each) => each["server"] === "failing");
    expect(line).toMatchObject({
      status: 500,
      code: "RC_HOOK_FAILED",
      reason: "hook failed: headerFilter: no preface",
    });
  });
});
