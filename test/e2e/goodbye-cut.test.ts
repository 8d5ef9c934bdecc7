import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ask as askGateway } from "../../src/admin/ask.ts";
import { dialIn, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { announced, closed } from "../support/operated.ts";
import { type Ran, run } from "../support/programs.ts";

// A drain does not cut what is under way before its end, and nobody stays behind it.

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));

let peer: Server;
const sockets = new Set<Socket>();

beforeAll(async () => {
  peer = createServer((socket) => void serve(socket.on("error", () => {})));
  peer.listen(0, "127.0.0.1");
  await once(peer, "listening");
});
afterAll(() => {
  for (const socket of sockets) socket.destroy();
  peer.close();
});

const heads: Readonly<Record<string, string>> = {
  length: "Content-Length: 10\r\n\r\n01234",
  close: "Connection: close\r\nContent-Length: 10\r\n\r\n01234",
  chunked: "Transfer-Encoding: chunked\r\n\r\na\r\n01234",
};

/** Requests that have come so far, and those whose answer waits for the test. */
let asks = 0;
const held: (() => void)[] = [];

/** The drain has begun, and been announced. */
function release(): void {
  for (const answer of held.splice(0)) answer();
}

/** Answers in order: `/length/1000` has half a body, and the other half a second later; `/late/1000` waits before its head; `/held/0` until {@link release}. */
async function serve(socket: Socket): Promise<void> {
  sockets.add(socket.once("close", () => sockets.delete(socket)));
  let read = "";
  for await (const chunk of socket) {
    read += chunk;
    const isHead = read.startsWith("HEAD ");
    for (let end = read.indexOf("\r\n\r\n"); end !== -1; end = read.indexOf("\r\n\r\n")) {
      const [, kind = "", ms] = /^[A-Z]+ \/([a-z]+)\/(\d+) /.exec(read) ?? [];
      read = read.slice(end + 4);
      const isLate = kind === "late" || kind === "held";
      if (!isLate) socket.write(`HTTP/1.1 200 OK\r\n${heads[kind]}`);
      asks++;
      if (kind === "held") await new Promise<void>((resolve) => void held.push(resolve));
      await sleep(Number(ms));
      if (isLate) socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${isHead ? "" : "late"}`);
      else socket.write(kind === "chunked" ? "56789\r\n0\r\n\r\n" : "56789");
    }
  }
}

function start({ workers = 1 } = {}): Promise<Gateway> {
  const { port } = peer.address() as AddressInfo;
  return Gateway.start(`
import { defineGateway, on, proxy } from "restyconf";
import { http } from "restyconf/preread";
export default defineGateway({
  stateDir: "state",
  workers: ${workers},
  upstreams: { peer: { peers: ["127.0.0.1:${port}"] } },
  servers: { edge: { listen: "127.0.0.1:0", preread: { timeoutMs: 60_000 }, routes: [on(http(), proxy("peer"))] } },
});`);
}

function tell(gateway: Gateway, ...words: string[]): Promise<Ran> {
  const parameters = [CLI, ...words, "--config", join(gateway.folder, "restyconf.config.ts")];
  return run(process.execPath, parameters, { timeoutMs: 50_000 });
}

const get = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

async function asked(gateway: Gateway, path: string, more = ""): Promise<Socket> {
  const socket = await dialIn(gateway.port());
  socket.write(get(path, more));
  return socket;
}

/** All that comes until the end, and ends. */
async function rest(socket: Socket): Promise<string> {
  const text = (await readAll(socket)).toString();
  socket.end();
  return text;
}

test("a response that pauses within its body is not cut before the drain's end, nor is one that is owed", async () => {
  await using gateway = await start();
  const before = asks;
  const idle = await asked(gateway, "/late/0");
  await readUntil(idle, (text) => text.endsWith("late"));
  const under = await Promise.all(["/length/5000", "/chunked/5000", "/close/5000"].map((path) => asked(gateway, path)));
  const early = await asked(gateway, "/length/2000");
  await eventually(() => expect(asks - before).toBe(5));
  await sleep(300);
  const all = [...under, early].map(rest);
  const ended = tell(gateway, "drain", "--over", "12");
  await closed(gateway.port());
  await announced(gateway);
  early.write(get("/late/2500"));
  idle.write(get("/length/3000", "Connection: close\r\n"));
  const [length = "", chunked = "", close = "", owed = ""] = await Promise.all(all);
  expect([length, close].map((text) => text.endsWith("\r\n\r\n0123456789"))).toEqual([true, true]);
  expect(chunked.endsWith("\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")).toBe(true);
  expect(owed).toMatch(/\r\n\r\n0123456789HTTP\/1\.1 200 OK\r\n[\s\S]*late$/);
  expect((await rest(idle)).endsWith("\r\n\r\n0123456789")).toBe(true);
  expect((await ended).code).toBe(0);
});

test("a response that says close by itself, asked for in the drain, is not cut before the drain's end", async () => {
  await using gateway = await start();
  const socket = await asked(gateway, "/late/0");
  await readUntil(socket, (text) => text.endsWith("late"));
  const ended = tell(gateway, "drain", "--over", "12");
  await closed(gateway.port());
  await announced(gateway);
  socket.write(get("/close/2400"));
  expect((await rest(socket)).endsWith("\r\n\r\n0123456789")).toBe(true);
  expect((await ended).code).toBe(0);
});

test("a client that has offered h2c, which its peer does not take up, is told, and waits for its answer", async () => {
  await using gateway = await start();
  const offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
  const socket = await asked(gateway, "/held/0", offer);
  await eventually(() => expect(held).toHaveLength(1));
  const ended = tell(gateway, "drain", "--over", "12");
  await closed(gateway.port());
  await announced(gateway);
  release();
  expect(await rest(socket)).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*Connection: close\r\n[\s\S]*late$/);
  expect((await ended).code).toBe(0);
});

test("the answer to a HEAD that came before the drain ends the session, which waits for no body", async () => {
  await using gateway = await start();
  const socket = await dialIn(gateway.port());
  socket.write(get("/held/0").replace("GET", "HEAD"));
  await eventually(() => expect(held).toHaveLength(1));
  const ended = tell(gateway, "drain", "--over", "20");
  await closed(gateway.port());
  await announced(gateway);
  const startedAt = performance.now();
  release();
  expect(await rest(socket)).toBe("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n");
  expect((await ended).code).toBe(0);
  expect(performance.now() - startedAt).toBeLessThan(12_000); // before the drain's end
});

test("clients that have said nothing have their turn in a drain, and are counted until then", async () => {
  const [count, overMs] = [24, 6_000]; // one at each step: the command looks before all have gone
  await using gateway = await start();
  const silent = await Promise.all(Array.from({ length: count }, () => dialIn(gateway.port())));
  await eventually(async () => {
    expect((await tell(gateway, "sessions")).stdout.trim().split("\n")).toHaveLength(count);
  });
  const ends: number[] = [];
  const all = silent.map(async (socket) => {
    const text = await rest(socket);
    ends.push(performance.now());
    return text;
  });
  const ended = tell(gateway, "drain", "--over", String(overMs / 1_000));
  expect(await Promise.all(all)).toEqual(Array(count).fill(""));
  const { code, stdout } = await ended;
  expect([code, /^(?:[1-9]|1\d|2[0-4]) sessions left$/m.test(stdout)]).toEqual([0, true]);
  const tookMs = (ends.at(-1) ?? 0) - (ends[0] ?? 0);
  expect(tookMs).toBeGreaterThan(overMs / 3);
  expect(tookMs).toBeLessThan(overMs + 4_500); // nobody is left for the five seconds behind the drain's end
  expect(await gateway.access(() => true)).toMatchObject({ end_cause: "drained" });
}, 60_000);

test("a newer drain that is longer is not ended by the limit of the older one, in several workers, too", async () => {
  await using gateway = await start({ workers: 2 });
  const drain = (overMs: number) => askGateway(join(gateway.folder, "state"), `POST /drain?overMs=${overMs}`);
  const asking = await Promise.all(Array.from({ length: 6 }, () => asked(gateway, "/late/22000")));
  const all = asking.map(rest);
  await drain(3_000);
  await closed(gateway.port());
  await drain(60_000);
  const commands = [tell(gateway, "drain", "--over", "60"), tell(gateway, "drain", "--over", "60")];
  for (const text of await Promise.all(all)) expect(text).toMatch(/Connection: close\r\n[\s\S]*late$/);
  expect((await Promise.all(commands)).map(({ code }) => code)).toEqual([0, 0]);
}, 60_000);
