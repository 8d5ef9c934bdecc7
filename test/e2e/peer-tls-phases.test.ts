import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { authority, type Made, made } from "../ssl/made-certificates.ts";
import { dialIn, exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What hooks may decide about TLS to a peer, against real peers. Sentences in quotes are OpenResty's, of its
// proxy_ssl_certificate and proxy_ssl_verify phases.

/** A peer that says who it is, whose certificate it was shown, and what it was sent. */
class Peer {
  readonly received: string[] = [];
  readonly sockets = new Set<TLSSocket>();
  readonly #server: Server;
  #accepted = 0;

  private constructor(name: string, options: TlsOptions) {
    this.#server = createServer({ ...options, requestCert: true, rejectUnauthorized: false }, (socket) => {
      this.sockets.add(socket.on("error", () => {}));
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("data", (chunk: Buffer) => this.received.push(chunk.toString()));
      socket.end(`${name} ${socket.getPeerX509Certificate()?.subject ?? "nobody"}\n`);
    });
    this.#server.on("connection", () => this.#accepted++).on("tlsClientError", () => {});
  }

  static async open(name: string, options: TlsOptions): Promise<Peer> {
    const peer = new Peer(name, options);
    peer.#server.listen(0, "127.0.0.1");
    await once(peer.#server, "listening");
    return peer;
  }

  get accepted(): number {
    return this.#accepted;
  }

  get address(): string {
    const bound = this.#server.address();
    return `127.0.0.1:${typeof bound === "object" && bound ? bound.port : 0}`;
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }
}

let gateway: Gateway;
let good: Peer;
let bad: Peer;
let plain: TestServer;

beforeAll(async () => {
  const ca = await authority("Peers CA");
  const [peer, other, ann, bob] = await Promise.all([
    made({ names: ["peer.test"], by: ca }),
    made({ names: ["peer.test"] }),
    made({ commonName: "ann", by: ca }),
    made({ commonName: "bob", by: ca }),
  ]);
  good = await Peer.open("good", { cert: `${peer.cert}${ca.cert}`, key: peer.key, ca: ca.cert });
  bad = await Peer.open("bad", other);
  plain = await echo();
  gateway = await Gateway.start(gatewayConfig({ ca, ann, bob }), { ports: 21 });
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  good.close();
  bad.close();
  await plain[Symbol.asyncDispose]();
});

function gatewayConfig(pems: Record<"ca" | "ann" | "bob", Made>): string {
  return `
import { appendFileSync, existsSync } from "node:fs";
import { content, defineGateway, otherwise, proxy, reject } from "restyconf";
const { ca, ann, bob } = ${JSON.stringify(pems)};
const seen = (text) => appendFileSync(new URL("seen.txt", import.meta.url), text + "\\n");
const server = (upstream, phases, more = {}) => ({ listen: "127.0.0.1:0", routes: [otherwise(proxy(upstream))], phases, ...more });
const never = () => new Promise(() => {});
const ssl = { ca: ca.cert, serverName: "peer.test" };
export default defineGateway({
  upstreams: {
    good: { peers: ["${good.address}"], ssl: { ...ssl, cert: ann.cert, key: ann.key } },
    name: { peers: ["localhost:${good.address.split(":")[1]}"], ssl },
    bad: { peers: ["${bad.address}"], ssl },
    any: { peers: ["${bad.address}"], ssl: { verify: false } },
    both: { peers: ["${bad.address}", { address: "${good.address}", backup: true }], ssl, maxFails: 0 },
    down: { peers: ["127.0.0.1:1", { address: "${good.address}", backup: true }], ssl, maxFails: 0 },
    plain: { peers: ["${plain.address}"] },
  },
  servers: {
    own: server("good", { upstreamCertificate: async (session) => {
      seen(["own", session.phase, session.peer, session.upstream].join(" "));
      return bob;
    } }),
    configured: server("good", { upstreamCertificate: () => undefined }),
    bytes: server("good", { upstreamCertificate: () => ({ cert: Buffer.from(bob.cert), key: Buffer.from(bob.key) }) }),
    mismatch: server("good", { upstreamCertificate: () => ({ cert: bob.cert, key: ann.key }) }),
    word: server("good", { upstreamCertificate: () => "bob" }),
    throws: server("both", { upstreamCertificate: () => { throw new Error("vault is sealed"); } }),
    sees: server("good", { upstreamVerify: (session, shown) => {
      const { authorized, error, certificate, chain, serverName } = shown;
      session.ctx.shown = { phase: session.phase, peer: session.peer, authorized, error, serverName, subject: certificate.subject, chain: chain.map(({ subject }) => subject) };
    }, log: ({ ctx }) => seen("sees " + JSON.stringify(ctx.shown)) }),
    accepts: server("bad", { upstreamVerify: async (session, { error }) => { seen("accepts " + error); return true; } }),
    keeps: server("bad", { upstreamVerify: () => undefined }),
    skips: server("any", { upstreamVerify: () => {} }),
    refuses: server("good", { upstreamVerify: () => false }),
    next: server("both", { upstreamVerify: (session, { certificate }) => { seen("next " + session.peer); return certificate.issuer === "CN=Peers CA"; } }),
    attempts: server("down", { upstreamCertificate: ({ peer }) => seen("attempts certificate " + peer), upstreamVerify: ({ peer }) => seen("attempts verify " + peer) }),
    number: server("good", { upstreamVerify: () => 1 }),
    stuck: server("good", { upstreamVerify: never }, { phaseTimeoutMs: { upstreamVerify: 200 } }),
    waits: server("good", { upstreamVerify: never }),
    late: server("good", { upstreamVerify: async () => {
      while (!existsSync(new URL("verdict", import.meta.url))) await new Promise((resolve) => setTimeout(resolve, 5));
      return true;
    } }),
    exits: server("both", { upstreamVerify: (session) => session.exit(403) }),
    clear: server("plain", { upstreamCertificate: () => seen("clear"), upstreamVerify: () => seen("clear") }),
    named: server("name", { upstreamVerify: ({ peer }, { serverName }) => seen("named " + peer + " " + serverName) }),
    passed: { listen: "127.0.0.1:0", routes: [otherwise(content(() => proxy("good")))], phases: { upstreamVerify: ({ ctx }) => { ctx.count = (ctx.count ?? 0) + 1; },
      log: ({ ctx }) => seen("passed " + ctx.count) } },
  },
});`;
}

async function seen(server: string): Promise<string[]> {
  const lines = readFileSync(`${gateway.folder}/seen.txt`, "utf8").split("\n");
  return lines.filter((line) => line.startsWith(`${server} `)).map((line) => line.slice(server.length + 1));
}

async function ask(server: string): Promise<{ answer: string; line: LogLine }> {
  const before = gateway.log.length;
  const answer = await exchange(gateway.port(server), "secret\n");
  return {
    answer,
    line: await gateway.access((line) => line["server"] === server && gateway.log.indexOf(line) >= before),
  };
}

describe("the upstreamCertificate phase", () => {
  test('"overrides the static client certificate", and knows the peer', async () => {
    expect((await ask("own")).answer).toBe("good CN=bob\n");
    expect(await seen("own")).toEqual([`upstreamCertificate ${good.address} good`]);
  });

  test.each([
    ["configured", "leaves the configured one", "CN=ann"],
    ["bytes", "may hand over bytes", "CN=bob"],
  ])("%s: %s", async (server, _, subject) => {
    expect((await ask(server)).answer).toBe(`good ${subject}\n`);
  });

  test.each([
    ["mismatch", /^hook failed: upstreamCertificate: .*mismatch/],
    ["word", /^hook failed: upstreamCertificate: cert: PEM text or bytes expected$/],
    ["throws", /^hook failed: upstreamCertificate: vault is sealed$/],
  ])("what goes wrong in it is no peer's fault, and ends the session: %s", async (server, reason) => {
    const { answer, line } = await ask(server);
    expect(answer).toBe("");
    expect(line).toMatchObject({
      code: "RC_HOOK_FAILED",
      status: 500,
      reason: expect.stringMatching(reason),
      phase: "upstreamCertificate",
    });
  });
});

describe("the upstreamVerify phase", () => {
  test("sees OpenSSL's verdict, the certificate and its chain", async () => {
    expect((await ask("sees")).answer).toBe("good CN=ann\n");
    await eventually(async () => expect(await seen("sees")).toHaveLength(1));
    expect(JSON.parse((await seen("sees"))[0] ?? "")).toEqual({
      phase: "upstreamVerify",
      peer: good.address,
      authorized: true,
      serverName: "peer.test",
      subject: "CN=peer.test",
      chain: ["CN=peer.test", "CN=Peers CA"],
    });
  });

  test('"set_verify_result(0) accepts" a peer that OpenSSL refuses', async () => {
    expect((await ask("accepts")).answer).toBe("bad nobody\n");
    expect(await seen("accepts")).toEqual(["DEPTH_ZERO_SELF_SIGNED_CERT"]);
  });

  test('"plain return keeps OpenSSL\'s verdict"', async () => {
    const { answer, line } = await ask("keeps");
    expect(answer).toBe("");
    expect(line).toMatchObject({
      code: "RC_PEER_TLS",
      status: 502,
      reason: `TLS to peer failed: ${bad.address}: DEPTH_ZERO_SELF_SIGNED_CERT`,
    });
  });

  test('"skip_openssl_default_verify starts from ok": verify: false', async () => {
    expect((await ask("skips")).answer).toBe("bad nobody\n");
  });

  test("refuses before the peer gets a byte of the client", async () => {
    await eventually(() => expect(good.sockets.size).toBe(0)); // it has read what others have sent
    const before = good.received.length;
    const { answer, line } = await ask("refuses");
    expect(answer).toBe("");
    expect(line).toMatchObject({
      code: "RC_PEER_TLS",
      end_cause: "connect_failed",
      status: 502,
      reason: `TLS to peer failed: ${good.address}: refused by upstreamVerify`,
    });
    expect(good.received.slice(before)).toEqual([]);
  });

  test("sends the client's bytes on only behind its verdict, none lost", async () => {
    await eventually(() => expect(good.sockets.size).toBe(0));
    const before = good.received.length;
    const asking = ask("late");
    await eventually(() => expect(good.sockets.size).toBe(1));
    expect(good.received.slice(before)).toEqual([]);
    writeFileSync(`${gateway.folder}/verdict`, "");
    expect((await asking).answer).toBe("good CN=ann\n");
    await eventually(() => expect(good.received.slice(before).join("")).toBe("secret\n"));
  });

  test("a peer that it refuses makes room for the next", async () => {
    const { answer, line } = await ask("next");
    expect(answer).toBe("good nobody\n");
    expect(line).toMatchObject({ upstream_addr: `${bad.address}, ${good.address}`, status: 200 });
    expect(await seen("next")).toEqual([bad.address, good.address]);
  });

  test("both run once per attempt, the verdict only where there is something to judge", async () => {
    expect((await ask("attempts")).answer).toBe("good nobody\n");
    expect(await seen("attempts")).toEqual([
      "certificate 127.0.0.1:1",
      `certificate ${good.address}`,
      `verify ${good.address}`,
    ]);
  });

  test("both are asked about peers with TLS only", async () => {
    expect((await ask("clear")).answer).toBe("secret\n");
    expect(await seen("clear")).toEqual([]);
  });

  test("knows a peer by its address also where the configuration has a name", async () => {
    await ask("named");
    expect(await seen("named")).toContain(`${good.address} peer.test`);
  });

  test("shares the session's ctx with the other phases", async () => {
    await ask("passed");
    await eventually(async () => expect(await seen("passed")).toEqual(["1"]));
  });

  test.each([
    ["number", { code: "RC_HOOK_FAILED", reason: "hook failed: upstreamVerify: returned no boolean but number" }],
    ["stuck", { code: "RC_HOOK_TIMEOUT", status: 500 }],
    ["exits", { end_cause: "exited", status: 403 }],
  ])("what goes wrong in it is no peer's fault, and ends the session: %s", async (server, expected) => {
    const accepted = good.accepted;
    const { answer, line } = await ask(server);
    expect(["", "Internal Server Error\r\n"]).toContain(answer); // whether bytes were there to tell its protocol by
    expect(line).toMatchObject(expected);
    expect(good.accepted - accepted).toBe(server === "exits" ? 0 : 1);
  });

  test("a client that resets while it waits ends the session at once, and the peer's connection", async () => {
    await eventually(() => expect(good.sockets.size).toBe(0));
    const socket = await dialIn(gateway.port("waits"));
    socket.write("x");
    await eventually(() => expect(good.sockets.size).toBe(1));
    socket.resetAndDestroy();
    expect(await gateway.access((line) => line["server"] === "waits")).toMatchObject({
      end_cause: "client_reset",
      phase: "upstreamVerify",
    });
    await eventually(() => expect(good.sockets.size).toBe(0));
  });
});
