import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { wasReset } from "../../src/stream/reset.ts";
import { dialIn, exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { openFilesOf } from "../support/process.ts";
import { TestServer } from "../support/servers.ts";

// Streams, which the native carrier moves through pipes: bounded in number, never leaked, and done without where there are none.

const IS_NATIVE = process.env["RESTYCONF_CARRIER"] !== "node";
const MEGABYTE = 1_048_576;
const POOL = randomBytes(16 * MEGABYTE);
const CROWD = 100;

/** Pipes in use at once, and pipes kept for the next stream; two ends each. */
const MOST_PIPES = 2 * 64;
const SPARE_PIPES = 2 * 16;

let gateway: Gateway;
let peer: TestServer;
/** Peers' ends of sessions, for tests that play the peer themselves. */
const accepted: Socket[] = [];

beforeAll(async () => {
  peer = await TestServer.open((socket) => void accepted.push(socket));
  gateway = await Gateway.start(config());
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

const config = (more = ""): string => `
  import { existsSync, openSync } from "node:fs";
  import { defineGateway, otherwise, proxy } from "restyconf";
  export default defineGateway({
    upstreams: { peer: { peers: ["${peer.address}"], maxFails: 0 } },
    servers: { edge: { listen: "127.0.0.1:0", idleTimeoutMs: 20_000, routes: [otherwise(proxy("peer"))] } },
    ${more}
  });`;

async function session(port = gateway.port()): Promise<{ client: Socket; far: Socket }> {
  const before = accepted.length;
  const client = await dialIn(port);
  client.write("!");
  const far = await eventually(() => {
    const socket = accepted[before];
    if (!socket) throw new Error("no peer");
    return socket;
  });
  await once(far, "data");
  return { client, far };
}

const pipes = (): number => openFilesOf(gateway.process.pid, "pipe:");
const sockets = (): number => openFilesOf(gateway.process.pid, "socket:");

test("a stream takes a pipe and gives it back when it is over", async () => {
  const before = pipes();
  const { client, far } = await session();
  const most = flood(client, far, 64);
  let seen = 0;
  while (!(await Promise.race([most, sleep(2, false)]))) seen = Math.max(seen, pipes() - before);
  if (IS_NATIVE) expect(seen).toBe(2);
  else expect(seen).toBe(0);
  client.destroy();
  await eventually(() => expect(pipes() - before).toBeLessThanOrEqual(SPARE_PIPES));
});

test("a message takes none", async () => {
  const { client, far } = await session();
  const before = pipes();
  far.on("data", (chunk: Buffer) => far.write(chunk));
  for (let round = 0; round < 100; round++) {
    client.write(POOL.subarray(0, 16_384));
    for (let got = 0; got < 16_384; ) got += ((await once(client, "data"))[0] as Buffer).length;
  }
  expect(pipes()).toBeLessThanOrEqual(before); // one that a stream has left may have been closed
  client.destroy();
  far.destroy();
});

test(`${CROWD} streams that stall and break off use no more pipes than there may be, and leave none`, async () => {
  const [socketsBefore, pipesBefore] = [sockets(), pipes()];
  const pairs: { client: Socket; far: Socket }[] = [];
  for (let at = 0; at < CROWD; at++) pairs.push(await session());
  for (const { client, far } of pairs) {
    far.pause();
    client.write(POOL);
  }
  if (IS_NATIVE) await eventually(() => expect(pipes() - pipesBefore).toBeGreaterThan(0));
  await sleep(300);
  expect(pipes() - pipesBefore).toBeLessThanOrEqual(MOST_PIPES);
  if (IS_NATIVE) expect(pipes() - pipesBefore).toBeGreaterThan(0);
  for (const [at, { client, far }] of pairs.entries()) {
    if (at % 3 === 0) client.resetAndDestroy();
    else if (at % 3 === 1) far.resetAndDestroy();
    else {
      client.destroy();
      far.destroy();
    }
  }
  for (const { client, far } of pairs) for (const socket of [client, far]) socket.destroy();
  await eventually(() => expect(sockets()).toBeLessThanOrEqual(socketsBefore), 25_000);
  await eventually(() => expect(pipes() - pipesBefore).toBeLessThanOrEqual(SPARE_PIPES));
  const { client, far } = await session(); // still well
  await flood(client, far, 16);
  client.destroy();
});

test("a reader that stalls again and again, both ways at once, gets every byte in order", async () => {
  const { client, far } = await session();
  const [up, down] = await Promise.all([
    Promise.all([send(client, 96), readWithStalls(far)]),
    Promise.all([send(far, 96), readWithStalls(client)]),
  ]);
  expect(up[1]).toBe(up[0]);
  expect(down[1]).toBe(down[0]);
});

test.each(["client", "peer"])(
  "a reset by the %s in the middle of a stream is one, and nothing before it is wrong",
  async (side) => {
    for (let round = 0; round < 10; round++) {
      const { client, far } = await session();
      const [from, to] = side === "client" ? [client, far] : [far, client];
      const chunks: Buffer[] = [];
      to.on("data", (chunk: Buffer) => chunks.push(chunk));
      const broke = new Promise<boolean>((resolve) => {
        to.once("error", (cause: NodeJS.ErrnoException) => resolve(cause.code === "ECONNRESET"));
        to.once("end", () => resolve(wasReset({ stream: to, transport: to })));
      });
      from.write(POOL);
      await sleep(Math.random() * 10);
      from.resetAndDestroy();
      expect(await broke).toBe(true);
      const got = Buffer.concat(chunks);
      expect(got.equals(POOL.subarray(0, got.length))).toBe(true);
    }
    const ends = await gateway.access(({ end_cause }) => end_cause === `${side}_reset`);
    expect(ends["status"]).toBe(200);
  },
);

test("a stream goes on without a pipe when there is no file descriptor for one", async () => {
  const hog = `phases: { initWorker: () => { const look = setInterval(() => {
    if (!existsSync(new URL("go", import.meta.url))) return;
    clearInterval(look);
    try { for (let n = 0; n < 1_000; n++) openSync("/dev/null"); } catch {} process.stderr.write('{"msg":"full"}\\n'); }, 20); } }`;
  await using other = await Gateway.start(config(hog), { wrap: ["bash", "-c", 'ulimit -n 160; exec "$@"', "--"] });
  const { client, far } = await session(other.port());
  writeFileSync(`${other.folder}/go`, "");
  await other.line((line) => line["msg"] === "full");
  await flood(client, far, 64);
  expect(openFilesOf(other.process.pid, "")).toBeGreaterThanOrEqual(160);
  const heard = once(far, "end");
  client.end();
  await heard; // so that the client is the first to end
  far.end();
  expect(await other.access()).toMatchObject({ end_cause: "client_closed", bytes_received: 64 * MEGABYTE + 1 });
});

test("a gateway that served streams serves messages as before", async () => {
  const answering = once(peer.server, "connection").then(([socket]) => socket.on("data", () => socket.end("answer")));
  expect(await exchange(gateway.port(), "question")).toBe("answer");
  await answering;
});

/** So many megabytes from one to the other, as fast as they go; true when they have arrived whole. */
async function flood(from: Socket, to: Socket, megabytes: number): Promise<boolean> {
  const hash = createHash("sha1");
  let left = megabytes * MEGABYTE;
  const all = new Promise<void>((resolve) => {
    to.on("data", (chunk: Buffer) => {
      hash.update(chunk);
      left -= chunk.length;
      if (left === 0) resolve();
    });
  });
  const expected = createHash("sha1");
  for (let sent = 0; sent < megabytes; sent++) {
    const piece = POOL.subarray((sent % 16) * MEGABYTE, ((sent % 16) + 1) * MEGABYTE);
    expected.update(piece);
    if (!from.write(piece)) await once(from, "drain");
  }
  await all;
  expect(hash.digest("hex")).toBe(expected.digest("hex"));
  return true;
}

async function send(socket: Socket, megabytes: number): Promise<string> {
  const hash = createHash("sha1");
  for (let left = megabytes * MEGABYTE; left > 0; ) {
    const size = Math.min(left, 1 + Math.floor(Math.random() ** 2 * MEGABYTE));
    const at = Math.floor(Math.random() * (POOL.length - size));
    hash.update(POOL.subarray(at, at + size));
    left -= size;
    if (!socket.write(POOL.subarray(at, at + size))) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

/** Stops long enough for all buffers on the way to fill, some times. */
async function readWithStalls(socket: Socket): Promise<string> {
  const hash = createHash("sha1");
  let untilStall = 4 * MEGABYTE;
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    untilStall -= chunk.length;
    if (untilStall > 0) return;
    untilStall = 8 * MEGABYTE + Math.floor(Math.random() * 16 * MEGABYTE);
    socket.pause();
    setTimeout(() => socket.resume(), 100 + Math.random() * 200);
  });
  await once(socket, "end");
  return hash.digest("hex");
}
