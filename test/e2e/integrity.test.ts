import { createHash, type Hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, expect, test } from "vitest";
import { made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls } from "../support/client.ts";
import { Gateway } from "../support/gateway.ts";
import { TestServer } from "../support/servers.ts";

// Random bytes through every kind of route, in random pieces, with pauses and half-closes; the hashes must agree.

const BYTES = 1_073_741_824;
const POOL = randomBytes(16_777_216);
const MAX_PIECE = 262_144;

let gateway: Gateway;
let plainPeer: TestServer;
let tlsPeer: ReturnType<typeof createTlsServer>;
/** Sides that a peer has accepted, in order. */
const accepted: Socket[] = [];
const waiting: ((socket: Socket) => void)[] = [];

beforeAll(async () => {
  plainPeer = await TestServer.open(hand);
  tlsPeer = createTlsServer({ ...(await made({ names: ["raw.test"] })), allowHalfOpen: true }, hand);
  tlsPeer.listen(0, "127.0.0.1");
  await once(tlsPeer, "listening");
  const address = tlsPeer.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  gateway = await Gateway.start(
    `import { defineGateway, on, otherwise, proxy } from "restyconf";
     import { tls } from "restyconf/preread";
     export default defineGateway({
       upstreams: { plain: { peers: ["${plainPeer.address}"] }, raw: { peers: ["127.0.0.1:${port}"] } },
       servers: { edge: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: "." },
         routes: [on(tls({ serverName: "raw.test" }), proxy("raw")), otherwise(proxy("plain"))] } },
     });`,
    { files: await certificateFiles() },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await plainPeer[Symbol.asyncDispose]();
  tlsPeer.close();
});

function hand(socket: Socket): void {
  socket.pause();
  socket.on("error", () => {});
  const taker = waiting.shift();
  if (taker) taker(socket);
  else accepted.push(socket);
}

function nextPeer(): Promise<Socket> {
  const ready = accepted.shift();
  return ready ? Promise.resolve(ready) : new Promise((resolve) => waiting.push(resolve));
}

const kinds: Record<string, () => Promise<Socket | TLSSocket>> = {
  plain: () => dialIn(gateway.port()),
  "TLS terminated": () => dialTls(gateway.port(), { servername: "localhost" }),
  "TLS passed through": () => dialTls(gateway.port(), { servername: "raw.test" }),
};

test.each(Object.keys(kinds))(
  "1 GiB each way arrives whole and in order: %s",
  async (kind) => {
    const client = await (kinds[kind] ?? kinds["plain"])?.();
    if (!client) throw new Error("no client");
    client.write("!"); // the gateway picks a peer once there is a byte
    const peer = await nextPeer();
    const [sentUp, sentDown, gotUp, gotDown] = await Promise.all([
      send(client, hashOf("!")),
      send(peer, createHash("sha1")),
      receive(peer),
      receive(client),
    ]);
    expect(gotUp).toEqual({ bytes: BYTES + 1, hash: sentUp });
    expect(gotDown).toEqual({ bytes: BYTES, hash: sentDown });
  },
  240_000,
);

function hashOf(text: string): Hash {
  return createHash("sha1").update(text);
}

/** Pieces of random size from random places; the end is a half-close, while the other direction may go on for long. */
async function send(socket: Socket, hash: Hash): Promise<string> {
  for (let left = BYTES; left > 0; ) {
    const size = Math.min(left, 1 + Math.floor(Math.random() ** 2 * MAX_PIECE));
    const at = Math.floor(Math.random() * (POOL.length - size));
    const piece = POOL.subarray(at, at + size);
    hash.update(piece);
    left -= size;
    if (!socket.write(piece)) await once(socket, "drain");
  }
  socket.end();
  return hash.digest("hex");
}

/** Reads it all, stopping now and then, so that back-pressure reaches the sender. */
async function receive(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash("sha1");
  let bytes = 0;
  let untilPause = MAX_PIECE * 64;
  socket.on("data", (chunk: Buffer) => {
    hash.update(chunk);
    bytes += chunk.length;
    untilPause -= chunk.length;
    if (untilPause > 0) return;
    untilPause = Math.floor(Math.random() * MAX_PIECE * 512);
    socket.pause();
    setTimeout(() => socket.resume(), Math.random() * 10);
  });
  socket.resume();
  await once(socket, "end");
  return { bytes, hash: hash.digest("hex") };
}
