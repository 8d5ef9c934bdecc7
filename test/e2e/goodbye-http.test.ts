import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { Agent, createServer, type IncomingHttpHeaders, request, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { announced, closed } from "../support/operated.ts";
import { type Ran, run } from "../support/programs.ts";

// HTTP/1 announces the end of a connection in its last response, so that no request is lost.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const LARGE = randomBytes(10_485_760);

let peer: Server;
let peerPort = 0;

beforeAll(async () => {
  peer = createServer({ keepAliveTimeout: 60_000 }, (incoming, response) => {
    const { url = "" } = incoming;
    const waitMs = Number(/slow=(\d+)/.exec(url)?.[1] ?? 0);
    if (url.startsWith("/large")) void sendSlowly(response);
    else incoming.resume().once("end", () => setTimeout(() => response.end(`answer to ${url}`), waitMs));
  });
  peer.on("upgrade", (_incoming, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.pipe(socket);
  });
  peer.listen(0, "127.0.0.1");
  await once(peer, "listening");
  peerPort = (peer.address() as AddressInfo).port;
});
afterAll(() => {
  peer.closeAllConnections();
  peer.close();
});

async function sendSlowly(response: import("node:http").ServerResponse): Promise<void> {
  response.setHeader("Content-Length", LARGE.length);
  for (let at = 0; at < LARGE.length; at += 524_288) {
    response.write(LARGE.subarray(at, at + 524_288));
    await sleep(50);
  }
  response.end();
}

async function start({ workers = 1 } = {}): Promise<Gateway> {
  return Gateway.start(
    `
import { defineGateway, httpBody, on, proxy } from "restyconf";
import { http } from "restyconf/preread";
const routes = [on(http(), proxy("peer"))];
export default defineGateway({
  stateDir: "state",
  workers: ${workers},
  upstreams: { peer: { peers: ["127.0.0.1:${peerPort}"] } },
  servers: {
    plain: { listen: "127.0.0.1:0", routes },
    heads: { listen: "127.0.0.1:0", routes, phases: { headerFilter: (_, { response }) => response.headers.set("X-Seen", "1") } },
    bodies: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { upstream: httpBody((piece) => piece) } } },
    chunks: { listen: "127.0.0.1:0", routes, phases: { bodyFilter: { upstream: () => undefined } } },
  },
});`,
    { ports: 4 },
  );
}

const servers = ["plain", "heads", "bodies", "chunks"] as const;

function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  return run(process.execPath, [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")]);
}

const isHttp = (line: LogLine): boolean => line["protocol"] === "http";

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

async function get(agent: Agent, port: number, path = "/"): Promise<Answer> {
  const asked = request({ agent, port, host: "127.0.0.1", path });
  asked.end();
  const [response] = await once(asked, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { headers: response.headers, body: Buffer.concat(chunks) };
}

/** Asks again and again over one connection until it is told that this is the last answer. */
async function lastAnswer(agent: Agent, port: number, path: string): Promise<Answer> {
  return eventually(async () => {
    const answer = await get(agent, port, path);
    expect(answer.headers.connection).toBe("close");
    return answer;
  });
}

describe.each(servers)("a session of HTTP/1 at %s", (server) => {
  test.each([
    ["quit", ["quit"]],
    ["drain", ["drain", "--over", "12"]],
  ])("is told in its next response when the gateway is to %s, which ends with it", async (_name, words) => {
    await using gateway = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect((await get(agent, gateway.port(server))).headers.connection).toBe("keep-alive");
    const ended = tell(gateway, ...words);
    await closed(gateway.port(server));
    const { body, headers } = await lastAnswer(agent, gateway.port(server), "/last");
    expect(body.toString()).toBe("answer to /last");
    expect(headers["x-seen"]).toBe(server === "heads" ? "1" : undefined);
    expect(await gateway.access(isHttp)).toMatchObject({ end_cause: "drained", status: 200 });
    expect((await ended).code).toBe(0);
    agent.destroy();
  });
});

describe("while the gateway is drained", () => {
  test("a request that waits for its answer gets it, and with it the announcement", async () => {
    await using gateway = await start();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await get(agent, gateway.port("plain"));
    await sleep(300);
    const ended = tell(gateway, "drain", "--over", "12");
    await closed(gateway.port("plain"));
    const { body, headers } = await get(agent, gateway.port("plain"), "/?slow=2500");
    expect([body.toString(), headers.connection]).toEqual(["answer to /?slow=2500", "close"]);
    expect((await ended).code).toBe(0);
    agent.destroy();
  });

  test("a response of 10 MB that is under way is whole", async () => {
    await using gateway = await start();
    const agent = new Agent({ keepAlive: true });
    const large = get(agent, gateway.port("plain"), "/large");
    await sleep(200);
    const ended = tell(gateway, "drain", "--over", "8"); // a busy machine takes its time for 10 MB
    const { body } = await large;
    expect(sha(body)).toBe(sha(LARGE));
    expect((await ended).code).toBe(0);
    expect(await gateway.access(isHttp)).toMatchObject({ end_cause: "drained" });
    agent.destroy();
  });

  test("what a client has asked behind its last request it asks elsewhere, and the counts go on over all of it", async () => {
    await using gateway = await start();
    const socket = await dialIn(gateway.port("plain"));
    socket.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    await readUntil(socket, (text) => text.endsWith("answer to /a"));
    const ended = tell(gateway, "drain", "--over", "12");
    await closed(gateway.port("plain"));
    await announced(gateway);
    socket.write("GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n");
    const rest = (await readAll(socket)).toString();
    expect(rest).toContain("\r\nConnection: close\r\n");
    expect(rest.endsWith("answer to /b")).toBe(true);
    socket.end();
    expect(await gateway.access(isHttp)).toMatchObject({ end_cause: "drained", bytes_sent: socket.bytesRead });
    expect((await ended).code).toBe(0);
  });

  test("a session in which nothing happens is ended at its turn", async () => {
    await using gateway = await start();
    const socket = await dialIn(gateway.port("plain"));
    socket.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    await readUntil(socket, (text) => text.endsWith("answer to /a"));
    const ended = tell(gateway, "drain", "--over", "2");
    expect((await readAll(socket)).toString()).toBe("");
    socket.end();
    expect(await gateway.access(isHttp)).toMatchObject({ end_cause: "drained", bytes_sent: socket.bytesRead });
    expect((await ended).code).toBe(0);
  });

  test("what becomes another protocol passes unchanged", async () => {
    await using gateway = await start();
    const socket = await dialIn(gateway.port("plain"));
    socket.write("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    await readUntil(socket, (text) => text.endsWith("answer to /a"));
    const quitting = tell(gateway, "quit");
    await closed(gateway.port("plain"));
    await announced(gateway);
    socket.write("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    expect(await readUntil(socket, (text) => text.endsWith("\r\n\r\n"))).toMatch(/^HTTP\/1\.1 101 /);
    const words = "GET / HTTP/1.1\r\nHost: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab";
    socket.write(words);
    expect(await readUntil(socket, (text) => text.length >= words.length)).toBe(words);
    const [line = ""] = (await tell(gateway, "sessions")).stdout.split("\n").filter((text) => text.includes('"http"'));
    expect(JSON.parse(line)).toMatchObject({
      carrier: "node", // where it has been since its end was announced
      bytes_received: socket.bytesWritten,
      bytes_sent: socket.bytesRead,
    });
    socket.end();
    expect(await gateway.access(isHttp)).toMatchObject({ end_cause: "client_closed" });
    expect((await quitting).code).toBe(0);
  });
});

describe("no request fails", () => {
  /** Connects to the first of these ports that is open: what a load balancer in front of two gateways does. */
  function agentOf(ports: readonly number[]): Agent {
    const agent = new Agent({ keepAlive: true, maxSockets: 4 });
    Object.assign(agent, {
      createConnection: (_options: unknown, done: (cause: Error | null, socket?: Socket) => void) => {
        const [first = 0, ...others] = ports;
        const socket = connect(first, "127.0.0.1");
        const tryNext = (): void => {
          const next = connect(others[0] ?? 0, "127.0.0.1");
          next.once("connect", () => done(null, next)).once("error", done);
        };
        socket.once("error", tryNext).once("connect", () => {
          socket.off("error", tryNext);
          done(null, socket);
        });
      },
    });
    return agent;
  }

  /** A busy machine takes longer for them. */
  const LEAST_SENT = 50;

  async function load(
    agents: readonly Agent[],
    until: Promise<unknown>,
    path: string,
  ): Promise<{ sent: number; failed: unknown[] }> {
    let isOver = false;
    void until.finally(() => {
      isOver = true;
    });
    let sent = 0;
    const failed: unknown[] = [];
    const ask = async (agent: Agent, pauseMs: number): Promise<void> => {
      while (!isOver || sent <= LEAST_SENT) {
        await get(agent, 1, path).then(
          ({ body }) => expect(body.toString()).toBe(`answer to ${path}`),
          (cause: unknown) => failed.push(cause),
        );
        sent++;
        if (pauseMs > 0) await sleep(pauseMs);
      }
    };
    const pauses = [0, 1, 10, 100];
    await Promise.all(agents.flatMap((agent) => pauses.map((pauseMs) => ask(agent, pauseMs))));
    for (const agent of agents) agent.destroy();
    return { sent, failed };
  }

  test.each(["/", "/?slow=30", "/?slow=400"])("while one of two gateways is drained: %s", async (path) => {
    await using first = await start();
    await using second = await start();
    const agents = Array.from({ length: 3 }, () => agentOf([first.port("plain"), second.port("plain")]));
    const draining = sleep(500).then(() => tell(first, "drain", "--over", "10")); // none is at rest for half of it, however busy the machine
    const { sent, failed } = await load(
      agents,
      draining.then(() => sleep(300)),
      path,
    );
    expect(failed).toEqual([]);
    expect(sent).toBeGreaterThan(LEAST_SENT);
    expect((await draining).stdout).toContain("ended");
  });

  test("while the workers are replaced", async () => {
    await using gateway = await start({ workers: 2 });
    const agents = Array.from({ length: 3 }, () => agentOf([gateway.port("plain")]));
    const replaced = sleep(300)
      .then(() => tell(gateway, "replace"))
      .then(() =>
        eventually(async () => {
          const { workers } = JSON.parse((await tell(gateway, "status")).stdout);
          expect(workers).toHaveLength(2);
        }, 15_000),
      );
    const { failed, sent } = await load(agents, replaced, "/");
    expect(failed).toEqual([]);
    expect(sent).toBeGreaterThan(LEAST_SENT);
  });
});

function sha(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
