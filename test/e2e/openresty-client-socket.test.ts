import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Reader } from "../../src/stream/reader.ts";
import { dialIn, exchange, readAll, readUntil } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What OpenResty's request socket means, sentence by sentence; test/openresty/sentences.test.ts says where each of them is proven.

const config = (peerAddress: string): string => `
import { content, defineGateway, otherwise, proxy, reject } from "restyconf";
const onEcho = otherwise(proxy("echo"));
const small = { preread: { maxBytes: 64, timeoutMs: 20_000 } };
const server = (routes, phases = {}, more = {}) => ({ listen: "127.0.0.1:0", routes, phases, ...more });
const handler = (work) => server([otherwise(content(work))]);
const inPreread = (preread, more = small) => server([onEcho], { preread }, more);
const words = async (work) => { try { return await work(); } catch (error) { return error.name + ": " + error.message; } };
export default defineGateway({
  upstreams: { echo: { peers: ["${peerAddress}"] } },
  servers: {
    consumed: inPreread(async (session) => { await session.reader.receive(); }),
    kept: server([otherwise(content(async (session) => {
      await session.write("rest ");
      const { data } = await session.reader.receive("*a");
      await session.write(data);
    }))], { preread: async (session) => { await session.reader.receive(2); } }),
    peeks: inPreread(async (session) => {
      const seen = [];
      for (const size of [2, 4, 0, 1]) seen.push(String((await session.peek(size)).data));
      await session.write(seen.join("|") + "|");
    }),
    badPeek: inPreread(async (session) => reject((await Promise.all([-1, "x", undefined].map((size) => words(() => session.peek(size))))).join("; "))),
    together: inPreread(async (session) => {
      const first = session.peek(4);
      const { err } = await session.peek(4);
      await session.write(err + " ");
      await session.write(String((await first).data) + " ");
    }, {}),
    consumedPeek: inPreread(async (session) => {
      await session.reader.receive(2);
      await session.write(String((await session.peek(2)).data) + "/");
    }),
    full: inPreread(async (session) => { const { data } = await session.peek(65); await session.write(data); }),
    fullThrown: inPreread(async (session) => { const { err } = await session.peek(65); if (err) throw new Error(err); }),
    late: inPreread(async (session) => { const { data } = await session.peek(8); await session.write(data.toString()); }, { preread: { maxBytes: 64, timeoutMs: 150 } }),
    cut: inPreread(async (session) => { const { data } = await session.peek(8); await session.write(data.toString()); }),
    handled: inPreread(async (session) => { const { data, partial } = await session.peek(8); await session.write((data ?? partial).length + " "); }),
    other: inPreread(async (session) => { await session.peek(8); throw new Error("no database"); }),
    mended: inPreread(async (session) => { await session.peek(8); await session.peek(1); null.x; }),
    inAccess: server([onEcho], { access: async (session) => reject(await words(() => session.peek(1)) + "; " + await words(() => session.reader) + "; "
      + await words(() => session.write("x"))) }),
    shutInPreread: inPreread(async (session) => reject(await words(() => session.shutdown("send")) + "; " + await words(() => session.end("x")))),
    shut: handler(async (session) => {
      session.write("a".repeat(300_000));
      await session.shutdown("send");
      const told = [await words(() => session.write("x")), await words(() => session.shutdown("send"))];
      const { data } = await session.reader.receive();
      console.error(JSON.stringify({ told, data: String(data) }));
    }),
    unread: handler(async (session) => { await session.reader.receive(1); await session.write("answer"); await session.shutdown("send"); }),
    twice: handler(async (session) => { await session.write(String(session.reader === session.reader)); }),
    pending: handler(async (session) => { session.write("before "); const { data } = await session.reader.receive(1); await session.write(data); }),
  },
});`;

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await echo();
  const text = config(peer.address);
  gateway = await Gateway.start(text, {
    ports: [...text.matchAll(/^ {4}\w+: (?:server|handler|inPreread)\(/gm)].length,
  });
});
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  await peer?.[Symbol.asyncDispose]();
});

const lineOf = (server: string): Promise<LogLine> => gateway.access((line) => line["server"] === server);
const reasonOf = async (server: string): Promise<unknown> => {
  await exchange(gateway.port(server), "hello\n");
  return (await lineOf(server))["reason"];
};

describe("ngx.req.socket (§4.1)", () => {
  test("data consumed in preread is gone for proxy", async () => {
    expect(await exchange(gateway.port("consumed"), "first\nsecond\n")).toBe("second\n");
  });

  test("unread preread bytes are delivered first to later readers, then live bytes", async () => {
    const socket = await dialIn(gateway.port("kept"));
    socket.write("abcd");
    await readUntil(socket, (text) => text === "rest ");
    socket.end("live");
    expect(String(await readAll(socket))).toBe("cdlive");
  });

  test("a second one is the same reader, not a duplicate call", async () => {
    expect(await exchange(gateway.port("twice"), "x")).toBe("true");
  });

  test("output that is not flushed does not stand in the way", async () => {
    expect(await exchange(gateway.port("pending"), "x")).toBe("before x");
  });

  test("no connect, no setkeepalive, and no close: the session's end closes it", () => {
    const methods = Object.getOwnPropertyNames(Reader.prototype);
    for (const name of ["connect", "setKeepalive", "close", "sslHandshake"]) expect(methods).not.toContain(name);
  });
});

describe("peek (§4.1)", () => {
  test("repeated peeks always start at byte 0, peek(0) is empty, and nothing is consumed", async () => {
    expect(await exchange(gateway.port("peeks"), "abcdef")).toBe("ab|abcd||a|abcdef");
  });

  test("n negative or no number throws", async () => {
    const bad = (size: unknown): string => `TypeError: bad size argument: ${size}`;
    expect(await reasonOf("badPeek")).toBe(`rejected: ${[-1, "x", undefined].map(bad).join("; ")}`);
  });

  test("a concurrent peek answers socket busy reading", async () => {
    const socket = await dialIn(gateway.port("together"));
    socket.write("ab");
    expect(await readUntil(socket, (text) => text.endsWith(" reading "))).toBe("socket busy reading ");
    socket.end("cd");
    expect(String(await readAll(socket))).toBe("abcd abcd");
  });

  test("after a receive it shows what is unread", async () => {
    expect(await exchange(gateway.port("consumedPeek"), "abcd")).toBe("cd/cd");
  });

  const stay = async (server: string, text: string): Promise<void> => {
    const socket = await dialIn(gateway.port(server));
    socket.write(text);
    await readAll(socket);
    socket.destroy();
  };

  test.each([
    ["full", 400, "preread_full", "RC_PREREAD_FULL", (server: string) => stay(server, "x".repeat(70))],
    ["fullThrown", 400, "preread_full", "RC_PREREAD_FULL", (server: string) => stay(server, "x".repeat(70))],
    ["late", 200, "preread_timeout", "RC_PREREAD_TIMEOUT", (server: string) => stay(server, "short")],
    ["cut", 200, "client_closed", "RC_CLIENT_CLOSED", (server: string) => exchange(gateway.port(server), "short")],
  ])(
    "unhandled: buffer full ends the session with 400, no more data in time with 200, the client's end ends it: %s",
    async (server, status, cause, code, act) => {
      const before = peer.accepted;
      await act(server);
      expect(await lineOf(server)).toMatchObject({ status, end_cause: cause, code });
      expect(peer.accepted).toBe(before);
    },
  );

  test("handled, the session goes on with all its bytes", async () => {
    expect(await exchange(gateway.port("handled"), "short")).toBe("5 short");
  });

  test.each([
    ["other", "no database"],
    ["mended", "Cannot read properties of null"],
  ])("a hook that fails of something else is a failed hook: %s", async (server, words) => {
    await exchange(gateway.port(server), "short");
    const line = await lineOf(server);
    expect(line).toMatchObject({ status: 500, code: "RC_HOOK_FAILED" });
    expect(line["reason"]).toContain(words);
  });

  test("in another phase it is refused, and so is all talking", async () => {
    const refused = (what: string): string => `TypeError: ${what}: not available in the access phase`;
    expect(await reasonOf("inAccess")).toBe(
      `rejected: ${refused("reader")}; ${refused("reader")}; ${refused("write")}`,
    );
  });
});

describe('shutdown("send") (§4.1)', () => {
  test("content phase only", async () => {
    const refused = (what: string): string => `TypeError: ${what}: not available in the preread phase`;
    expect(await reasonOf("shutInPreread")).toBe(`rejected: ${refused("shutdown")}; ${refused("end")}`);
  });

  test("waits for what was written; afterwards writing is refused, a second one is already shutdown, and reading goes on", async () => {
    const socket = await dialIn(gateway.port("shut"));
    socket.write("x");
    expect((await readAll(socket)).length).toBe(300_000);
    socket.end(" and more\n");
    expect(await gateway.line((line) => "told" in line)).toMatchObject({
      told: ["TypeError: write: after shutdown", "TypeError: shutdown: already shutdown"],
      data: "x and more",
    });
  });

  test("no reset overtakes the answer when input is left unread", async () => {
    const socket = await dialIn(gateway.port("unread"));
    const ends: unknown[] = [];
    socket.on("error", (cause) => ends.push(cause));
    socket.write(Buffer.alloc(200_000, "x"));
    expect(String(await readAll(socket))).toBe("answer");
    expect(ends).toEqual([]);
    socket.destroy();
  });
});
