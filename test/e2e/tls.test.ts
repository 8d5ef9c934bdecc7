import { once } from "node:events";
import { writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authority, type Made, made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { run, shell } from "../support/programs.ts";
import { TestServer } from "../support/servers.ts";
import { byteByByte } from "../support/splitter.ts";

let gateway: Gateway;
let peer: TestServer;
let rawPeer: ReturnType<typeof createServer>;
let ca: Made;
let client: Made;
let stranger: Made;

beforeAll(async () => {
  peer = await TestServer.open(repeated);
  rawPeer = createServer(await made({ names: ["raw.test"] }), (socket) => socket.end("raw peer\n"));
  rawPeer.listen(0, "127.0.0.1");
  await once(rawPeer, "listening");
  const bound = rawPeer.address();
  const rawPort = bound !== null && typeof bound === "object" ? bound.port : 0;
  ca = await authority("Players CA");
  client = await made({ commonName: "ann", by: ca });
  stranger = await made({ commonName: "eve" });
  const dynamic = await made({ names: ["dynamic.test"] });
  gateway = await Gateway.start(
    `
import { content, defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { http, tls } from "restyconf/preread";
const facts = content(async (session) => {
  const { serverName, protocol, alpn, verify, clientCertificate, ja3, ja4 } = session.ssl ?? {};
  await session.write(JSON.stringify({ serverName, protocol, alpn, verify, subject: clientCertificate?.subject, ja3, ja4 }) + "\\n");
});
const one = (more) => ({ listen: "127.0.0.1:0", routes: [otherwise(facts)], ...more });
export default defineGateway({
  upstreams: { peer: { peers: ["${peer.address}"] }, raw: { peers: ["127.0.0.1:${rawPort}"] } },
  servers: {
    edge: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs: ".", alpn: ["game/2", "game/1"] },
      routes: [on(tls({ serverName: "raw.test" }), proxy("raw")), on(http(), proxy("peer")), otherwise(facts)] },
    always: one({ ssl: { mode: "always", certs: ".", minVersion: "TLSv1.3" } }),
    impatient: one({ ssl: { mode: "always", certs: ".", handshakeTimeoutMs: 300 } }),
    old: one({ ssl: { mode: "always", certs: ".", maxVersion: "TLSv1.2" } }),
    optional: one({ ssl: { mode: "always", certs: ".", clientCertificate: "optional", ca: "ca.pem" } }),
    required: one({ ssl: { mode: "always", certs: ".", clientCertificate: "required", ca: "ca.pem" } }),
    hooked: one({ ssl: { mode: "always", certs: { find: async () => undefined } }, phases: { sslCertificate: async (session) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      if (session.hello.serverName === "no.test") return reject("not this name");
      if (session.hello.serverName === "broken.test") throw new Error("vault is sealed");
      return session.hello.serverName === "dynamic.test" ? ${JSON.stringify(dynamic)} : undefined;
    } } }),
    stuck: one({ ssl: { mode: "always", certs: { find: async () => undefined }, handshakeTimeoutMs: 3_000 },
      phases: { sslCertificate: () => new Promise(() => {}) } }),
    starttls: { listen: "127.0.0.1:0", ssl: { mode: "starttls", certs: "." }, routes: [otherwise(content(async (session) => {
      await session.reader.receive();
      await session.write("go ahead\\n");
      const { protocol } = await session.startTls();
      const { data } = await session.reader.receive();
      await session.write(protocol + " " + data + "\\n");
    }))] },
    nostore: one({ ssl: { mode: "always", certs: { find: async (name) => (name === "slow.test" ? ${JSON.stringify(dynamic)} : undefined) } } }),
  },
});`,
    { ports: 10, files: { ...(await certificateFiles("app.test", "*.wild.test")), "ca.pem": ca.cert } },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await peer[Symbol.asyncDispose]();
  rawPeer.close();
});

/** Says its name and what it is asked, then ends. */
function repeated(socket: Socket): void {
  let request = "peer\n";
  socket.on("data", (chunk: Buffer) => {
    request += chunk.toString("latin1");
    if (request.includes("\r\n\r\n")) socket.end(request);
  });
}

const sclient = (server: string, args: string): Promise<{ stdout: string; stderr: string; code: number | null }> =>
  shell(`echo | timeout 20 openssl s_client -connect 127.0.0.1:${gateway.port(server)} ${args}`);

async function facts(server: string, options: Parameters<typeof dialTls>[1] = {}): Promise<Record<string, unknown>> {
  const socket = await dialTls(gateway.port(server), options);
  socket.write("?\n");
  const answer = (await readAll(socket)).toString();
  return answer ? JSON.parse(answer) : {};
}

describe("one port", () => {
  test.each([
    ["app.test", "CN = app.test"],
    ["one.wild.test", "CN = *.wild.test"],
    ["two.one.wild.test", "CN = localhost"],
    ["unknown.test", "CN = localhost"],
    ["raw.test", "CN = raw.test"],
  ])("openssl s_client asking for %s sees the certificate of %s", async (name, subject) => {
    expect((await sclient("edge", `-servername ${name}`)).stdout).toContain(`subject=${subject}`);
  });

  test("a client without a name sees the default certificate", async () => {
    expect((await sclient("edge", "-noservername")).stdout).toContain("subject=CN = localhost");
  });

  test("serves the same plain client and the same TLS client", async () => {
    const plain = await run("curl", ["-s", "--http0.9", `http://127.0.0.1:${gateway.port()}/plain`]);
    expect(plain.stdout).toContain("GET /plain");
    const tls = await run("curl", ["-sk", "--no-alpn", "--http0.9", `https://127.0.0.1:${gateway.port()}/tls`]);
    expect(tls.stdout).toContain("GET /tls");
  });

  test("passes the hello of a raw name through, byte for byte, and logs its name", async () => {
    const socket = await dialTls(gateway.port(), { servername: "raw.test" });
    expect((await readAll(socket)).toString()).toBe("raw peer\n");
    const line = await gateway.access((one) => one["ssl_server_name"] === "raw.test" && one["upstream"] === "raw");
    expect(line).toMatchObject({ protocol: "tls", status: 200 });
    expect(line).not.toHaveProperty("ssl_protocol");
  });

  test("answers ALPN by the server's order, and the session knows what was agreed", async () => {
    expect(await facts("edge", { ALPNProtocols: ["game/1", "game/2"], servername: "app.test" })).toMatchObject({
      alpn: "game/2",
      serverName: "app.test",
      protocol: "TLSv1.3",
      ja3: expect.stringMatching(/^[0-9a-f]{32}$/),
      ja4: expect.stringMatching(/^t13/),
    });
  });
});

describe("a hello that arrives one byte at a time", () => {
  test("is terminated like any other", async () => {
    await using slow = await byteByByte(gateway.port());
    const socket = await dialTls(slow.port, { servername: "app.test" });
    socket.end("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    expect((await readAll(socket)).toString()).toContain("peer\nGET / HTTP/1.1");
  });

  test("is passed through like any other", async () => {
    await using slow = await byteByByte(gateway.port());
    const socket = await dialTls(slow.port, { servername: "raw.test" });
    expect((await readAll(socket)).toString()).toBe("raw peer\n");
  });
});

describe("versions", () => {
  test("below the minimum are refused with an alert", async () => {
    expect((await sclient("always", "-tls1_2")).stderr).toContain("alert protocol version");
  });

  test("above the maximum are not spoken", async () => {
    expect(await facts("old")).toMatchObject({ protocol: "TLSv1.2" });
  });
});

const PLAIN = "this port takes TLS only\r\n";

describe("bytes that are no hello get an alert or a word, and a code of their own", () => {
  test.each([
    [
      "an SSLv2 hello",
      `802e0100020015000000100100800200800600400400800700c0030080${"00".repeat(20)}`,
      "15030300020246",
      "RC_TLS_HELLO",
    ],
    ["a record with rubbish in it", "1603010004ffffffff", "15030300020232", "RC_TLS_HELLO"],
    ["plain text", Buffer.from("hello\n").toString("hex"), Buffer.from(PLAIN).toString("hex"), "RC_TLS_PLAIN"],
    ["plain bytes", "000102030405060708", "", "RC_TLS_PLAIN"],
  ])("%s", async (_name, sent, answer, code) => {
    const before = gateway.log.length;
    expect(
      Buffer.from(await exchange(gateway.port("always"), Buffer.from(sent, "hex")), "latin1").toString("hex"),
    ).toBe(answer);
    const line = await gateway.access((one) => one["code"] === code && gateway.log.indexOf(one) >= before);
    expect(line).toMatchObject({ end_cause: "handshake_failed", phase: "handshake", reason: expect.any(String) });
    expect((await facts("always"))["protocol"]).toBe("TLSv1.3");
  });

  test("a client that stops inside its hello is let go after the handshake's time", async () => {
    const socket = await dialIn(gateway.port("impatient"));
    socket.write(Buffer.from("1603010200010001fc03", "hex"));
    await readAll(socket);
    expect(await gateway.access((line) => line["code"] === "RC_TLS_HANDSHAKE_TIMEOUT")).toMatchObject({
      end_cause: "handshake_timeout",
    });
  });

  test("a client that stops inside the handshake too", async () => {
    const before = gateway.log.length;
    const hello = await recordedHello();
    const socket = await dialIn(gateway.port("impatient"));
    socket.write(hello);
    await readAll(socket);
    await gateway.access((line) => line["code"] === "RC_TLS_HANDSHAKE_TIMEOUT" && gateway.log.indexOf(line) >= before);
  });
});

/** What a real client sends first. */
async function recordedHello(): Promise<Buffer> {
  const { TestServer } = await import("../support/servers.ts");
  let hello = Buffer.alloc(0);
  await using server = await TestServer.open((socket) => {
    socket.once("data", (chunk: Buffer) => {
      hello = Buffer.from(chunk);
      socket.destroy();
    });
  });
  await dialTls(server.port, { minVersion: "TLSv1.3" }).catch(() => {});
  return hello;
}

describe("client certificates", () => {
  test.each([
    ["optional", "none", "NONE"],
    ["optional", "good", "SUCCESS"],
    ["optional", "strange", "FAILED:self-signed certificate"],
    ["required", "good", "SUCCESS"],
  ])("%s, a client that shows %s is judged %s", async (server, shows, verify) => {
    const pair = { none: {}, good: client, strange: stranger }[shows];
    expect(await facts(server, pair)).toMatchObject({ verify });
  });

  test.each([
    ["none", "peer did not return a certificate"],
    ["strange", "FAILED:self-signed certificate"],
  ])("required, a client that shows %s is refused", async (shows, reason) => {
    const before = gateway.log.length;
    const socket = await dialTls(gateway.port("required"), shows === "none" ? {} : stranger).catch(() => undefined);
    if (socket) expect((await readAll(socket)).length).toBe(0);
    const line = await gateway.access(
      (one) => one["code"] === "RC_TLS_CLIENT_CERTIFICATE" && gateway.log.indexOf(one) >= before,
    );
    expect(line["reason"]).toContain(reason);
  });
});

describe("the sslCertificate phase", () => {
  test("may await and answers with a certificate of its own", async () => {
    expect((await sclient("hooked", "-servername dynamic.test")).stdout).toContain("subject=CN = dynamic.test");
  });

  test.each([
    ["unknown.test", "unrecognized name", "RC_TLS_NO_CERTIFICATE"],
    ["no.test", "alert access denied", "RC_REJECTED"],
    ["broken.test", "alert internal error", "RC_HOOK_FAILED"],
  ])("refuses %s with %s", async (name, alert, code) => {
    expect((await sclient("hooked", `-servername ${name}`)).stderr).toContain(alert);
    expect(
      await gateway.access((line) => line["ssl_server_name"] === name && line["server"] === "hooked"),
    ).toMatchObject({ code });
  });
});

test("a certificate hook that never answers holds a client no longer than the handshake may take", async () => {
  await dialTls(gateway.port("stuck")).catch(() => {});
  expect(await gateway.access((line) => line["server"] === "stuck")).toMatchObject({
    code: "RC_TLS_HANDSHAKE_TIMEOUT",
    reason: expect.stringContaining("while a certificate was chosen"),
  });
});

test("any object with find() is a store", async () => {
  expect((await sclient("nostore", "-servername slow.test")).stdout).toContain("subject=CN = dynamic.test");
  expect((await sclient("nostore", "-servername other.test")).stderr).toContain("unrecognized name");
});

test("a certificate that is replaced on disk is shown to the next client", async () => {
  const fresh = await made({ names: ["app.test", "renewed.test"] });
  writeFileSync(join(gateway.folder, "app.test.key"), fresh.key);
  writeFileSync(join(gateway.folder, "app.test.crt"), fresh.cert);
  await eventually(async () => {
    const socket = await dialTls(gateway.port(), { servername: "renewed.test" });
    const names = socket.getPeerX509Certificate()?.subjectAltName;
    socket.destroy();
    expect(names).toContain("renewed.test");
  });
});

test("the last bytes of a TLS client arrive though its peer has ended long before and reads slowly", async () => {
  const bytes = 8_388_608;
  const accepted: Socket[] = [];
  await using slow = await TestServer.open((socket) => {
    accepted.push(socket.pause());
    socket.end(); // the first end comes from the peer
  });
  await using other = await Gateway.start(
    `import { defineGateway, otherwise, proxy } from "restyconf";
     export default defineGateway({ upstreams: { slow: { peers: ["${slow.address}"] } }, servers: { edge: {
       listen: "127.0.0.1:0", ssl: { mode: "always", certs: "." }, routes: [otherwise(proxy("slow"))] } } });`,
    { files: await certificateFiles() },
  );
  const socket = await dialTls(other.port());
  socket.resume();
  socket.end(Buffer.alloc(bytes, 7));
  const peerSide = await eventually(() => accepted.at(0) ?? Promise.reject(new Error("no peer")));
  await sleep(300); // every buffer on the way fills up
  let received = 0;
  peerSide.on("data", (chunk: Buffer) => {
    received += chunk.length;
  });
  peerSide.resume();
  await once(peerSide, "end");
  expect(received).toBe(bytes);
  expect(await other.access()).toMatchObject({ end_cause: "peer_closed", bytes_received: bytes });
});

describe("STARTTLS", () => {
  test("upgrades after the dialog, and the handler goes on in clear text", async () => {
    const plain = await dialIn(gateway.port("starttls"));
    plain.write("STARTTLS\n");
    await once(plain, "data");
    const { connect } = await import("node:tls");
    const secure = connect({ socket: plain, rejectUnauthorized: false });
    await once(secure, "secureConnect");
    secure.write("secret\n");
    expect((await readAll(secure)).toString()).toBe("TLSv1.3 secret\n");
  });

  test("refuses plain bytes pipelined behind the command", async () => {
    const plain = await dialIn(gateway.port("starttls"));
    plain.write("STARTTLS\nMAIL FROM:<eve>\n");
    await readAll(plain);
    expect(await gateway.access((line) => line["server"] === "starttls" && "code" in line)).toMatchObject({
      code: "RC_TLS_PLAIN",
    });
  });
});
