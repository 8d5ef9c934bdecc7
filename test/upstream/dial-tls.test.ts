import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type Server, TLSSocket, type TlsOptions } from "node:tls";
import { generate } from "selfsigned";
import { beforeAll, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { type DialOptions, dial } from "../../src/upstream/dial.ts";
import { type PeerSslConfig, peerSslOf } from "../../src/upstream/peer-ssl.ts";
import { authority, ended, type Made, made } from "../ssl/made-certificates.ts";
import { readAll, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { lifeOf } from "../support/life.ts";
import { echo, TestServer } from "../support/servers.ts";

let ca: Made;
let peer: Made;
let client: Made;
let alone: Made;

beforeAll(async () => {
  ca = await authority("test authority");
  [peer, client, alone] = await Promise.all([
    made({ names: ["peer.test"], by: ca }),
    made({ names: ["client.test"], by: ca }),
    made({ names: ["peer.test"] }),
  ]);
});

/** A TLS server on a free port. */
class TlsServer implements AsyncDisposable {
  readonly server: Server;
  readonly port: number;
  readonly serverNames: (string | false | null)[] = [];
  readonly sockets: TLSSocket[] = [];
  readonly #raw: Socket[] = [];

  private constructor(server: Server, port: number, serve: (socket: TLSSocket) => void) {
    this.server = server;
    this.port = port;
    server.on("secureConnection", (socket) => {
      this.serverNames.push(socket.servername ?? null);
      this.sockets.push(socket);
      socket.on("error", () => {});
      serve(socket);
    });
    server.on("connection", (socket) => void this.#raw.push(socket));
    server.on("tlsClientError", () => {});
  }

  static async open(
    options: TlsOptions = {},
    serve: (socket: TLSSocket) => void = (socket) => void socket.pipe(socket),
  ): Promise<TlsServer> {
    const server = createServer({ ...peer, allowHalfOpen: true, ...options });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new TlsServer(server, (server.address() as AddressInfo).port, serve);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of [...this.sockets, ...this.#raw]) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }
}

function dialTls(port: number, ssl: PeerSslConfig, { connectTimeoutMs = 5_000, ...options }: Options = {}) {
  const endpoint = { kind: "tcp", host: "127.0.0.1", port } as const;
  return dial({ address: "test", endpoint, connectTimeoutMs, ssl: peerSslOf(ssl) }, options);
}

interface Options extends DialOptions {
  readonly connectTimeoutMs?: number;
}

describe("dial with TLS", () => {
  test("verifies the peer by authority and name, and sends the name", async () => {
    await using server = await TlsServer.open();
    const { stream, transport } = await dialTls(server.port, { ca: ca.cert, serverName: "peer.test" });
    expect(stream).toBeInstanceOf(TLSSocket);
    expect(transport).not.toBe(stream);
    expect(stream.allowHalfOpen).toBe(true);
    stream.end("secret");
    expect((await readAll(stream.resume())).toString()).toBe("secret");
    expect(server.serverNames).toEqual(["peer.test"]);
  });

  test("verifies an address by the certificate's addresses, and sends no name for it", async () => {
    const { cert, private: key } = await generate([{ name: "commonName", value: "by address" }], {
      keyType: "ec",
      algorithm: "sha256",
      ca,
      extensions: [{ name: "subjectAltName", altNames: [{ type: 7, ip: "127.0.0.1" }] }],
    });
    await using server = await TlsServer.open({ cert, key });
    const { stream } = await dialTls(server.port, { ca: ca.cert });
    await eventually(() => expect(server.serverNames).toEqual([false]));
    stream.destroy();
  });

  test.each<[string, () => PeerSslConfig, string]>([
    [
      "an authority that it does not know",
      () => ({ serverName: "peer.test" }),
      "unable to verify the first certificate",
    ],
    [
      "another name",
      () => ({ ca: ca.cert, serverName: "other.test" }),
      "Host: other.test. is not in the cert's altnames",
    ],
    ["an address that is not in it", () => ({ ca: ca.cert }), "IP: 127.0.0.1 is not in the cert's list"],
  ])("refuses a certificate with %s", async (_, ssl, reason) => {
    await using server = await TlsServer.open();
    const failure = dialTls(server.port, ssl());
    await expect(failure).rejects.toMatchObject({ code: "RC_PEER_TLS", message: expect.stringContaining(reason) });
  });

  test("refuses self-signed and expired certificates with OpenSSL's words", async () => {
    const old = await ended({ names: ["peer.test"], by: ca });
    await using selfSigned = await TlsServer.open(alone);
    await using expired = await TlsServer.open(old);
    const ssl = { ca: ca.cert, serverName: "peer.test" };
    await expect(dialTls(selfSigned.port, ssl)).rejects.toMatchObject({
      code: "RC_PEER_TLS",
      message: `TLS to peer failed: 127.0.0.1:${selfSigned.port}: self-signed certificate`,
    });
    await expect(dialTls(expired.port, ssl)).rejects.toThrow("certificate has expired");
  });

  test("takes any certificate when verify is off, and a self-signed one that is its own authority", async () => {
    await using server = await TlsServer.open(alone);
    for (const ssl of [{ verify: false }, { ca: alone.cert, serverName: "peer.test" }]) {
      const { stream } = await dialTls(server.port, ssl);
      stream.destroy();
    }
  });

  test("agrees on a protocol by ALPN, or says that there is none in common", async () => {
    await using server = await TlsServer.open({ ALPNProtocols: ["mqtt", "http/1.1"] });
    const ssl = { ca: ca.cert, serverName: "peer.test" };
    const { stream } = await dialTls(server.port, { ...ssl, alpn: ["h2", "http/1.1"] });
    expect(stream instanceof TLSSocket && stream.alpnProtocol).toBe("http/1.1");
    stream.destroy();
    await expect(dialTls(server.port, { ...ssl, alpn: ["h2"] })).rejects.toMatchObject({
      code: "RC_PEER_TLS",
      message: expect.stringContaining("no application protocol"),
    });
  });

  test("shows its client certificate, from files that are read once", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dial-"));
    for (const [name, pem] of Object.entries({ ca: ca.cert, cert: client.cert, key: client.key })) {
      writeFileSync(join(folder, name), pem);
    }
    const files = { ca: "ca", cert: "cert", key: join(folder, "key"), serverName: "peer.test" };
    const ssl = peerSslOf(files, folder);
    rmSync(folder, { recursive: true });
    await using server = await TlsServer.open({ ca: ca.cert, requestCert: true, rejectUnauthorized: true });
    const endpoint = { kind: "tcp", host: "127.0.0.1", port: server.port } as const;
    const { stream } = await dial({ address: "test", endpoint, connectTimeoutMs: 5_000, ssl });
    stream.write("x");
    expect(await readUntil(stream, (text) => text === "x")).toBe("x");
    expect(server.sockets[0]?.getPeerCertificate().subject).toMatchObject({ CN: "client.test" });
    stream.destroy();
  });

  test("says so when the peer wants a client certificate and gets none", async () => {
    await using server = await TlsServer.open({ ca: ca.cert, requestCert: true, maxVersion: "TLSv1.2" });
    await expect(dialTls(server.port, { ca: ca.cert, serverName: "peer.test" })).rejects.toMatchObject({
      code: "RC_PEER_TLS",
      message: expect.stringContaining("alert handshake failure"),
    });
  });

  test("sends the preface in front of TLS", async () => {
    const preface = Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    let seen = "";
    await using server = await TestServer.open((socket) => {
      const take = (): void => {
        seen += socket.read(preface.length - seen.length) ?? "";
        if (seen.length < preface.length) return;
        socket.off("readable", take);
        new TLSSocket(socket, { ...peer, isServer: true }).on("error", () => {}).end("after the preface");
      };
      socket.on("readable", take);
    });
    const { stream } = await dialTls(server.port, { ca: ca.cert, serverName: "peer.test" }, { preface });
    expect((await readAll(stream.resume())).toString()).toBe("after the preface");
    expect(seen).toBe(preface.toString());
    stream.destroy();
  });

  test("loses no byte of a peer that speaks first and ends at once", async () => {
    const banner = Buffer.alloc(300_000, "220 ready ");
    await using server = await TlsServer.open({}, (socket) => void socket.end(banner));
    const { stream } = await dialTls(server.port, { ca: ca.cert, serverName: "peer.test" });
    expect(stream.isPaused()).toBe(true);
    await eventually(() => expect(server.sockets[0]?.writableEnded).toBe(true)); // the owner takes its time
    expect((await readAll(stream.resume())).equals(banner)).toBe(true);
    stream.destroy();
  });

  test("its transport resets the connection below TLS", async () => {
    await using server = await TlsServer.open();
    const { stream, transport } = await dialTls(server.port, { ca: ca.cert, serverName: "peer.test" });
    await eventually(() => expect(server.sockets).toHaveLength(1));
    server.sockets[0]?.resume();
    transport.resetAndDestroy();
    stream.destroy();
    await eventually(() => expect(server.sockets[0]?.errored).toMatchObject({ code: "ECONNRESET" }));
  });
});

describe("dial with TLS to a peer that does not do its part", () => {
  const ssl = { verify: false };
  /** Its side closes when ours does, so that what is open is what we left open. */
  const serving = (serve: (socket: Socket) => void): Promise<TestServer> =>
    TestServer.open((socket) => serve(socket.resume().once("end", () => socket.destroy())));

  test("gives up in time when the handshake gets no answer", async () => {
    await using server = await serving(() => {});
    await expect(dialTls(server.port, ssl, { connectTimeoutMs: 2_000 })).rejects.toMatchObject({
      code: "RC_PEER_CONNECT_TIMEOUT",
      message: `peer did not accept in time: 127.0.0.1:${server.port}: TLS handshake`,
    });
    await eventually(() => expect(server.sockets.size).toBe(0));
  });
  test.each<[string, (socket: Socket) => void, string]>([
    ["speaks in plain", (socket) => void socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"), "wrong version number"],
    ["closes", (socket) => void socket.once("data", () => socket.end()), "disconnected before secure TLS"],
    ["resets", (socket) => void socket.once("data", () => socket.resetAndDestroy()), "ECONNRESET"],
  ])("fails when it %s", async (_, serve, reason) => {
    await using server = await serving(serve);
    await expect(dialTls(server.port, ssl)).rejects.toMatchObject({
      code: "RC_PEER_TLS",
      message: expect.stringContaining(reason),
    });
    await eventually(() => expect(server.sockets.size).toBe(0));
  });
  test("ends at once when the signal aborts during the handshake, and leaves no descriptor", async () => {
    await using server = await serving(() => {});
    const before = readdirSync("/proc/self/fd").length;
    const control = new AbortController();
    const failure = dialTls(server.port, ssl, { life: lifeOf(control.signal) });
    await eventually(() => expect(server.sockets.size).toBe(1));
    control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    await expect(failure).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
    await eventually(() => expect(readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before));
  });
  test("works over a unix socket, verified by the configured name", async () => {
    const folder = mkdtempSync(join(tmpdir(), "dial-"));
    const path = join(folder, "tls.sock");
    const server = createTcpServer((socket) => {
      new TLSSocket(socket, { ...peer, isServer: true }).on("error", () => {}).end("by unix");
    });
    server.listen(path);
    await once(server, "listening");
    const secure = peerSslOf({ ca: ca.cert, serverName: "peer.test" });
    const { stream } = await dial({
      address: "test",
      endpoint: { kind: "unix", path },
      connectTimeoutMs: 5_000,
      ssl: secure,
    });
    expect((await readAll(stream.resume())).toString()).toBe("by unix");
    stream.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
});

describe("peerSslOf", () => {
  test.each<[string, () => PeerSslConfig, string]>([
    ["a file that is not there", () => ({ ca: "/nowhere/ca.pem" }), "ssl.ca: ENOENT"],
    ["a certificate without its key", () => ({ cert: client.cert }), "ssl: cert and key go together"],
    ["a key of another certificate", () => ({ cert: client.cert, key: peer.key }), "ssl: "],
    ["a protocol without a name", () => ({ alpn: [""] }), 'ssl.alpn: ""'],
    ["a broken certificate", () => ({ cert: "-----BEGIN CERTIFICATE-----\nx", key: client.key }), "ssl: "],
  ])("refuses %s", (_, ssl, reason) => {
    expect(() => peerSslOf(ssl())).toThrow(TypeError);
    expect(() => peerSslOf(ssl())).toThrow(reason);
  });
  test("needs nothing but the wish for TLS", async () => {
    await using plain = await echo();
    expect(peerSslOf({})).toMatchObject({ verify: true, serverName: undefined, alpn: [] });
    expect(plain.accepted).toBe(0);
  });
});
