import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { connect } from "../../../src/stream/socket/connect.ts";
import { authority, ended, type Made, made } from "../../ssl/made-certificates.ts";
import { eventually } from "../../support/eventually.ts";
import { closeAll, later, onlyClient, said, serving, silent, socketTo, TlsServer } from "./socket-rig.ts";

afterEach(closeAll);

let ca: Made;
let own: Made; // signed by itself
let signed: Made; // signed by `ca`, for peer.test
let client: Made;

beforeAll(async () => {
  ca = await authority("test authority");
  [own, signed, client] = await Promise.all([
    made({ names: ["peer.test"] }),
    made({ names: ["peer.test"], by: ca }),
    made({ commonName: "gateway", by: ca }),
  ]);
});

describe("sslHandshake(options) (§3.9)", () => {
  test("answers a session, and from then on the bytes go through TLS", async () => {
    const server = await TlsServer.open(own);
    const socket = await socketTo(server.address);
    const { session, err } = await socket.sslHandshake({ serverName: "peer.test", verify: false });
    expect([err, session]).toEqual([undefined, expect.anything()]);
    await socket.send("secret\n");
    expect(said(await socket.receive())).toBe("secret");
  });

  test("the server name doubles as SNI; none is sent when it is omitted, nor for an IP address", async () => {
    const server = await TlsServer.open(own);
    for (const serverName of ["peer.test", undefined, "127.0.0.1"]) {
      expect((await (await socketTo(server.address)).sslHandshake({ serverName })).err).toBe(undefined);
    }
    await eventually(() =>
      expect(server.handshakes.map(({ name }) => name)).toEqual(["peer.test", undefined, undefined]),
    );
  });

  test("session false answers true, and no session object", async () => {
    const server = await TlsServer.open(own);
    expect(await (await socketTo(server.address)).sslHandshake({ session: false })).toEqual({ session: true });
  });

  test("a connection that speaks TLS already answers at once", async () => {
    const server = await TlsServer.open(own);
    const socket = await socketTo(server.address, { ssl: { serverName: "peer.test" } });
    expect((await socket.sslHandshake({ serverName: "peer.test" })).session).toBe(
      (await socket.sslHandshake()).session,
    );
    await eventually(() => expect(server.handshakes).toHaveLength(1));
  });

  test("verify checks the chain: `18: self-signed certificate`", async () => {
    const socket = await socketTo((await TlsServer.open(own)).address);
    expect(await socket.sslHandshake({ serverName: "peer.test", verify: true })).toEqual({
      err: "18: self-signed certificate",
    });
    expect(await socket.send("x")).toEqual({ err: "closed" });
  });

  test("verify checks the chain: `20: unable to get local issuer certificate`", async () => {
    const root = await authority("unknown root");
    const between = await made({ commonName: "intermediate", isCa: true, by: root });
    const leaf = await made({ names: ["peer.test"], by: between });
    const server = await TlsServer.open({ key: leaf.key, cert: leaf.cert + between.cert });
    const verified = await (await socketTo(server.address)).sslHandshake({ serverName: "peer.test", verify: true });
    expect(verified).toEqual({ err: "20: unable to get local issuer certificate" });
  });

  test("verify checks the chain: `10: certificate has expired`", async () => {
    const server = await TlsServer.open(await ended({ names: ["peer.test"], by: ca }));
    const socket = await socketTo(server.address);
    expect(await socket.sslHandshake({ verify: true, ca: ca.cert })).toEqual({ err: "10: certificate has expired" });
  });

  test("verify checks the name when one is given: `certificate host mismatch`", async () => {
    const server = await TlsServer.open(signed);
    const verified = async (serverName?: string) =>
      (await (await socketTo(server.address)).sslHandshake({ serverName, verify: true, ca: ca.cert })).err;
    expect([await verified("other.test"), await verified("peer.test"), await verified(undefined)]).toEqual([
      "certificate host mismatch",
      undefined,
      undefined,
    ]);
  });

  test("without verify any certificate will do", async () => {
    const socket = await socketTo((await TlsServer.open(own)).address);
    expect((await socket.sslHandshake({ serverName: "quite.another" })).err).toBe(undefined);
  });

  test("a client certificate is shown, as PEM text or from files; an authority may be a file, too", async () => {
    const server = await TlsServer.open({ ...signed, ca: ca.cert, requestCert: true, rejectUnauthorized: true });
    const folder = mkdtempSync(join(tmpdir(), "restyconf-tls-"));
    later(() => rmSync(folder, { recursive: true }));
    const paths = { cert: join(folder, "client.crt"), key: join(folder, "client.key"), ca: join(folder, "ca.crt") };
    for (const [path, text] of [
      [paths.cert, client.cert],
      [paths.key, client.key],
      [paths.ca, ca.cert],
    ] as const) {
      writeFileSync(path, text);
    }
    for (const pems of [{ ...client, ca: ca.cert }, paths]) {
      const socket = await socketTo(server.address);
      expect((await socket.sslHandshake({ ...pems, verify: true })).err).toBe(undefined);
      await socket.send("hello\n");
      expect(said(await socket.receive())).toBe("hello");
    }
    expect(server.handshakes.map(({ certificate }) => certificate)).toEqual(["gateway", "gateway"]);
  });

  test("a peer that speaks no TLS: `handshake failed`", async () => {
    const socket = await socketTo((await serving((peer) => void peer.end("220 this is no TLS\r\n"))).address);
    expect(await socket.sslHandshake()).toEqual({ err: "handshake failed" });
    expect(socket.close()).toEqual({ err: "closed" });
  });

  test("a peer that hangs up inside: `handshake failed`", async () => {
    const socket = await socketTo((await serving((peer) => void peer.once("data", () => peer.destroy()))).address);
    expect(await socket.sslHandshake()).toEqual({ err: "handshake failed" });
  });

  test("a peer that says nothing: `timeout`, by the connect timeout; meanwhile everything is `socket busy connecting`", async () => {
    const socket = await socketTo((await silent()).address);
    socket.setTimeouts({ connectMs: 60 });
    const begun = socket.sslHandshake();
    const busy = { err: "socket busy connecting" };
    expect([await socket.send("x"), socket.close(), socket.shutdown("send"), await socket.sslHandshake()]).toEqual(
      Array(4).fill(busy),
    );
    expect([(await socket.receive()).err, (await socket.setKeepalive()).err]).toEqual([busy.err, busy.err]);
    expect(await begun).toEqual({ err: "timeout" });
    expect(socket.close()).toEqual({ err: "closed" });
  });

  test("a signal that ends breaks the handshake off: `aborted`", async () => {
    const ending = new AbortController();
    const server = await silent();
    const socket = await socketTo(server.address, { signal: ending.signal });
    const begun = socket.sslHandshake();
    const peer = await onlyClient(server);
    peer.once("data", () => ending.abort());
    expect(await begun).toEqual({ err: "aborted" });
    await new Promise<void>((resolve) => (peer.readableEnded ? resolve() : peer.once("end", resolve)));
  });

  test("text that a peer pipelines behind its plain go-ahead never passes for text that came through TLS", async () => {
    const server = await serving(
      (peer) => void peer.once("data", () => peer.write("220 go ahead\r\n250 injected\r\n")),
    );
    const socket = await socketTo(server.address);
    await socket.send("STARTTLS\r\n");
    expect(said(await socket.receive())).toBe("220 go ahead");
    expect(await socket.sslHandshake()).toEqual({ err: "handshake failed" });
  });

  test.each([
    [{ cert: "-----BEGIN CERTIFICATE-----" }, "cert and key go together"],
    [{ ca: "/nowhere/ca.crt" }, "ca: ENOENT"],
    [{ cert: "-----BEGIN CERTIFICATE-----", key: "-----BEGIN PRIVATE KEY-----" }, "bad certificate or key"],
    [{ verify: 1 as unknown as boolean }, "bad verify"],
  ])("%j throws, and the connection stays", async (options, message) => {
    const socket = await socketTo((await serving()).address);
    await expect(socket.sslHandshake(options)).rejects.toThrow(message);
    await socket.send("plain\n");
    expect(said(await socket.receive())).toBe("plain");
  });

  test("an iterator made before TLS reads nothing of what comes through it", async () => {
    const server = await TlsServer.open(own);
    const socket = await socketTo(server.address);
    const until = socket.receiveUntil("\n");
    await socket.sslHandshake();
    await socket.send("a\n");
    expect([said(await until()), said(await socket.receive())]).toEqual(["closed []", "a"]);
  });
});

describe("sessions (§3.9)", () => {
  test.each(["TLSv1.2", "TLSv1.3"] as const)("a session is resumed by the next handshake: %s", async (version) => {
    const server = await TlsServer.open({ ...signed, minVersion: version, maxVersion: version });
    const how = { serverName: "peer.test", verify: true, ca: ca.cert };
    const first = await socketTo(server.address);
    const { session } = await first.sslHandshake(how);
    await first.send("x\n");
    await first.receive(); // with TLS 1.3 the ticket comes with the first data
    expect(first.getSslSession()).toEqual({ session });
    const second = await socketTo(server.address);
    expect((await second.sslHandshake({ ...how, session })).err).toBe(undefined);
    await eventually(() => expect(server.handshakes.map(({ reused }) => reused)).toEqual([false, true]));
  });

  test("with TLS 1.3 it may not be resumable yet: `not resumable session`; without TLS there is `no session`", async () => {
    const server = await TlsServer.open({ ...own, minVersion: "TLSv1.3" });
    const socket = await socketTo(server.address);
    expect(socket.getSslSession()).toEqual({ err: "no session" });
    await socket.sslHandshake();
    expect(socket.getSslSession()).toEqual({ err: "not resumable session" });
  });

  test("a session begun without verification is not resumed by who verifies", async () => {
    const server = await TlsServer.open(signed);
    const first = await socketTo(server.address);
    const { session } = await first.sslHandshake({ serverName: "peer.test" });
    await first.send("x\n");
    await first.receive();
    const second = await socketTo(server.address);
    const how = { serverName: "peer.test", verify: true, ca: ca.cert };
    expect((await second.sslHandshake({ ...how, session })).err).toBe(undefined);
    await eventually(() => expect(server.handshakes.map(({ reused }) => reused)).toEqual([false, false]));
  });
});

describe("TLS in the pool's key (§3.8)", () => {
  test("connect({ ssl }) takes an idle connection with this very TLS, and no other", async () => {
    const server = await TlsServer.open(signed);
    const as = { serverName: "peer.test", verify: true, ca: ca.cert };
    await (await socketTo(server.address, { ssl: as })).setKeepalive();
    const reused = async (ssl: object) => {
      const socket = await socketTo(server.address, { ssl });
      const times = socket.getReusedTimes();
      socket.close();
      return times;
    };
    expect([
      await reused({ ...as, serverName: undefined }),
      await reused({ ...as, verify: false }),
      await reused({ ...as, ca: ca.cert + own.cert }),
      await reused({ ...as, ...client }),
    ]).toEqual([0, 0, 0, 0]);
    expect((await socketTo(server.address)).getReusedTimes()).toBe(0); // plain
    expect(await reused({ ...as })).toBe(1);
  });

  test("sslHandshake takes an idle connection with this very TLS instead of beginning anew", async () => {
    const server = await TlsServer.open(own);
    const first = await socketTo(server.address);
    await first.sslHandshake({ serverName: "peer.test" });
    expect(await first.setKeepalive()).toEqual({ ok: true });
    const second = await socketTo(server.address);
    expect(second.getReusedTimes()).toBe(0);
    expect((await second.sslHandshake({ serverName: "peer.test" })).err).toBe(undefined);
    expect(second.getReusedTimes()).toBe(1);
    await second.send("works\n");
    expect(said(await second.receive())).toBe("works");
    expect(server.handshakes).toHaveLength(1);
  });

  test("another server name is another connection, also in a pool with a name", async () => {
    const server = await TlsServer.open(own);
    for (const serverName of ["a.test", "b.test", "a.test"]) {
      const socket = await socketTo(server.address, { pool: "named" });
      await socket.sslHandshake({ serverName });
      expect(await socket.setKeepalive()).toEqual({ ok: true });
    }
    await eventually(() => expect(server.handshakes.map(({ name }) => name)).toEqual(["a.test", "b.test"]));
  });

  test("a failed handshake gives its place to the next in line", async () => {
    const server = await TlsServer.open(own);
    const limits = { poolSize: 1, backlog: 1, ssl: { verify: true } };
    const both = await Promise.all([connect(server.address, limits), connect(server.address, limits)]);
    expect(both).toEqual(Array(2).fill({ err: "18: self-signed certificate" }));
  });

  test("a full pool for this TLS: `too many waiting connect operations`", async () => {
    const server = await TlsServer.open(own);
    const limits = { poolSize: 1, backlog: 0 };
    await socketTo(server.address, { ...limits, ssl: {} });
    const other = await socketTo(server.address, limits);
    expect(await other.sslHandshake()).toEqual({ err: "too many waiting connect operations" });
  });

  test("an idle TLS connection that its peer ends is dropped", async () => {
    const server = await TlsServer.open(own, (peer) => {
      peer.on("data", (chunk) => peer.write(chunk)).on("end", () => peer.end());
      setTimeout(() => peer.end(), 50);
    });
    const ssl = { serverName: "peer.test" };
    await (await socketTo(server.address, { ssl })).setKeepalive(0);
    await eventually(async () => {
      const socket = await socketTo(server.address, { ssl });
      expect(socket.getReusedTimes()).toBe(0);
    });
  });
});
