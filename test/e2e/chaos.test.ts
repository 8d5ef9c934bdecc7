import type { Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { openFiles, openFilesOf } from "../support/process.ts";
import { TestServer } from "../support/servers.ts";

// Either side is killed at a random point, a thousand times; nothing may be left behind.

const SESSIONS = 1_000;
const AT_ONCE = 20;
/** Ends of pipes that the carrier may keep for the next stream. */
const SPARE_PIPE_ENDS = 32;
/** Growth of the heap that a thousand sessions may leave: compiled code and caches, not sessions. */
const HEAP_ROOM = 4_194_304;

let gateway: Gateway;
let peer: TestServer;
/** Peers die as well. */
let isChaos = true;

beforeAll(async () => {
  peer = await TestServer.open((socket) => {
    socket.pipe(socket);
    if (isChaos && Math.random() < 0.3) setTimeout(() => die(socket), Math.random() * 20);
  });
  gateway = await Gateway.start(
    `import { setFlagsFromString } from "node:v8";
     import { runInNewContext } from "node:vm";
     import { content, defineGateway, on, otherwise, proxy, silent } from "restyconf";
     import { http, mqtt, msgpack } from "restyconf/preread";
     setFlagsFromString("--expose-gc");
     const gc = runInNewContext("gc");
     export default defineGateway({
       upstreams: { peer: { peers: ["${peer.address}", "127.0.0.1:1"], maxFails: 0 } },
       servers: {
         edge: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: "." }, preread: { timeoutMs: 100 }, idleTimeoutMs: 2_000,
           routes: [on(mqtt(), proxy("peer")), on(http(), proxy("peer")), on(msgpack(), proxy("peer")),
             silent(50, proxy("peer")), otherwise(proxy("peer"))] },
         heap: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
           gc(); gc();
           await session.write(String(process.memoryUsage().heapUsed));
         }))] },
       },
     });`,
    { ports: 2, files: await certificateFiles() },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

function die(socket: Socket): void {
  const way = Math.random();
  if (way < 0.4) socket.destroy();
  else if (way < 0.8 && !("encrypted" in socket)) socket.resetAndDestroy();
  else socket.end();
}

const firsts = [
  "",
  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "GET / HT",
  "\x10\x0f\x00\x04MQTT\x04\x02\x00\x3c\x00\x03bot",
  "\x10\x0f\x00",
  "\x82\xa3cmd\xa5login\xa1x\x01",
  "\x16\x03\x01\x02",
  "x".repeat(100_000),
  "x".repeat(2_000_000), // a stream, for which the carrier takes a pipe
];

async function oneLife(port: number): Promise<void> {
  const socket = Math.random() < 0.3 ? await dialTls(port).catch(() => undefined) : await dialIn(port);
  if (!socket) return;
  const first = firsts[Math.floor(Math.random() * firsts.length)] ?? "";
  socket.resume();
  for (let at = 0; at < first.length; ) {
    const size = 1 + Math.floor(Math.random() * first.length);
    socket.write(first.slice(at, at + size), "latin1");
    at += size;
  }
  const closed = new Promise((resolve) => socket.once("close", resolve));
  setTimeout(() => die(socket), Math.random() * 30);
  const grace = setTimeout(() => socket.destroy(), 3_000);
  await closed;
  clearTimeout(grace);
}

async function lives(count: number): Promise<void> {
  const port = gateway.port("edge");
  let left = count;
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (left-- > 0) await oneLife(port);
    }),
  );
}

const heap = async (): Promise<number> => Number(await exchange(gateway.port("heap"), "?"));
const openFilesWithout = (kind: string): number =>
  openFiles(gateway.process.pid) - openFilesOf(gateway.process.pid, kind);
const edgeLines = (): number => gateway.log.filter((line) => line["server"] === "edge" && "end_cause" in line).length;

test("a thousand kills at random points leave no session, no file descriptor and no heap", {
  timeout: 180_000,
}, async () => {
  await lives(200); // warm: code compiled, caches filled
  await eventually(() => expect(edgeLines()).toBe(200), 20_000);
  const files = openFilesWithout("pipe:");
  const pipes = openFilesOf(gateway.process.pid, "pipe:");
  const before = await heap();
  await lives(SESSIONS);
  await eventually(() => expect(edgeLines()).toBe(200 + SESSIONS), 20_000);
  await eventually(() => expect(openFilesWithout("pipe:")).toBeLessThanOrEqual(files), 20_000);
  const pipesNow = (): number => openFilesOf(gateway.process.pid, "pipe:");
  await eventually(() => expect(pipesNow()).toBeLessThanOrEqual(pipes + SPARE_PIPE_ENDS));
  expect((await heap()) - before).toBeLessThan(HEAP_ROOM);
  const causes = new Set(gateway.log.map((line) => line["end_cause"]));
  expect([...causes]).not.toContain("internal");
  isChaos = false;
  expect(await exchange(gateway.port("edge"), "still here")).toBe("still here");
});
