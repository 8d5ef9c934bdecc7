import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { dial } from "../../src/upstream/dial.ts";
import { type PeerSslConfig, peerSslOf } from "../../src/upstream/peer-ssl.ts";
import type { JudgePeer, PeerShown } from "../../src/upstream/peer-verdict.ts";
import { authority, type Made, made } from "../ssl/made-certificates.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { lifeOf } from "../support/life.ts";

let ca: Made;
let peer: Made;
let alone: Made;

beforeAll(async () => {
  ca = await authority("test authority");
  [peer, alone] = await Promise.all([made({ names: ["peer.test"], by: ca }), made({ names: ["peer.test"] })]);
});

/** A TLS server on a free port that remembers its clients. */
async function open(options: TlsOptions = {}, serve = (socket: TLSSocket): unknown => socket.end("hello")) {
  const sockets: TLSSocket[] = [];
  const raw: Socket[] = [];
  const server = createServer({ ...peer, ...options }, (socket) => {
    sockets.push(socket.on("error", () => {}));
    serve(socket);
  });
  server.on("connection", (socket) => raw.push(socket)).on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    raw,
    [Symbol.asyncDispose]: async () => {
      for (const socket of [...sockets, ...raw]) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

const trusted = (): PeerSslConfig => ({ ca: ca.cert, serverName: "peer.test" });

/** Enough for a handshake on a busy machine. */
const CONNECT_MS = 3_000;

function judged(
  port: number,
  judge: JudgePeer,
  config: PeerSslConfig = trusted(),
  signal = new AbortController().signal,
) {
  const endpoint = { kind: "tcp", host: "127.0.0.1", port } as const;
  const ssl = peerSslOf(config);
  return dial({ address: "test", endpoint, connectTimeoutMs: CONNECT_MS, ssl }, { judge, life: lifeOf(signal) });
}

/** Never answers. */
const never: JudgePeer = () => new Promise(() => {});

describe("a judge of peers", () => {
  test("is shown OpenSSL's verdict, the name, and the certificates", async () => {
    const [known, unknown, misnamed] = await Promise.all(
      [{ ...trusted() }, { serverName: "peer.test" }, { ...trusted(), serverName: "other.test" }].map(
        async (config) => {
          await using server = await open({ cert: `${peer.cert}${ca.cert}` });
          const shown: PeerShown[] = [];
          const { stream } = await judged(server.port, async (one) => shown.push(one) > 0, config);
          expect((await readAll(stream.resume())).toString()).toBe("hello");
          stream.destroy();
          return shown[0];
        },
      ),
    );
    expect(known).toMatchObject({ authorized: true, error: undefined, serverName: "peer.test" });
    expect(known?.certificate.subject).toBe("CN=peer.test");
    expect(known?.chain.map(({ subject }) => subject)).toEqual(["CN=peer.test", "CN=test authority"]);
    expect(unknown).toMatchObject({ authorized: false, error: "SELF_SIGNED_CERT_IN_CHAIN" });
    expect(misnamed).toMatchObject({
      authorized: false,
      error: "ERR_TLS_CERT_ALTNAME_INVALID",
      serverName: "other.test",
    });
  });

  test.each<[string, boolean | undefined, () => PeerSslConfig, boolean]>([
    ["true, of a peer that OpenSSL refuses", true, () => ({ serverName: "peer.test" }), true],
    ["true, of a peer that OpenSSL accepts", true, trusted, true],
    ["false, of a peer that OpenSSL accepts", false, trusted, false],
    ["false, with verify off", false, () => ({ verify: false }), false],
    ["nothing, of a peer that OpenSSL accepts", undefined, trusted, true],
    ["nothing, of a peer that OpenSSL refuses", undefined, () => ({ serverName: "peer.test" }), false],
    ["nothing, with verify off: the start is ok", undefined, () => ({ verify: false }), true],
  ])("says %s", async (_, verdict, config, isAccepted) => {
    await using server = await open();
    const dialed = judged(server.port, async () => verdict, config());
    if (isAccepted) (await dialed).stream.destroy();
    else await expect(dialed).rejects.toMatchObject({ code: "RC_PEER_TLS" });
    await eventually(() => expect(server.raw.every((socket) => socket.destroyed)).toBe(true));
  });

  test("may take longer than the time to connect, and loses no byte meanwhile", async () => {
    await using server = await open();
    const slow: JudgePeer = () => new Promise((resolve) => setTimeout(resolve, CONNECT_MS + 100, true));
    const { stream } = await judged(server.port, slow);
    expect((await readAll(stream.resume())).toString()).toBe("hello");
    stream.destroy();
  });

  test("does not hold a session that ends, nor one whose peer resets", async () => {
    await using server = await open({}, (socket) => socket.write("hello"));
    const control = new AbortController();
    const ending = judged(server.port, never, trusted(), control.signal);
    await eventually(() => expect(server.sockets).toHaveLength(1));
    control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    await expect(ending).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
    const resetting = judged(server.port, never);
    await eventually(() => expect(server.sockets).toHaveLength(2));
    server.raw[1]?.resetAndDestroy();
    await expect(resetting).rejects.toMatchObject({ code: "RC_PEER_TLS" });
  });

  test("that throws is heard as it is", async () => {
    await using server = await open();
    const failure = new GatewayError("RC_HOOK_FAILED", "upstreamVerify: no");
    await expect(judged(server.port, () => Promise.reject(failure))).rejects.toBe(failure);
    await eventually(() => expect(server.raw.every((socket) => socket.destroyed)).toBe(true));
  });

  test("is not asked about a peer that never finished its handshake", async () => {
    const silent = createTcpServer((socket) => socket.on("error", () => {}).destroy());
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    let asked = 0;
    const judge: JudgePeer = async () => ++asked > 0;
    await expect(judged((silent.address() as AddressInfo).port, judge)).rejects.toMatchObject({ code: "RC_PEER_TLS" });
    expect(asked).toBe(0);
    silent.close();
  });
});

describe("contextWith", () => {
  test("prepares equal pairs once, whether text or bytes", () => {
    const { contextWith } = peerSslOf({});
    expect(contextWith({ cert: Buffer.from(alone.cert), key: alone.key })).toBe(contextWith(alone));
    expect(contextWith(peer)).not.toBe(contextWith(alone));
  });

  test.each<[string, () => { cert: string; key: string }, string]>([
    ["a key of another certificate", () => ({ cert: alone.cert, key: peer.key }), "mismatch"],
    ["a certificate that is none", () => ({ cert: "x", key: peer.key }), "no start line"],
    ["no key", () => ({ cert: alone.cert }) as { cert: string; key: string }, "key: PEM text or bytes expected"],
  ])("refuses %s", (_, pair, reason) => {
    expect(() => peerSslOf({}).contextWith(pair())).toThrow(TypeError);
    expect(() => peerSslOf({}).contextWith(pair())).toThrow(reason);
  });

  test("keeps the authorities of the configuration", async () => {
    await using server = await open();
    const ssl = peerSslOf(trusted());
    const endpoint = { kind: "tcp", host: "127.0.0.1", port: server.port } as const;
    const pair = { ...ssl, context: ssl.contextWith(alone) };
    const { stream } = await dial({ address: "test", endpoint, connectTimeoutMs: 5_000, ssl: pair });
    stream.destroy();
  });
});
