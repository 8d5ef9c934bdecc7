import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeClientHello } from "../../src/codecs/tls/client-hello-encode.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, readAll, readUntil } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";
import { byteByByte } from "../support/splitter.ts";

// `session.startTls()` against real clients. Sentences in quotes are OpenResty's, of its serversslhandshake.

let gateway: Gateway;
let peer: TestServer;

beforeAll(async () => {
  peer = await echo();
  gateway = await Gateway.start(
    `
import { content, defineGateway, otherwise, proxy } from "restyconf";
const never = () => new Promise(() => {});
/** The dialog: a line from the client, a line to it, then TLS. */
const dialog = async (session) => {
  const { data } = await session.reader.receive();
  await session.write("go ahead\\n");
  return { command: String(data), started: await session.startTls() };
};
const told = (value) => JSON.stringify(value) + "\\n";
const server = (handler, more = {}) => ({ listen: "127.0.0.1:0", ssl: { mode: "starttls", certs: "." }, routes: [otherwise(content(handler))], ...more });
const words = (error) => ({ name: error.name, code: error.code, message: error.message });
export default defineGateway({
  upstreams: { peer: { peers: ["${peer.address}"] } },
  servers: {
    content: server(async (session) => {
      const { command, started } = await dialog(session);
      const { data } = await session.reader.receive();
      await session.write(told({ command, started, data: String(data), phase: session.phase, serverName: session.ssl.serverName }));
    }),
    impatient: server(async (session) => { await dialog(session); }, { ssl: { mode: "starttls", certs: ".", handshakeTimeoutMs: 400 } }),
    preread: server(never, { routes: [otherwise(proxy("peer"))], phases: { preread: async (session) => { await dialog(session); } } }),
    proxied: server(async (session) => { await dialog(session); return proxy("peer"); }),
    twice: server(async (session) => {
      const { started } = await dialog(session);
      await session.write(told([started, await session.startTls(), ...(await Promise.all([session.startTls(), session.startTls()]))]));
    }),
    once: server(async (session) => {
      await session.reader.receive();
      await session.write("go ahead\\n");
      await session.write(told(await Promise.all([session.startTls(), session.startTls()])));
    }),
    hooks: server(async (session) => { await dialog(session); await session.write(told(session.ctx.phases.concat(session.phase))); }, { phases: {
      sslClientHello: (session) => { session.ctx.phases = [session.phase]; return session.hello.serverName === "new.test" ? { minVersion: "TLSv1.3" } : undefined; },
      sslCertificate: (session) => { session.ctx.phases.push(session.phase); },
    } }),
    always: server(async (session) => { await session.write(told(await session.startTls())); }, { ssl: { mode: "always", certs: "." } }),
    plain: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => { await session.reader.receive(); await session.write(told(words(await session.startTls().catch((error) => error)))); }))] },
    busy: server(async (session) => {
      await session.reader.receive();
      const reading = session.reader.receive();
      await session.write(told(words(await session.startTls().catch((error) => error))));
      await session.write(told(String((await reading).data)));
    }),
    shut: server(async (session) => {
      await session.reader.receive();
      await session.write("go ahead\\n");
      await session.shutdown("send");
      await session.startTls();
    }),
    access: server(never, { routes: [otherwise(proxy("peer"))], phases: { access: (session) => session.startTls() } }),
    caught: server(async (session) => {
      await session.reader.receive();
      await session.write("go ahead\\n");
      const { code } = await session.startTls().catch((error) => error);
      await session.write(code + "\\n");
    }),
    flushes: server(async (session) => {
      await session.reader.receive();
      session.write("x".repeat(100_000) + "\\n"); // not waited for
      await session.startTls();
      await session.write("in TLS\\n");
    }),
  },
});`,
    { ports: 14, files: await certificateFiles() },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
});

/** A client that says its line, hears the answer, and begins TLS. */
async function upgraded(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const plain = await dialIn(port);
  plain.write("STARTTLS\n");
  await readUntil(plain, (text) => text.endsWith("\n"));
  return secured(plain, options);
}

async function secured(socket: Socket, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const secure = connectTls({ socket, rejectUnauthorized: false, ...options });
  secure.on("error", () => {});
  await once(secure, "secureConnect");
  return secure;
}

/** What the handler told behind the upgrade. */
async function toldTo(socket: TLSSocket) {
  return JSON.parse(await readUntil(socket, (text) => text.endsWith("\n")));
}

/** The access line of the session that `act` makes at this server, whose error has this code. */
async function failed(server: string, code: string, act: (socket: Socket) => unknown): Promise<LogLine> {
  const before = gateway.log.length;
  const socket = await dialIn(gateway.port(server));
  await act(socket);
  const line = await gateway.access(
    (one) => one["server"] === server && one["code"] === code && gateway.log.indexOf(one) >= before,
  );
  socket.destroy();
  return line;
}

async function commanded(socket: Socket): Promise<void> {
  socket.write("STARTTLS\n");
  await readUntil(socket, (text) => text.endsWith("\n"));
}

describe("startTls", () => {
  test('"returns protocol, cipher, session_reused", and the handler goes on in clear text', async () => {
    const socket = await upgraded(gateway.port("content"), { servername: "app.test" });
    socket.write("secret\n");
    const { protocol, cipher } = { protocol: socket.getProtocol(), cipher: socket.getCipher().name };
    expect(await toldTo(socket)).toEqual({
      command: "STARTTLS",
      started: { protocol, cipher, sessionReused: false },
      data: "secret",
      phase: "content",
      serverName: "app.test",
    });
    expect(await gateway.access((line) => line["server"] === "content")).toMatchObject({
      ssl_protocol: "TLSv1.3",
      ssl_server_name: "app.test",
    });
  });

  test("says when the client has resumed a session", async () => {
    const first = await upgraded(gateway.port("content"));
    first.write("1\n");
    await toldTo(first);
    const session = first.getSession();
    const again = await upgraded(gateway.port("content"), { ...(session && { session }) });
    again.write("2\n");
    expect(await toldTo(again)).toMatchObject({ started: { sessionReused: true } });
  });

  test('"second call returns same info"', async () => {
    const all = await toldTo(await upgraded(gateway.port("twice")));
    expect(all).toHaveLength(4);
    for (const started of all) expect(started).toEqual(all[0]);
  });

  test("called twice at once shakes hands once", async () => {
    const [first, second] = await toldTo(await upgraded(gateway.port("once")));
    expect(second).toEqual(first);
  });

  test("tells about a client that came with TLS, without another handshake", async () => {
    const socket = await dialTls(gateway.port("always"));
    expect(await toldTo(socket)).toMatchObject({ protocol: socket.getProtocol(), cipher: socket.getCipher().name });
  });

  test.each(["preread", "proxied"])("the peer of a session that was upgraded in %s sees clear text", async (server) => {
    const socket = await upgraded(gateway.port(server));
    socket.end("to the peer");
    expect((await readAll(socket)).toString()).toBe("to the peer");
  });

  test("asks sslClientHello and sslCertificate, and is then where it was", async () => {
    expect(await toldTo(await upgraded(gateway.port("hooks")))).toEqual([
      "sslClientHello",
      "sslCertificate",
      "content",
    ]);
    const old: ConnectionOptions = { servername: "new.test", maxVersion: "TLSv1.2" };
    await expect(upgraded(gateway.port("hooks"), old)).rejects.toThrow("alert protocol version");
  });

  test("waits until what was written before is with the client, in clear text", async () => {
    const plain = await dialIn(gateway.port("flushes"));
    plain.write("STARTTLS\n");
    const clear = await readUntil(plain, (text) => text.endsWith("\n"));
    expect(clear).toHaveLength(100_001);
    expect((await readAll(await secured(plain))).toString()).toBe("in TLS\n");
  });
});

describe("the ClientHello", () => {
  test("may be glued to the command", async () => {
    await using glue = await glued(gateway.port("content"), "STARTTLS\n", "go ahead\n");
    const socket = await secured(await dialIn(glue.port));
    socket.write("secret\n");
    expect(await toldTo(socket)).toMatchObject({ command: "STARTTLS", data: "secret" });
  });

  test("may trickle in byte by byte", async () => {
    await using slow = await byteByByte(gateway.port("content"));
    const socket = await upgraded(slow.port);
    socket.write("secret\n");
    expect(await toldTo(socket)).toMatchObject({ data: "secret" });
  });

  test.each(["MAIL FROM:<eve>\n", "\n", "\0", "x"])(
    "must be what follows the command: %j, pipelined behind it, is refused",
    async (more) => {
      const line = await failed("content", "RC_TLS_PLAIN", (socket) => socket.write(`STARTTLS\n${more}`));
      expect(line).toMatchObject({ end_cause: "handshake_failed", status: 400 });
      expect(line).not.toHaveProperty("ssl_protocol");
    },
  );
});

describe("what may go wrong", () => {
  test('"ssl not configured for this server"', async () => {
    const socket = await dialIn(gateway.port("plain"));
    socket.end("STARTTLS\n");
    expect(JSON.parse((await readAll(socket)).toString())).toEqual({
      name: "TypeError",
      message: "startTls: ssl not configured for this server",
    });
  });

  test('"timeout": a client that begins no TLS, or stops inside of it', async () => {
    const hello = encodeClientHello({ serverName: "app.test" });
    for (const said of [Buffer.alloc(0), hello.subarray(0, 40), Buffer.from([0x16])]) {
      const line = await failed("impatient", "RC_TLS_HANDSHAKE_TIMEOUT", async (socket) => {
        await commanded(socket);
        socket.write(said);
      });
      expect(line).toMatchObject({ end_cause: "handshake_timeout", phase: "content" });
    }
  });

  test.each<[string, string, (socket: Socket) => unknown]>([
    ["garbage in clear text", "RC_TLS_PLAIN", (socket) => socket.write("\xff\xff\xff\xff")],
    ["garbage in a record", "RC_TLS_HELLO", (socket) => socket.write(Buffer.from("1603010004ffffffff", "hex"))],
    ["an end inside the hello", "RC_TLS_HELLO", (socket) => socket.end(Buffer.from("160301", "hex"))],
    ["an alert instead of a hello", "RC_TLS_PLAIN", (socket) => socket.write(Buffer.from("15030100020228", "hex"))],
  ])('"handshake failed": %s', async (_, code, act) => {
    const line = await failed("content", code, async (socket) => {
      await commanded(socket);
      act(socket);
    });
    expect(line).toMatchObject({ end_cause: "handshake_failed", status: 400, phase: "content" });
  });

  test.each<[string, RegExp, (socket: Socket) => unknown]>([
    ["leaves", /the connection ended inside it$/, (socket) => socket.end()],
    [
      "puts a plain command in",
      /: (wrong version number|data length too long)$/,
      (socket) => socket.write("MAIL FROM:<eve>\n"),
    ],
  ])('"handshake failed": a client that %s behind its hello', async (_, reason, act) => {
    const noShares = [[51, Buffer.of(0, 0)]] as const; // so that it is asked for another hello (RFC 8446 §4.2.8)
    const hello = encodeClientHello({ groups: [0x001d], further: noShares });
    const line = await failed("content", "RC_TLS_HANDSHAKE", async (socket) => {
      await commanded(socket);
      socket.write(hello);
      await once(socket, "data");
      act(socket);
    });
    expect(line).toMatchObject({ end_cause: "handshake_failed", reason: expect.stringMatching(reason) });
  });

  test('"closed": a client that leaves instead', async () => {
    const line = await failed("content", "RC_CLIENT_CLOSED", async (socket) => {
      await commanded(socket);
      socket.end();
    });
    expect(line).toMatchObject({ end_cause: "client_closed" });
  });

  test('"socket busy reading": a read that was not waited for goes on', async () => {
    const socket = await dialIn(gateway.port("busy"));
    socket.write("STARTTLS\n");
    expect(JSON.parse(await readUntil(socket, (text) => text.endsWith("\n")))).toEqual({
      name: "TypeError",
      message: "startTls: socket busy reading",
    });
    socket.end("line\n");
    expect((await readAll(socket)).toString()).toBe('"line"\n');
  });

  test("after shutdown there is nothing to shake hands with", async () => {
    const line = await failed("shut", "RC_HOOK_FAILED", (socket) => socket.write("STARTTLS\n"));
    expect(line).toMatchObject({ reason: "hook failed: content: startTls: after shutdown" });
  });

  test("in other phases it is the hook's mistake", async () => {
    const line = await failed("access", "RC_HOOK_FAILED", (socket) => socket.end("x"));
    expect(line).toMatchObject({ reason: "hook failed: access: startTls: not available in the access phase" });
  });

  test("a handler that catches a failure may still say so in clear text", async () => {
    const socket = await dialIn(gateway.port("caught"));
    socket.write("STARTTLS\nMAIL FROM:<eve>\n");
    expect((await readAll(socket)).toString()).toBe("go ahead\nRC_TLS_PLAIN\n");
    socket.destroy();
  });
});

/** Puts the command in front of a client's first bytes, in one piece, and takes the answer out. */
async function glued(port: number, command: string, answer: string) {
  const server = createServer((client) => {
    const gatewaySide = connect({ port, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, gatewaySide]) socket.on("error", () => {});
    client.once("data", (hello: Buffer) => {
      gatewaySide.write(Buffer.concat([Buffer.from(command), hello]));
      client.pipe(gatewaySide);
    });
    gatewaySide.once("data", (chunk: Buffer) => {
      client.write(chunk.subarray(answer.length));
      gatewaySide.pipe(client);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const bound = server.address();
  return {
    port: typeof bound === "object" && bound ? bound.port : 0,
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}
