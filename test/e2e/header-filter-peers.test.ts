import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { run } from "../support/programs.ts";
import { freePorts, Service } from "../support/service.ts";

// Response heads edited on their way, with real servers and clients on both sides.

const PAGE = "a page\n";
const BIG = "0123456789abcdef".repeat(65_536); // 1 MiB

const folder = mkdtempSync(join(tmpdir(), "restyconf-heads-"));
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

let gateway: Gateway;
let nginx: Service;
let node: Server;

beforeAll(async () => {
  const [nginxPort = 0] = await freePorts(1);
  nginx = await startNginx(nginxPort);
  node = createServer(serveNode).on("upgrade", upgraded).on("connect", connected);
  node.keepAliveTimeout = 60_000;
  await once(node.listen(0, "127.0.0.1"), "listening");
  const nodePort = (node.address() as AddressInfo).port;
  gateway = await Gateway.start(config({ nginx: nginxPort, node: nodePort }), { ports: 2 });
});

afterAll(async () => {
  agent.destroy();
  await gateway?.[Symbol.asyncDispose]();
  node?.closeAllConnections();
  node?.close();
  await nginx?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Each response tells which one of its connection it is, and what was asked. */
const config = (ports: { nginx: number; node: number }): string => `
import { defineGateway, on, proxy } from "restyconf";
import { http } from "restyconf/preread";
const headerFilter = (session, { request, response }) => {
  session.ctx.count = (session.ctx.count ?? 0) + 1;
  response.headers.set("X-Seen", [session.ctx.count, request.method, request.target, response.status].join(" "));
};
const server = (upstream) => ({ listen: "127.0.0.1:0", routes: [on(http(), proxy(upstream))], phases: { headerFilter } });
export default defineGateway({
  upstreams: { nginx: { peers: ["127.0.0.1:${ports.nginx}"] }, node: { peers: ["127.0.0.1:${ports.node}"] } },
  servers: { nginx: server("nginx"), node: server("node") },
});
`;

async function startNginx(port: number): Promise<Service> {
  writeFileSync(join(folder, "page.txt"), PAGE);
  writeFileSync(join(folder, "big.txt"), BIG);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder};`)
    .join("\n");
  writeFileSync(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log; events {}
http {
  access_log off; ${paths} gzip_types text/plain; default_type text/plain;
  server {
    listen 127.0.0.1:${port}; root ${folder}; etag on; keepalive_timeout 60s;
    location /gzip/ { alias ${folder}/; gzip on; gzip_min_length 1; }
    location /gone { return 404 "gone"; }
    location /empty { return 204; }
    location /close { keepalive_timeout 0; return 200 "closing"; }
  }
}
`,
  );
  return Service.start(`env PORT=${port} nginx -e ${folder}/start.log -c ${folder}/nginx.conf`);
}

function serveNode(message: IncomingMessage, response: ServerResponse): void {
  const { url } = message;
  if (url === "/chunks") {
    response.writeHead(200, { Trailer: "X-Sum" });
    for (const word of ["one ", "two ", "three"]) response.write(word);
    response.addTrailers({ "X-Sum": "3" });
    response.end();
  } else if (url === "/hints") {
    response.writeEarlyHints({ link: "</style.css>; rel=preload" });
    response.end("hinted");
  } else if (url === "/refuse") {
    response.writeHead(413, { Connection: "close" }).end("too large"); // before the body is there
  } else message.pipe(response.writeHead(200, { "X-Method": String(message.method) }));
}

function upgraded(_: IncomingMessage, socket: Socket): void {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n");
  socket.pipe(socket);
}

function connected(_: IncomingMessage, socket: Socket): void {
  socket.write("HTTP/1.1 200 Connected\r\n\r\n");
  socket.pipe(socket);
}

describe("nginx and curl through a header filter", () => {
  const curl = async (...args: string[]): Promise<string> => (await run("curl", ["-s", "-i", ...args])).stdout;
  const url = (path: string): string => `http://127.0.0.1:${gateway.port("nginx")}${path}`;

  test("several requests on one connection", async () => {
    const { stdout } = await run("curl", [
      "-s",
      "-w",
      "%{num_connects} %header{x-seen}\n",
      url("/page.txt"),
      "-o",
      "/dev/null",
      url("/gone"),
      url("/page.txt"),
    ]);
    expect(stdout).toContain("1 1 GET /page.txt 200\n");
    expect(stdout).toMatch(/gone0 2 GET \/gone 404\na page\n0 3 GET \/page\.txt 200\n$/);
  });

  test("a large file, and a range of it", async () => {
    const { stdout } = await run("curl", ["-s", url("/big.txt")]);
    expect(stdout).toBe(BIG);
    expect(await curl("-r", "16-31", url("/big.txt"))).toMatch(
      /^HTTP\/1\.1 206 [\s\S]*x-seen: 1 GET \/big\.txt 206[\s\S]*\r\n\r\n0123456789abcdef$/i,
    );
  });

  test("chunks of a compressed file", async () => {
    const answer = await run("curl", ["-s", "-D", "-", "--compressed", url("/gzip/big.txt")]);
    expect(answer.stdout).toMatch(/Transfer-Encoding: chunked/);
    expect(answer.stdout).toMatch(/X-Seen: 1 GET \/gzip\/big\.txt 200/);
    expect(answer.stdout.endsWith(BIG)).toBe(true);
  });

  test("HEAD, 304 and 204, each with the next request on the same connection", async () => {
    const [, etag = ""] = /ETag: (\S+)/i.exec(await curl(url("/page.txt"))) ?? [];
    const head = ["-I", url("/page.txt"), "--next", "-s", "-i", url("/page.txt")];
    expect(await curl(...head)).toMatch(
      /X-Seen: 1 HEAD \/page\.txt 200[\s\S]*X-Seen: 2 GET \/page\.txt 200[\s\S]*\r\n\r\na page\n$/,
    );
    const cached = ["-H", `If-None-Match: ${etag}`, url("/page.txt"), "--next", "-s", "-i", url("/page.txt")];
    expect(await curl(...cached)).toMatch(/ 304 [\s\S]*X-Seen: 1 GET \/page\.txt 304\r\n\r\nHTTP[\s\S]*X-Seen: 2 /);
    expect(await curl(url("/empty"), url("/page.txt"))).toMatch(
      / 204 [\s\S]*X-Seen: 1 GET \/empty 204\r\n\r\nHTTP[\s\S]*X-Seen: 2 /,
    );
  });

  test("HTTP/1.0, and a connection that the peer closes", async () => {
    expect(await curl("-0", url("/page.txt"))).toMatch(/X-Seen: 1 GET \/page\.txt 200[\s\S]*a page\n$/);
    expect(await curl(url("/close"), url("/page.txt"))).toMatch(
      /X-Seen: 1 GET \/close 200[\s\S]*closing[\s\S]*X-Seen: 1 GET \/page/,
    );
  });

  test("an upgrade that the peer does not want", async () => {
    const { stdout } = await run("curl", ["-s", "-i", "--http2", url("/page.txt"), url("/gone")]);
    expect(stdout).toMatch(/X-Seen: 1 GET \/page\.txt 200[\s\S]*X-Seen: 2 GET \/gone 404/);
  });

  test("pipelined requests, in order, more of them than may wait at once", async () => {
    const count = 500;
    const socket = await dialIn(gateway.port("nginx"));
    const paths = Array.from({ length: count }, (_, index) => (index % 3 === 0 ? "/gone" : "/page.txt"));
    const last = "GET /page.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join("") + last);
    const answer = (await readAll(socket)).toString("latin1");
    socket.destroy();
    const seen = [...answer.matchAll(/X-Seen: (.*)\r/g)].map(([, text]) => text);
    const expected = paths.map((path, index) => `${index + 1} GET ${path} ${path === "/gone" ? 404 : 200}`);
    expect(seen).toEqual([...expected, `${count + 1} GET /page.txt 200`]);
  });
});

describe("node:http through a header filter", () => {
  interface Answer {
    readonly seen: string;
    readonly text: string;
    readonly message: IncomingMessage;
  }

  async function ask(path: string, { method = "GET", body = "", headers = {} } = {}): Promise<Answer> {
    const asked = request({ host: "127.0.0.1", port: gateway.port("node"), path, method, headers, agent });
    if (headers && "Expect" in headers) {
      asked.flushHeaders();
      await once(asked, "continue");
    }
    asked.end(body);
    const [message]: IncomingMessage[] = await once(asked, "response");
    if (!message) throw new Error("no response");
    let text = "";
    for await (const chunk of message) text += String(chunk);
    return { seen: String(message.headers["x-seen"]), text, message };
  }

  test("chunks with a trailer, and the next request behind them", async () => {
    const first = await ask("/chunks");
    expect(first.text).toBe("one two three");
    expect(first.message.trailers).toEqual({ "x-sum": "3" });
    const next = await ask("/next", { method: "POST", body: "more" });
    expect([next.text, next.message.headers["x-method"]]).toEqual(["more", "POST"]);
    expect(Number.parseInt(next.seen, 10)).toBe(Number.parseInt(first.seen, 10) + 1);
  });

  test("100 Continue passes without the filter", async () => {
    const body = "x".repeat(100_000);
    const { text, seen } = await ask("/upload", { method: "PUT", body, headers: { Expect: "100-continue" } });
    expect(text).toBe(body);
    expect(seen).toMatch(/^\d+ PUT \/upload 200$/);
  });

  test("early hints pass without the filter", async () => {
    const { message, text, seen } = await ask("/hints");
    expect(text).toBe("hinted");
    expect(seen).toMatch(/ 200$/);
    expect(message.statusCode).toBe(200);
  });

  test("a response that comes before the request is whole", async () => {
    const socket = await dialIn(gateway.port("node"));
    socket.write("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegun");
    expect(await readUntil(socket, (text) => text.endsWith("too large"))).toMatch(
      /^HTTP\/1\.1 413[\s\S]*X-Seen: 1 POST \/refuse 413/,
    );
    socket.destroy();
  });

  test("101: the filter sees it, then bytes flow untouched in both directions", async () => {
    const asked = request({
      ...{ host: "127.0.0.1", port: gateway.port("node"), path: "/socket" },
      headers: { Connection: "Upgrade", Upgrade: "echo" },
    });
    asked.end();
    const [message, socket]: [IncomingMessage, Socket] = (await once(asked, "upgrade")) as [IncomingMessage, Socket];
    expect(message.headers["x-seen"]).toBe("1 GET /socket 101");
    const frames = "\x81\x05hello HTTP/1.1 200 OK\r\nContent-Length: nothing of it\r\n\r\n";
    socket.write(frames, "latin1");
    expect(await readUntil(socket, (text) => text.length >= frames.length)).toBe(frames);
    socket.destroy();
  });

  test("CONNECT: a tunnel, whose first bytes may come early", async () => {
    const socket = await dialIn(gateway.port("node"));
    socket.write("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\x16\x03\x01 no HTTP at all");
    const answer = await readUntil(socket, (text) => text.endsWith("at all"));
    expect(answer).toBe("HTTP/1.1 200 Connected\r\nX-Seen: 1 CONNECT a:443 200\r\n\r\n\x16\x03\x01 no HTTP at all");
    socket.destroy();
  });

  test("a server's last words about a request that never became whole pass as they are", async () => {
    const socket = await dialIn(gateway.port("node"));
    socket.write("GET /chunks HTTP/1.1\r\nHost: a\r\n\r\nGET /never HTTP/1.1\r\nHost: \x80");
    const whole = /\r\n0\r\nX-Sum: 3\r\n\r\n/; // the head may come alone
    const answer = await readUntil(socket, (text) => whole.test(text));
    socket.end();
    const [, rest] = `${answer}${(await readAll(socket)).toString("latin1")}`.split(whole);
    expect(rest).toMatch(/^(HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n\r\n)?$/);
  });
});
