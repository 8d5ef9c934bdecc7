import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { content, defineGateway, on, otherwise, proxy, silent } from "../../src/index.ts";
import { bytes, http } from "../../src/preread/index.ts";
import type { ContentSession } from "../../src/stream/session.ts";
import type { LiveSession } from "../../src/worker/live-session.ts";
import { Worker } from "../../src/worker/worker.ts";
import { made } from "../ssl/made-certificates.ts";
import { BlackHole } from "../support/black-hole.ts";
import { dialIn, dialTls, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import type { LogLine } from "../support/gateway.ts";
import { openFiles, openFilesOf } from "../support/process.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What an operator sees and does while sessions live, in this process: the same on both paths.

/** Where JavaScript need not see the bytes. */
const KERNEL = process.env["RESTYCONF_CARRIER"] === "node" ? "node" : "native";

const lines: LogLine[] = [];
let running: Worker;
let peer: TestServer;
let hole: BlackHole;
let tlsPeer: ReturnType<typeof createTlsServer>;
let release: () => void = () => {};

beforeAll(async () => {
  const pair = await made({ names: ["localhost"] });
  peer = await echo();
  hole = await BlackHole.open();
  tlsPeer = createTlsServer(pair, (socket) => void socket.pipe(socket));
  tlsPeer.on("tlsClientError", () => {}).listen(0, "127.0.0.1");
  await once(tlsPeer, "listening");
  running = await Worker.start(config(pair), {
    baseDir: ".",
    log: { ...QUIET, access: (line) => lines.push(JSON.parse(line())) },
  });
});
afterAll(async () => {
  await running.close("quick");
  await hole[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
  tlsPeer.close();
});

const QUIET = { debug() {}, info() {}, warn() {}, error() {} };

function config({ cert, key }: { cert: string; key: string }) {
  const address = tlsPeer.address();
  const tlsPort = typeof address === "object" && address !== null ? address.port : 0;
  const toEcho = [otherwise(proxy("echo"))];
  return defineGateway({
    upstreams: {
      echo: { peers: [peer.address] },
      secure: { peers: [`127.0.0.1:${tlsPort}`], ssl: { verify: false } },
      hole: { peers: [`127.0.0.1:${hole.port}`], connectTimeoutMs: 60_000 },
    },
    servers: {
      plain: { listen: "127.0.0.1:0", routes: [on(bytes("hole"), proxy("hole")), ...toEcho] },
      web: { listen: "127.0.0.1:0", routes: [on(http(), proxy("echo"))] },
      greeted: { listen: "127.0.0.1:0", routes: [silent(0, proxy("echo"))] },
      hungry: { listen: "127.0.0.1:0", routes: [on(bytes("long words"), proxy("echo"))] },
      peeking: {
        listen: "127.0.0.1:0",
        routes: toEcho,
        phases: { preread: async (session) => void (await session.peek(5)) },
      },
      waiting: {
        listen: "127.0.0.1:0",
        routes: toEcho,
        phases: {
          preread: () =>
            new Promise<undefined>((resolve) => {
              release = () => resolve(undefined);
            }),
        },
      },
      writing: {
        listen: "127.0.0.1:0",
        routes: toEcho,
        phases: { preread: (session) => session.write("hello\n") },
      },
      reading: {
        listen: "127.0.0.1:0",
        routes: toEcho,
        phases: { preread: async (session) => void (await session.reader.receive("*l")) },
      },
      content: { listen: "127.0.0.1:0", routes: [otherwise(content(greetAndListen))] },
      ssl: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: [{ cert, key }] }, routes: toEcho },
      tlsPeer: { listen: "127.0.0.1:0", routes: [otherwise(proxy("secure"))] },
    },
  });
}

async function greetAndListen(session: ContentSession): Promise<void> {
  await session.write("hello\n");
  await session.reader.receive("*a");
}

function portOf(server: string): number {
  const address = running.listening.find((open) => open.server === server)?.address ?? "";
  return Number(address.split(":").at(-1));
}

const local =
  (socket: Socket) =>
  (session: LiveSession): boolean =>
    session.remote_port === socket.localPort;

/** The session of a client, once `fits` says so. */
function listed(socket: Socket, fits: (session: LiveSession) => void = () => {}): Promise<LiveSession> {
  return eventually(() => {
    const session = running.sessions().find(local(socket));
    if (!session) throw new Error("not listed");
    fits(session);
    return session;
  });
}

async function say(server: string, text: string): Promise<Socket> {
  const socket = await dialIn(portOf(server));
  socket.resume();
  socket.write(text);
  return socket;
}

const line = (session: LiveSession): Promise<LogLine> =>
  eventually(() => {
    const found = lines.find((entry) => entry["session"] === session.session);
    if (!found) throw new Error("no access line");
    return found;
  });

describe("the list of sessions", () => {
  test("has all that is known of a relayed one, and counts while it lives", async () => {
    const socket = await say("web", "GET / HTTP/1.1\r\n\r\n");
    const session = await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(18));
    expect(session).toEqual({
      session: expect.stringMatching(/^\d{15,19}$/),
      server: "web",
      protocol: "http",
      remote_addr: "127.0.0.1",
      remote_port: socket.localPort,
      server_addr: "127.0.0.1",
      server_port: portOf("web"),
      upstream: "echo",
      upstream_addr: peer.address,
      phase: "proxy",
      bytes_received: 18,
      bytes_sent: 18,
      age_ms: expect.any(Number),
      carrier: KERNEL,
    });
    socket.write("more");
    const later = await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(22));
    expect(later).toMatchObject({ session: session.session, bytes_received: 22 });
    expect(later.age_ms).toBeGreaterThanOrEqual(session.age_ms);
    socket.destroy();
    expect(await line(session)).toMatchObject({ end_cause: "client_closed", bytes_received: 22, bytes_sent: 22 });
    expect(running.sessions().find(local(socket))).toBeUndefined();
  });

  test("shows a session that waits in a hook, with what it has by then", async () => {
    const socket = await say("waiting", "hello");
    const session = await listed(socket, ({ phase }) => expect(phase).toBe("preread"));
    expect(session).toMatchObject({ upstream: undefined, upstream_addr: undefined, bytes_received: 0, bytes_sent: 0 });
    release();
    await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(5));
    socket.destroy();
    await line(session);
  });

  test("stops nothing: a stream goes on while it is asked for again and again", async () => {
    const socket = await dialIn(portOf("plain"));
    const sent = Buffer.alloc(64 * 1_048_576, "there and back ");
    let isOver = false;
    const answer = readAll(socket).finally(() => {
      isOver = true;
    });
    socket.end(sent);
    let last = 0;
    let steps = 0;
    while (!isOver) {
      const session = running.sessions().find(local(socket));
      if (session && session.bytes_sent > last) steps++;
      if (session) expect(session.bytes_sent).toBeGreaterThanOrEqual(last);
      last = session?.bytes_sent ?? last;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await answer).equals(sent)).toBe(true);
    expect(steps).toBeGreaterThan(5);
  });
});

describe("a client that has said nothing", () => {
  test("is listed, and known by its own name once it speaks", async () => {
    const socket = await dialIn(portOf("plain"));
    const silent = await listed(socket);
    expect(silent).toMatchObject({
      server: "plain",
      remote_addr: "127.0.0.1",
      server_addr: "127.0.0.1",
      server_port: portOf("plain"),
      protocol: undefined,
      phase: "preread",
      bytes_received: 0,
      bytes_sent: 0,
      carrier: KERNEL,
    });
    expect(silent.session).toMatch(KERNEL === "native" ? /^silent-\d+$/ : /^\d{15,19}$/);
    await sleep(20);
    expect((await listed(socket)).age_ms).toBeGreaterThanOrEqual(silent.age_ms + 15);
    socket.resume().write("hello");
    const session = await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(5));
    expect(running.sessions().filter(local(socket))).toHaveLength(1);
    socket.destroy();
    await line(session);
  });

  test("can be killed, and the access log tells of it", async () => {
    const [socket, other] = [await dialIn(portOf("plain")), await dialIn(portOf("plain"))];
    const silent = await listed(socket);
    await listed(other);
    expect(running.kill(silent.session)).toBe(true);
    expect(running.kill(silent.session)).toBe(false);
    await readAll(socket);
    const told = await eventually(() => {
      const found = lines.find((entry) => entry["remote_port"] === socket.localPort);
      if (!found) throw new Error("no access line");
      return found;
    });
    expect(told).toMatchObject({ end_cause: "killed", server: "plain", bytes_received: 0, bytes_sent: 0 });
    await listed(other); // no other has gone
    for (const each of [socket, other]) each.destroy();
    await eventually(() => expect(running.sessions().filter(local(other))).toEqual([]));
  });
});

describe("the kernel carries", () => {
  test.each([
    ["a plain session", "plain", "hello"],
    ["one whose server speaks first", "greeted", "hello"],
    ["one whose preread hook only peeks", "peeking", "hello"],
  ])("%s", async (_name, server, text) => {
    const socket = await say(server, text);
    const session = await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(5));
    expect(session.carrier).toBe(KERNEL);
    socket.destroy();
    await line(session);
  });

  test("not yet decided ones", async () => {
    const socket = await say("hungry", "long");
    const session = await listed(socket, ({ bytes_received }) => expect(bytes_received).toBe(4));
    expect(session.carrier).toBe(KERNEL);
    socket.write(" words");
    expect((await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(10))).carrier).toBe(KERNEL);
    socket.destroy();
    await line(session);
  });
});

describe("JavaScript carries", () => {
  test.each([
    ["one whose hook writes", "writing", "hello", 11],
    ["content", "content", "hello", 6],
    ["TLS to the peer", "tlsPeer", "hello", 5],
  ])("%s", async (_name, server, text, sent) => {
    const socket = await say(server, text);
    const session = await listed(socket, ({ bytes_received, bytes_sent }) =>
      expect([bytes_received, bytes_sent]).toEqual([5, sent]),
    );
    expect(session.carrier).toBe("node");
    socket.destroy();
    await line(session);
  });

  test("TLS that ends here, but not the plain bytes of the same port", async () => {
    const secure = await dialTls(portOf("ssl"));
    secure.resume().write("hello");
    const session = await listed(secure, ({ bytes_sent }) => expect(bytes_sent).toBe(5));
    expect(session).toMatchObject({ carrier: "node", bytes_received: 5 });
    const plain = await say("ssl", "hello");
    expect((await listed(plain, ({ bytes_sent }) => expect(bytes_sent).toBe(5))).carrier).toBe(KERNEL);
    for (const socket of [secure, plain]) socket.destroy();
    await line(session);
  });

  test("nothing of a session whose hook has read a line and no more: what was consumed is not sent", async () => {
    const socket = await say("reading", "user\nhello");
    const session = await listed(socket, ({ bytes_sent }) => expect(bytes_sent).toBe(5));
    expect(session).toMatchObject({ carrier: KERNEL, bytes_received: 10 });
    socket.destroy();
    await line(session);
  });
});

describe("a kill", () => {
  test.each([
    ["while it is relayed", "plain", "hello", "proxy", { bytes_received: 5, bytes_sent: 5 }],
    ["while its protocol is unknown", "hungry", "long", "preread", { bytes_received: 4, bytes_sent: 0 }],
    ["while a hook runs", "waiting", "hello", "preread", { bytes_received: 0, bytes_sent: 0 }],
    ["while a peer is connected", "plain", "hole", "proxy", { bytes_received: 4, bytes_sent: 0 }],
    ["while content is served", "content", "hello", "content", { bytes_received: 5, bytes_sent: 6 }],
    ["while TLS to the peer carries it", "tlsPeer", "hello", "proxy", { bytes_received: 5, bytes_sent: 5 }],
  ] as const)("ends a session at once: %s", async (_name, server, text, phase, moved) => {
    const socket = await say(server, text);
    const session = await listed(socket, (seen) => expect(seen).toMatchObject({ phase, ...moved }));
    expect(running.kill(session.session)).toBe(true);
    expect(running.sessions().find(local(socket))).toBeUndefined();
    expect(running.kill(session.session)).toBe(false);
    await readAll(socket);
    expect(await line(session)).toMatchObject({ end_cause: "killed", status: 200, ...moved });
    socket.destroy();
  });

  test("of a session that is not there changes nothing", () => {
    for (const id of ["", "nobody", "x-1", "-1", "silent-", "silent-1", "silent-99999999999999999"])
      expect(running.kill(id)).toBe(false);
  });

  test("ends the one that is meant, and no other", async () => {
    const [one, two] = [await say("plain", "one"), await say("plain", "two")];
    const isRelayed = ({ bytes_sent }: LiveSession): void => expect(bytes_sent).toBe(3);
    const [first, second] = [await listed(one, isRelayed), await listed(two, isRelayed)];
    running.kill(first.session);
    await line(first);
    two.write("more");
    await listed(two, ({ bytes_sent }) => expect(bytes_sent).toBe(7));
    two.destroy();
    expect(await line(second)).toMatchObject({ end_cause: "client_closed" });
    one.destroy();
  });

  test("a thousand at random moments leave no session and no file descriptor", { timeout: 120_000 }, async () => {
    await eventually(() => expect(running.sessions()).toEqual([]));
    const warmUp = lines.length;
    await killed(100); // pools are full now, code is compiled
    await eventually(() => expect(lines.length - warmUp).toBe(100)); // the last may come after the peer has gone
    await eventually(() => expect(peer.sockets.size).toBe(0));
    const files = openFilesWithoutPipes();
    const pipes = openFilesOf(process.pid, "pipe:");
    const before = lines.length;
    await killed(1_000);
    await eventually(() => expect(lines.length - before).toBe(1_000));
    await eventually(() => expect(openFilesWithoutPipes()).toBeLessThanOrEqual(files));
    await eventually(() => expect(openFilesOf(process.pid, "pipe:")).toBeLessThanOrEqual(pipes + SPARE_PIPE_ENDS));
    const causes = new Set(lines.slice(before).map((entry) => entry["end_cause"]));
    expect(causes).toContain("killed");
    expect(causes).not.toContain("internal");
    await eventually(() => expect(running.sessions()).toEqual([]));
  });
});

/** Ends of pipes that the carrier may keep for the next stream. */
const SPARE_PIPE_ENDS = 32;

const openFilesWithoutPipes = (): number => openFiles(process.pid) - openFilesOf(process.pid, "pipe:");

/** So many sessions, some at once, each killed at a random moment of its life. */
async function killed(count: number): Promise<void> {
  let left = count;
  const one = async (): Promise<void> => {
    const servers = ["plain", "plain", "greeted", "peeking", "writing", "content", "tlsPeer"];
    const socket = await say(
      servers[left % servers.length] ?? "plain",
      "x".repeat(Math.random() < 0.2 ? 3_000_000 : 50),
    );
    await sleep(Math.random() * 20);
    for (let tries = 0; !socket.closed && !socket.readableEnded; tries++) {
      const session = running.sessions().find(local(socket));
      if (session) running.kill(session.session);
      else await sleep(5);
      if (tries > 1_000) throw new Error("neither listed nor closed");
    }
    socket.destroy();
  };
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      while (left-- > 0) await one();
    }),
  );
}
