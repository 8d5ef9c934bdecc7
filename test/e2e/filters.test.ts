import { once } from "node:events";
import type { Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { TestServer } from "../support/servers.ts";

// bodyFilter in a real gateway: over plain TCP, over TLS that ends here, and over TLS that passes through.

let gateway: Gateway;
let peer: TestServer;
let tlsPeer: ReturnType<typeof createTlsServer>;
/** Sides that the peer has accepted, in order. */
const accepted: Socket[] = [];
const opened: Socket[] = [];

beforeAll(async () => {
  peer = await TestServer.open((socket) => void accepted.push(socket));
  tlsPeer = createTlsServer({ ...(await made({ names: ["raw.test"] })) }, (socket) => socket.pipe(socket));
  tlsPeer.listen(0, "127.0.0.1");
  await once(tlsPeer, "listening");
  const address = tlsPeer.address();
  const rawPort = address !== null && typeof address === "object" ? address.port : 0;
  gateway = await Gateway.start(config(rawPort), { files: await certificateFiles(), ports: 9 });
});
afterEach(() => {
  for (const socket of [...accepted.splice(0), ...opened.splice(0)]) socket.destroy();
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
  tlsPeer.close();
});

const config = (rawPort: number): string => `
  import { defineGateway, frames, on, otherwise, proxy } from "restyconf";
  import { tls } from "restyconf/preread";
  import { lengthPrefixed, line } from "restyconf/codecs";

  const upper = (chunk) => chunk.toString("latin1").toUpperCase();
  const server = (bodyFilter, more = {}) => ({
    listen: "127.0.0.1:0",
    idleTimeoutMs: 20_000,
    routes: [otherwise(proxy("peer"))],
    phases: { bodyFilter, log: (session) => console.log("log", session.server, session.status, session.endCause) },
    ...more,
  });
  const mark = (text) => (chunk) => chunk + text;

  export default defineGateway({
    upstreams: { peer: { peers: ["${peer.address}"] }, raw: { peers: ["127.0.0.1:${rawPort}"] } },
    servers: {
      upper: server({ client: upper, upstream: upper }, { ssl: { mode: "auto", certs: "." } }),
      passing: server({}, {
        ssl: { mode: "auto", certs: "." },
        routes: [on(tls({ serverName: "raw.test" }), proxy("raw"))],
        phases: {
          bodyFilter: { client: (chunk, session) => { session.ctx.first ??= chunk[0]; } },
          log: (session) => console.log("first byte", session.ctx.first),
        },
      }),
      lines: server({ client: frames(line({ maxBytes: 100 }), (text) => text + "!"), upstream: frames(line(), () => {}) }),
      frames: server({ client: frames(lengthPrefixed({ size: 2 }), () => undefined),
                       upstream: frames(lengthPrefixed({ size: 2, maxBytes: 100 }), () => undefined) }),
      throwing: server({ client: (chunk) => { if (chunk.includes("!")) throw new Error("no luck"); } }),
      leaving: server({ client: (chunk, session) => {
        if (chunk.includes("end")) { session.end(); return "ended " + session.phase; }
        try { if (chunk.includes("exit")) session.exit(418); } catch {}
        return "not sent";
      } }),
      broken: server({ client: frames({ ...line(), begin: () => { throw new Error("no begin"); } }, () => {}) }),
      slow: server({ client: async () => new Promise((resolve) => setTimeout(resolve, 50)) }),
      chained: server({ client: [mark("1"), mark("2")], upstream: mark("u") }),
    },
    phases: { bodyFilter: { client: (chunk, session) => session.server === "chained" ? chunk + "g" : undefined } },
  });`;

interface Pair {
  readonly client: Socket;
  readonly far: Socket;
}

/** A client whose session has a peer. */
async function pair(server: string, opening = "first\n", dial = dialIn): Promise<Pair> {
  const before = accepted.length;
  const client = await dial(gateway.port(server));
  opened.push(client);
  client.write(opening);
  return { client, far: await eventually(() => present(accepted[before])) };
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("not there yet");
  return value;
}

const lineOf = (server: string) => gateway.access((line) => line["server"] === server);

describe.each([
  ["plain TCP", dialIn],
  ["TLS that ends here", (port: number) => dialTls(port, { servername: "localhost" })],
] as const)("over %s", (_, dial) => {
  test("filters change what goes both ways", async () => {
    const { client, far } = await pair("upper", "hello ", dial);
    client.end("world");
    expect((await readAll(far)).toString()).toBe("HELLO WORLD");
    far.end("answer");
    expect((await readAll(client)).toString()).toBe("ANSWER");
  });

  test("a reader that stalls stops the sender, and nothing is lost", async () => {
    const { client, far } = await pair("upper", "x", dial);
    const block = Buffer.alloc(65_536, "a");
    let sent = 1;
    while (client.writableLength < 4_194_304 && sent < 1e9) {
      sent += block.length;
      if (!client.write(block)) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    client.end();
    expect((await readAll(far)).length).toBe(sent);
  });
});

test("over TLS that passes through, filters see the bytes of TLS, and the handshake is the peer's", async () => {
  const client = await dialTls(gateway.port("passing"), { servername: "raw.test" });
  client.end("hello");
  expect((await readAll(client)).toString()).toBe("hello");
  const line = await lineOf("passing");
  expect(line).toMatchObject({ ssl_server_name: "raw.test", upstream: "raw", status: 200 });
  await eventually(() => expect(gateway.stdout).toContain("first byte 22")); // a TLS record: RFC 8446 §5.1
});

test("a half-close within a frame passes it on as it is, and the answer still comes", async () => {
  const { client, far } = await pair("lines", "one\ntwo\nthr");
  client.end("ee");
  expect((await readAll(far)).toString()).toBe("one!\ntwo!\nthree");
  far.end("answer\nunfinished");
  expect((await readAll(client)).toString()).toBe("answer\nunfinished");
  expect(await lineOf("lines")).toMatchObject({
    status: 200,
    end_cause: "client_closed",
    bytes_received: 13,
    bytes_sent: 17,
  });
});

test.each([
  ["client", "client_reset"],
  ["peer", "peer_reset"],
] as const)("a reset by the %s is a reset on the other side", async (side, cause) => {
  const { client, far } = await pair("chained", "x");
  await once(far, "data");
  const [from, to] = side === "client" ? [client, far] : [far, client];
  to.resume();
  from.resetAndDestroy();
  const [error] = await new Promise<unknown[]>((resolve) => to.once("error", (...args) => resolve(args)));
  expect(error).toMatchObject({ code: "ECONNRESET" });
  expect(await gateway.access((line) => line["end_cause"] === cause)).toMatchObject({ status: 200, server: "chained" });
});

test("a filter of the gateway works in front of the server's, each in the order of its list", async () => {
  const { client, far } = await pair("chained", "x");
  expect(await readUntil(far, (text) => text.length === 4)).toBe("xg12");
  far.write("y");
  expect(await readUntil(client, (text) => text.length === 2)).toBe("yu");
});

test("a filter that throws ends its session with 500, tells where, and log runs; the listener lives on", async () => {
  const { client, far } = await pair("throwing", "fine");
  await once(far, "data");
  client.write("now!");
  await Promise.all([readAll(client), readAll(far)]);
  const line = await lineOf("throwing");
  expect(line).toMatchObject({ status: 500, end_cause: "hook_failed", code: "RC_HOOK_FAILED", phase: "bodyFilter" });
  expect(line).toMatchObject({ reason: "hook failed: bodyFilter: no luck", at: expect.stringMatching(/config.*:\d+/) });
  await eventually(() => expect(gateway.stdout).toContain("log throwing 500 hook_failed"));
  const next = await pair("throwing", "fine");
  expect(await readUntil(next.far, (text) => text.length === 4)).toBe("fine");
});

describe("bytes that are no frame", () => {
  const ends: readonly [string, string, string, string, object][] = [
    ["from the client", "lines", "x".repeat(101), "", { status: 400, code: "RC_FRAME_TOO_LARGE" }],
    ["too large from the peer", "frames", "\0\0", "\xff\xff", { status: 502, code: "RC_PEER_FRAME_TOO_LARGE" }],
  ];
  test.each(ends)("%s end the session with a code of their own", async (_, server, up, down, end) => {
    const { client, far } = await pair(server, up);
    if (down) far.write(Buffer.from(down, "latin1"));
    await Promise.all([readAll(client), readAll(far)]);
    const line = await gateway.access((ended) => ended["server"] === server && ended["code"] !== undefined);
    expect(line).toMatchObject({ ...end, end_cause: "rejected", phase: "bodyFilter" });
  });
});

describe("a filter that is done", () => {
  test("ends the session gently with what it returns", async () => {
    const { client, far } = await pair("leaving", "end\n");
    const [toClient, toPeer] = await Promise.all([readAll(client), readAll(far)]);
    expect([toClient.toString(), toPeer.toString()]).toEqual(["", "ended bodyFilter"]);
    client.end();
    far.end();
    const line = await lineOf("leaving");
    expect(line).toMatchObject({ status: 200, end_cause: "exited" });
    expect(line).not.toHaveProperty("code");
  });

  test("exits also inside of `try`, and nothing that follows arrives", async () => {
    const { client, far } = await pair("leaving", "exit\n");
    expect((await readAll(far)).toString()).toBe("");
    client.end();
    expect(await gateway.access((line) => line["status"] === 418)).toMatchObject({ end_cause: "exited" });
  });
});

test("a codec that cannot begin ends the session, and its peer is let go", async () => {
  const { client, far } = await pair("broken", "x");
  await Promise.all([readAll(client), readAll(far)]);
  expect(await lineOf("broken")).toMatchObject({ status: 500, code: "RC_HOOK_FAILED", end_cause: "hook_failed" });
});

test("bytes arrive in order behind a filter that waits", async () => {
  const { client, far } = await pair("slow", "a");
  for (const text of ["b", "c", "d"]) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    client.write(text);
  }
  client.end("e");
  expect((await readAll(far)).toString()).toBe("abcde");
});

test("without a peer a filter is not asked", async () => {
  await using dead = await Gateway.start(`
    import { defineGateway, otherwise, proxy } from "restyconf";
    export default defineGateway({ upstreams: { none: { peers: ["127.0.0.1:1"] } }, servers: { edge: {
      listen: "127.0.0.1:0", routes: [otherwise(proxy("none"))],
      phases: { bodyFilter: { client: () => console.log("asked") } } } } });`);
  expect(await exchange(dead.port(), "x")).toBe("");
  expect(await dead.access()).toMatchObject({ status: 502, end_cause: "connect_failed" });
  expect(dead.stdout).not.toContain("asked");
});
