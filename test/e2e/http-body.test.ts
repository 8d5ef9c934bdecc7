import { once } from "node:events";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readAll, readUntil } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";

// Bodies of HTTP messages, changed in size on their way, with real servers and clients on both sides.

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const LONG = "0123456789 abcdef ".repeat(50_000);

let gateway: Gateway;
let node: Server;
let echoing: TestServer;

beforeAll(async () => {
  node = createServer(serveNode).on("upgrade", upgraded).on("connect", connected);
  node.keepAliveTimeout = 60_000;
  await once(node.listen(0, "127.0.0.1"), "listening");
  echoing = await echo();
  gateway = await Gateway.start(config((node.address() as AddressInfo).port), { ports: 5 });
});

afterAll(async () => {
  agent.destroy();
  await gateway?.[Symbol.asyncDispose]();
  node?.closeAllConnections();
  node?.close();
  await echoing?.[Symbol.asyncDispose]();
});

const config = (port: number): string => `
import { defineGateway, httpBody, on, otherwise, proxy } from "restyconf";
import { http } from "restyconf/preread";
const server = (bodyFilter, more) => ({
  listen: "127.0.0.1:0", routes: [on(http(), proxy("node")), otherwise(proxy("echo"))], phases: { bodyFilter, ...more },
});
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const loud = httpBody((piece) => piece.toString("latin1").replaceAll("a", "AAA"), {
  begin: ({ request, response }) => {
    if (request.target === "/untouched") return false;
    response.headers.set("X-Loud", "yes");
  },
  end: ({ request }) => " end of " + request.target,
});
export default defineGateway({
  upstreams: { node: { peers: ["127.0.0.1:${port}"] }, echo: { peers: ["${echoing.address}"] } },
  servers: {
    loud: server({ upstream: loud }),
    both: server(
      { client: httpBody((piece) => piece.toString("latin1").replaceAll("a", "")), upstream: [loud, httpBody(() => {}, { end: () => "!" })] },
      { headerFilter: (session, { response }) => response.headers.set("X-Header", session.phase) },
    ),
    slow: server({ upstream: httpBody(async (piece) => { await sleep(20); return [piece.subarray(0, 1), "", piece.subarray(1)]; }) }),
    silent: server({ upstream: httpBody(() => null) }),
    faulty: server({ upstream: httpBody(() => { throw new Error("on purpose"); }) }),
  },
});
`;

function serveNode(message: IncomingMessage, response: ServerResponse): void {
  const { url = "" } = message;
  if (url === "/trailer") {
    response.writeHead(200, { Trailer: "X-Sum" });
    response.write("a ");
    response.write("banana");
    response.addTrailers({ "X-Sum": "3" });
    response.end();
  } else if (url === "/none") response.writeHead(204).end();
  else if (url === "/close") message.socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na banana");
  else if (url === "/cut") message.socket.end("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na banana");
  else if (url === "/old")
    message.socket.write("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 8\r\n\r\na banana");
  else if (url === "/long") response.writeHead(200, { "Content-Length": LONG.length }).end(LONG);
  else if (message.method === "POST")
    message.pipe(response.writeHead(200, { "X-Length": String(message.headers["content-length"]) }));
  else response.writeHead(200, { "Content-Length": 8 }).end("a banana");
}

function upgraded(_: IncomingMessage, socket: Socket): void {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
  socket.pipe(socket);
}

function connected(_: IncomingMessage, socket: Socket): void {
  socket.write("HTTP/1.1 200 Connected\r\n\r\n");
  socket.pipe(socket);
}

interface Answer {
  readonly text: string;
  readonly message: IncomingMessage;
}

async function ask(server: string, path: string, body?: string, headers = {}): Promise<Answer> {
  const method = body === undefined ? "GET" : "POST";
  const asked = request({ host: "127.0.0.1", port: gateway.port(server), path, method, headers, agent });
  asked.end(body);
  const [message]: IncomingMessage[] = await once(asked, "response");
  if (!message) throw new Error("no response");
  let text = "";
  for await (const chunk of message) text += String(chunk);
  return { text, message };
}

const LOUD = "AAA bAAAnAAAnAAA";

describe("a response whose body is filtered", () => {
  test("comes in chunks in the place of a length, and the next one behind it on the same connection", async () => {
    const first = await ask("loud", "/x");
    expect(first.text).toBe(`${LOUD} end of /x`);
    expect(first.message.headers).toMatchObject({ "transfer-encoding": "chunked", "x-loud": "yes" });
    expect(first.message.headers["content-length"]).toBeUndefined();
    const socket = first.message.socket;
    const second = await ask("loud", "/y");
    expect(second.text).toBe(`${LOUD} end of /y`);
    expect(second.message.socket).toBe(socket);
  });

  test("keeps its trailer", async () => {
    const { text, message } = await ask("loud", "/trailer");
    expect(text).toBe(`${LOUD} end of /trailer`);
    expect(message.trailers).toEqual({ "x-sum": "3" });
  });

  test("passes as it is where the filter does not want it", async () => {
    const { text, message } = await ask("loud", "/untouched");
    expect(text).toBe("a banana");
    expect(message.headers).toMatchObject({ "content-length": "8" });
    expect(message.headers["x-loud"]).toBeUndefined();
  });

  test("may have no body at all", async () => {
    expect((await ask("loud", "/none")).message.statusCode).toBe(204);
    const { stdout } = await run("curl", ["-s", "-I", `http://127.0.0.1:${gateway.port("loud")}/x`]);
    expect(stdout).toMatch(/^HTTP\/1\.1 200 OK\r\nContent-Length: 8\r\n/);
  });

  test("may be long", async () => {
    const { text } = await ask("loud", "/long");
    expect(text).toBe(`${LONG.replaceAll("a", "AAA")} end of /long`);
  });

  test("ends with the connection where the peer's does", async () => {
    const answer = await exchange(gateway.port("loud"), "GET /close HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(answer).toBe(`HTTP/1.1 200 OK\r\nConnection: close\r\nX-Loud: yes\r\n\r\n${LOUD} end of /close`);
  });

  test("is cut short where the peer's is, and the client can tell", async () => {
    const answer = await exchange(gateway.port("loud"), "GET /cut HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(answer).toMatch(/Transfer-Encoding: chunked\r\n\r\n10\r\nAAA bAAAnAAAnAAA\r\n$/);
  });

  test("ends with the connection for a client of HTTP/1.0, also one that asks for more", async () => {
    const url = `http://127.0.0.1:${gateway.port("loud")}/x`;
    const { stdout } = await run("curl", ["-s", "-0", url]);
    expect(stdout).toBe(`${LOUD} end of /x`);
    const socket = await dialIn(gateway.port("loud"));
    socket.write("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const answer = (await readAll(socket)).toString("latin1");
    expect(answer).toMatch(/\r\nConnection: close\r\n[\s\S]*\r\n\r\nAAA bAAAnAAAnAAA end of \/x$/);
    expect(answer).not.toMatch(/content-length|transfer-encoding|keep-alive\r/i);
    socket.destroy();
  });

  test("ends with the connection where the peer speaks HTTP/1.0", async () => {
    const socket = await dialIn(gateway.port("loud"));
    socket.write("GET /old HTTP/1.1\r\nHost: a\r\n\r\n");
    const answer = (await readAll(socket)).toString("latin1");
    expect(answer).toBe(`HTTP/1.0 200 OK\r\nConnection: close\r\nX-Loud: yes\r\n\r\n${LOUD} end of /old`);
    socket.destroy();
  });

  test("may be filtered slowly, in pieces, or be dropped", async () => {
    expect((await ask("slow", "/x")).text).toBe("a banana");
    const { text, message } = await ask("silent", "/x");
    expect([text, message.statusCode]).toEqual(["", 200]);
  });

  test("ends its session when the filter fails", async () => {
    expect(await exchange(gateway.port("faulty"), "GET /x HTTP/1.1\r\nHost: a\r\n\r\n")).not.toContain("banana");
    const line = await gateway.access((each) => each["server"] === "faulty");
    expect(line).toMatchObject({ status: 500, code: "RC_HOOK_FAILED", reason: "hook failed: bodyFilter: on purpose" });
  });
});

describe("requests and responses that are filtered, twice, and a header filter with them", () => {
  test("are all framed right", async () => {
    const { text, message } = await ask("both", "/post", "a banana", { "Content-Length": 8 });
    expect(text).toBe(" bnn end of /post!");
    expect(message.headers).toMatchObject({ "x-header": "headerFilter", "x-loud": "yes", "x-length": "undefined" });
    expect((await ask("both", "/get")).text).toBe(`${LOUD} end of /get!`);
    const long = await ask("both", "/post", LONG);
    expect(long.text).toBe(`${LONG.replaceAll("a", "")} end of /post!`);
  });

  test("curl waits for 100 Continue", async () => {
    const url = `http://127.0.0.1:${gateway.port("both")}/post`;
    const { stdout } = await run("curl", ["-s", "-H", "Expect: 100-continue", "-d", "a banana", url, url]);
    expect(stdout).toBe(" bnn end of /post! bnn end of /post!");
  });

  test("a request of HTTP/1.0 with a body is refused", async () => {
    const text = "POST /post HTTP/1.0\r\nContent-Length: 1\r\n\r\na";
    expect(await exchange(gateway.port("both"), text)).toBe("");
    const line = await gateway.access((each) => each["server"] === "both" && each["status"] === 400);
    expect(line).toMatchObject({ code: "RC_HTTP", end_cause: "rejected" });
  });

  test.each(["loud", "both"])(
    "an upgrade and a tunnel pass untouched, and so does another protocol (%s)",
    async (server) => {
      const upgrade = await dialIn(gateway.port(server));
      upgrade.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      await readUntil(upgrade, (text) => text.endsWith("\r\n\r\n"));
      upgrade.write("a GET / HTTP/1.1\r\n\r\n");
      expect(await readUntil(upgrade, (text) => text.endsWith("\r\n\r\n"))).toBe("a GET / HTTP/1.1\r\n\r\n");
      upgrade.destroy();
      const tunnel = await dialIn(gateway.port(server));
      tunnel.write("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nan early word");
      expect(await readUntil(tunnel, (text) => text.endsWith("word"))).toMatch(/\r\n\r\nan early word$/);
      tunnel.destroy();
      if (server === "loud") expect(await exchange(gateway.port(server), "\0a banana")).toBe("\0a banana");
    },
  );
});
