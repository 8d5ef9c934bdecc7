import { readFileSync } from "node:fs";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeClientHello } from "../../src/codecs/tls/client-hello-encode.ts";
import { authority, type Made, made } from "../ssl/made-certificates.ts";
import { certificateFiles } from "../support/certificates.ts";
import { dialIn, dialTls, exchange, readAll } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { type Ran, shell } from "../support/programs.ts";
import { echo, type TestServer } from "../support/servers.ts";

// What hooks may know and decide before TLS begins, against real clients. Sentences in quotes are OpenResty's, of its
// ssl_client_hello and ssl_certificate phases.

let gateway: Gateway;
let answers: TestServer;
let ca: Made;
let player: Made;
let stranger: Made;

beforeAll(async () => {
  answers = await echo();
  ca = await authority("Players CA");
  [player, stranger] = await Promise.all([made({ commonName: "ann", by: ca }), made({ commonName: "eve" })]);
  const [own, chained] = await Promise.all([made({ names: ["own.test"] }), made({ names: ["chained.test"], by: ca })]);
  const broken = { ...chained, cert: `${chained.cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n` };
  const pems = JSON.stringify({ own, chained, broken, stranger, ca: ca.cert });
  gateway = await Gateway.start(
    `
import { connect } from "node:net";
import { once } from "node:events";
import { appendFileSync } from "node:fs";
import { content, defineGateway, on, otherwise, proxy, reject } from "restyconf";
import { tls } from "restyconf/preread";
const { own, chained, broken, stranger, ca } = ${pems};
const order = (text) => appendFileSync(new URL("order.txt", import.meta.url), text + "\\n");
const facts = content(async (session) => {
  const { serverName, protocol, verify, clientCertificate } = session.ssl ?? {};
  await session.write(JSON.stringify({ serverName, protocol, verify, subject: clientCertificate?.subject, ctx: session.ctx, remote: session.remote }) + "\\n");
});
const byName = (choices) => ({ hello }) => choices[hello.serverName];
const certs = ".";
const server = (phases, more = {}) => ({ listen: "127.0.0.1:0", ssl: { mode: "always", certs, ...more }, routes: [otherwise(facts)], phases });
const never = () => new Promise(() => {});
export default defineGateway({
  upstreams: { raw: { peers: ["${answers.address}"] } },
  servers: {
    hello: server({
      sslClientHello: async (session) => {
        const { serverName, alpn, versions, ciphers, extensions, groups, ja3, ja4 } = session.hello;
        const name = session.helloExtension(0)?.toString("latin1").slice(5);
        session.ctx.hello = { phase: session.phase, serverName, alpn, versions, ciphers, extensions, groups, ja3, ja4, name,
          absent: session.helloExtension(0x1234) === undefined, verify: session.ssl.verify, protocol: session.ssl.protocol ?? "none" };
      },
      sslCertificate: (session) => { session.ctx.later = [session.phase, session.helloExtension(0)?.length]; },
    }),
    versions: server({ sslClientHello: byName({
      "new.test": { minVersion: "TLSv1.3" }, "old.test": { maxVersion: "TLSv1.2" }, "both.test": { minVersion: "TLSv1.2", maxVersion: "TLSv1.2" },
      "typo.test": { minVersion: "TLSv1.4" }, "ancient.test": { minVersion: "TLSv1.1" }, "none.test": { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" },
      "text.test": "TLSv1.3", "proxy.test": proxy("raw"), "forbidden.test": reject("not today", { status: 429 }), "later.test": undefined }) }),
    capped: server({ sslClientHello: byName({ "lift.test": { maxVersion: "TLSv1.3" }, "clash.test": { minVersion: "TLSv1.3" } }),
      sslCertificate: byName({ "lift.test": { minVersion: "TLSv1.3" } }) }, { maxVersion: "TLSv1.2" }),
    order: server({
      sslClientHello: async ({ hello }) => { order("hello " + hello.serverName); if (hello.serverName === "throws.test") throw new Error("no"); },
      sslCertificate: ({ hello }) => { order("certificate " + hello.serverName); },
    }),
    mixed: { listen: "127.0.0.1:0", ssl: { mode: "auto", certs }, routes: [on(tls({ serverName: "raw.test" }), proxy("raw")), otherwise(facts)],
      phases: { sslClientHello: ({ hello }) => order("mixed " + hello.serverName) } },
    stuck: server({ sslClientHello: never }, { handshakeTimeoutMs: 3_000 }),
    slow: { ...server({ sslClientHello: never }), phaseTimeoutMs: { sslClientHello: 200 } },
    exits: server({ sslClientHello: (session) => { try { session.exit(session.hello.serverName === "on.test" ? 0 : -1); } catch {} } }),
    proxied: { ...server({ sslClientHello: (session) => { session.ctx.seen = session.remote; } }), proxyProtocol: { trust: ["127.0.0.0/8"] } },
    certificate: server({ sslCertificate: async ({ hello }) => {
      switch (hello.serverName) {
        case "own.test": return own;
        case "sleep.test": await new Promise((resolve) => setTimeout(resolve, 50)); return own;
        case "socket.test": {
          const socket = connect(${answers.port}, "127.0.0.1");
          socket.write(own.cert);
          const [data] = await once(socket, "data");
          socket.destroy();
          return { cert: data, key: own.key };
        }
        case "chain.test": return { ...chained, ca };
        case "broken.test": return broken;
        case "mismatch.test": return { cert: own.cert, key: chained.key };
        case "half.test": return { cert: own.cert };
        case "number.test": return 5;
      }
    } }),
    cleared: server({ sslCertificate: () => undefined }, { certs: { find: () => undefined } }),
    asks: server({ sslCertificate: byName({
      "asked.test": { requestCert: true }, "tenant.test": { requestCert: true, clientCa: stranger.cert },
      "with.test": { ...own, requestCert: true }, "new.test": { ...own, minVersion: "TLSv1.3" }, "word.test": { requestCert: "yes" },
      "lonely.test": { clientCa: ca }, "rubbish.test": { requestCert: true, clientCa: "x" } }) }, { ca: "ca.pem" }),
    optional: server({ sslCertificate: byName({ "not.test": { requestCert: false } }) }, { ca: "ca.pem", clientCertificate: "optional" }),
    required: server({ sslCertificate: byName({ "not.test": { requestCert: false }, "asked.test": { requestCert: true }, "still.test": { requestCert: true } }) },
      { ca: "ca.pem", clientCertificate: "required" }),
  },
});`,
    { ports: 13, files: { ...(await certificateFiles()), "ca.pem": ca.cert } },
  );
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await answers[Symbol.asyncDispose]();
});

function openssl(server: string, name: string, args = ""): Promise<Ran> {
  return shell(
    `echo | timeout 20 openssl s_client -connect 127.0.0.1:${gateway.port(server)} -servername ${name} ${args}`,
  );
}

/** What the session said of itself, and what the client may resume it by. */
async function visit(
  server: string,
  servername: string,
  options: ConnectionOptions = {},
): Promise<{ told: Record<string, unknown>; session: Buffer | undefined; isResumed: boolean }> {
  const socket = await dialTls(gateway.port(server), { servername, ...options });
  socket.write("?\n");
  const answer = (await readAll(socket)).toString();
  const session = socket.getSession();
  const isResumed = socket.isSessionReused();
  socket.destroy();
  return { told: answer ? JSON.parse(answer) : {}, session, isResumed };
}

async function facts(...parameters: Parameters<typeof visit>): Promise<Record<string, unknown>> {
  return (await visit(...parameters)).told;
}

/** The access line of the session that asked for this name, which no other session of the server does. */
async function lineOf(server: string, name: string): Promise<LogLine> {
  return gateway.access((line) => line["server"] === server && line["ssl_server_name"] === name);
}

/** A refusal, as the client and the access log tell of it. */
async function refusal(server: string, name: string, alert: string): Promise<LogLine> {
  await expect(dialTls(gateway.port(server), { servername: name })).rejects.toThrow(alert);
  return lineOf(server, name);
}

async function subjectOf(server: string, servername: string): Promise<string | undefined> {
  const socket = await dialTls(gateway.port(server), { servername });
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject;
}

describe("the sslClientHello phase", () => {
  test("sees the whole hello before TLS begins: name, ALPN, versions, ciphers, extensions, groups, fingerprints", async () => {
    const options = {
      ALPNProtocols: ["game/1", "h2"],
      ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256",
      ecdhCurve: "P-256:X25519",
    };
    expect((await facts("hello", "Any.Test", options))["ctx"]).toMatchObject({
      hello: {
        phase: "sslClientHello",
        serverName: "any.test",
        alpn: ["game/1", "h2"],
        versions: ["TLSv1.3", "TLSv1.2"],
        ciphers: expect.arrayContaining([0x1301, 0xc02f]),
        extensions: expect.arrayContaining([0, 10, 13, 16, 43, 51]),
        groups: [23, 29],
        ja3: expect.stringMatching(/^[0-9a-f]{32}$/),
        ja4: expect.stringMatching(/^t13d/),
        verify: "NONE",
        protocol: "none",
      },
    });
  });

  test('"get_client_hello_ext" gives the bytes of an extension as they came, here and in sslCertificate', async () => {
    expect((await facts("hello", "Any.Test"))["ctx"]).toMatchObject({
      hello: { name: "Any.Test", absent: true },
      later: ["sslCertificate", 13],
    });
  });

  test('"get_client_hello_server_name" has none where the client names no server', async () => {
    const { stdout } = await shell(
      `echo '?' | timeout 20 openssl s_client -quiet -noservername -connect 127.0.0.1:${gateway.port("hello")} 2>/dev/null`,
    );
    expect(JSON.parse(stdout).ctx.hello).not.toHaveProperty("serverName");
  });

  test.each([
    ["new.test", "-tls1_3", "TLSv1.3"],
    ["new.test", "-tls1_2", "refused"],
    ["old.test", "-tls1_2", "TLSv1.2"],
    ["old.test", "-tls1_3", "refused"],
    ["old.test", "", "TLSv1.2"],
    ["both.test", "", "TLSv1.2"],
    ["later.test", "", "TLSv1.3"],
    ["later.test", "-tls1_2", "TLSv1.2"],
  ])("chooses versions that hold: %s with openssl s_client %s is %s", async (name, args, outcome) => {
    const { stdout, stderr } = await openssl("versions", name, args);
    if (outcome === "refused") expect(stderr).toMatch(/alert protocol version/);
    else expect(stdout).toMatch(new RegExp(`^New, ${outcome}|Protocol\\s*: ${outcome}`, "m"));
  });

  test("may raise the highest version above the configured one, for this client only", async () => {
    expect(await facts("capped", "lift.test")).toMatchObject({ protocol: "TLSv1.3" });
    expect(await facts("capped", "other.test")).toMatchObject({ protocol: "TLSv1.2" });
  });

  test.each([
    ["versions", "typo.test", 'sslClientHello: minVersion: expected TLSv1.2 or TLSv1.3, got "TLSv1.4"'],
    ["versions", "ancient.test", 'sslClientHello: minVersion: expected TLSv1.2 or TLSv1.3, got "TLSv1.1"'],
    ["versions", "none.test", "sslClientHello: minVersion: TLSv1.3 is above maxVersion, TLSv1.2"],
    ["capped", "clash.test", "sslClientHello: minVersion: TLSv1.3 is above maxVersion, TLSv1.2"],
    ["versions", "text.test", "sslClientHello: returned no versions but string"],
    ["versions", "proxy.test", "sslClientHello: returned no versions but an action proxy"],
  ])("what it must not return ends the session: %s of %s", async (server, name, reason) => {
    const line = await refusal(server, name, "alert internal error");
    expect(line).toMatchObject({
      end_cause: "hook_failed",
      status: 500,
      reason: `hook failed: ${reason}`,
      phase: "sslClientHello",
    });
  });

  test("refuses with a TLS alert, and a status of its own", async () => {
    const line = await refusal("versions", "forbidden.test", "alert access denied");
    expect(line).toMatchObject({
      end_cause: "rejected",
      code: "RC_REJECTED",
      status: 429,
      reason: "rejected: not today",
      ssl_server_name: "forbidden.test",
    });
  });

  test('"errors abort before any certificate is chosen"', async () => {
    const line = await refusal("order", "throws.test", "alert internal error");
    expect(line).toMatchObject({ code: "RC_HOOK_FAILED", phase: "sslClientHello" });
    await facts("order", "fine.test");
    expect(readFileSync(`${gateway.folder}/order.txt`, "utf8")).toContain(
      "hello throws.test\nhello fine.test\ncertificate fine.test\n",
    );
  });

  test("is not asked about a client that is passed through, or plain", async () => {
    await exchange(gateway.port("mixed"), encodeClientHello({ serverName: "raw.test" }));
    expect(await lineOf("mixed", "raw.test")).toMatchObject({ upstream: "raw" });
    expect(JSON.parse(await exchange(gateway.port("mixed"), "plain\n"))).not.toHaveProperty("protocol");
    expect(await facts("mixed", "ours.test")).toMatchObject({ protocol: "TLSv1.3" });
    expect(
      readFileSync(`${gateway.folder}/order.txt`, "utf8")
        .split("\n")
        .filter((line) => line.startsWith("mixed")),
    ).toEqual(["mixed ours.test"]);
  });

  test.each([
    [
      "stuck",
      {
        code: "RC_TLS_HANDSHAKE_TIMEOUT",
        end_cause: "handshake_timeout",
        reason: expect.stringContaining("in the sslClientHello hook"),
      },
    ],
    ["slow", { code: "RC_HOOK_TIMEOUT", status: 500 }],
  ])("that never ends is given up: %s", async (server, expected) => {
    await expect(dialTls(gateway.port(server), { servername: "any.test" })).rejects.toThrow();
    expect(await lineOf(server, "any.test")).toMatchObject({ ...expected, phase: "sslClientHello" });
  });

  test('"exit(OK) continues the handshake; exit(ERROR) aborts it with a TLS alert"', async () => {
    expect(await facts("exits", "on.test")).toMatchObject({ protocol: "TLSv1.3" });
    const line = await refusal("exits", "off.test", "alert access denied");
    expect(line).toMatchObject({ end_cause: "exited", status: 500 });
  });

  test("sees the client of a PROXY header, the address that OpenResty's users wish for there", async () => {
    const socket = await dialIn(gateway.port("proxied"));
    socket.write("PROXY TCP4 203.0.113.7 192.0.2.1 40000 443\r\n");
    const secure = connectTls({ socket, rejectUnauthorized: false });
    const remote = { host: "203.0.113.7", port: 40_000 };
    expect(JSON.parse((await readAll(secure)).toString())).toMatchObject({ remote, ctx: { seen: remote } });
    socket.destroy();
  });
});

describe("the sslCertificate phase", () => {
  test.each([
    ["own.test", "CN=own.test"],
    ["unknown.test", "CN=localhost"],
  ])('"without any decision the static certificate is used": %s gets %s', async (name, subject) => {
    expect(await subjectOf("certificate", name)).toBe(subject);
  });

  test.each(["sleep.test", "socket.test"])(
    '"sleeping / cosocket / Redis lookups inside are fine": %s',
    async (name) => {
      expect(await subjectOf("certificate", name)).toBe("CN=own.test");
    },
  );

  test("sends the chain that comes with a certificate", async () => {
    expect((await openssl("certificate", "chain.test", "-showcerts")).stdout.replaceAll(" = ", "=")).toMatch(
      /s:CN=chained\.test[\s\S]*s:CN=Players CA/,
    );
  });

  test('"clear_certs then setting nothing" is a store without an answer: the handshake fails for the client', async () => {
    const line = await refusal("cleared", "any.test", "unrecognized name");
    expect(line).toMatchObject({ code: "RC_TLS_NO_CERTIFICATE", end_cause: "handshake_failed" });
  });

  test.each([
    [
      "broken.test",
      '"a chain with a broken member" fails',
      /^hook failed: sslCertificate: cert: not a certificate \(.+\)$/,
    ],
    ["mismatch.test", '"key mismatch detected"', /^hook failed: sslCertificate: key: does not belong to cert$/],
    ["half.test", "a certificate without its key", /^hook failed: sslCertificate: cert and key go together$/],
    ["number.test", "a number", /^hook failed: sslCertificate: returned no certificate but number$/],
  ])("%s: %s, with the reason in the log", async (name, _, reason) => {
    const line = await refusal("certificate", name, "alert internal error");
    expect(line).toMatchObject({
      code: "RC_HOOK_FAILED",
      phase: "sslCertificate",
      reason: expect.stringMatching(reason),
    });
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    '"a session resumption skips ssl_certificate" there; here it runs for a resumed %s session too',
    async (version) => {
      const name = `resumes-${version.slice(-1)}.test`;
      const options = { minVersion: version, maxVersion: version };
      const { session } = await visit("order", name, options);
      const again = await visit("order", name, { ...options, ...(session && { session }) });
      expect(again.isResumed).toBe(true);
      const asked = readFileSync(`${gateway.folder}/order.txt`, "utf8").split("\n");
      expect(asked.filter((line) => line === `certificate ${name}`)).toHaveLength(2);
    },
  );
});

describe("a client certificate that sslCertificate asks for", () => {
  test.each([
    ["asks", "asked.test", "none", "NONE"],
    ["asks", "asked.test", "player", "SUCCESS"],
    ["asks", "asked.test", "stranger", "FAILED:self-signed certificate"],
    ["asks", "with.test", "player", "SUCCESS"],
    ["asks", "tenant.test", "stranger", "SUCCESS"],
    ["asks", "tenant.test", "player", "FAILED:unable to verify the first certificate"],
    ["asks", "quiet.test", "player", "NONE"],
    ["optional", "any.test", "player", "SUCCESS"],
    ["optional", "not.test", "player", "NONE"],
    ["required", "asked.test", "player", "SUCCESS"],
  ])(
    '"failure does not abort the handshake, the result is in ssl.verify": %s, %s, who shows %s is %s',
    async (server, name, shows, verify) => {
      const pair = { none: {}, player, stranger }[shows];
      expect(await facts(server, name, pair)).toMatchObject({ verify });
    },
  );

  test("does not weaken what the configuration requires", async () => {
    expect(await facts("required", "still.test").catch(() => ({}))).toEqual({});
    expect(await lineOf("required", "still.test")).toMatchObject({ code: "RC_TLS_CLIENT_CERTIFICATE" });
    expect(await refusal("required", "not.test", "alert internal error")).toMatchObject({
      reason: 'hook failed: sslCertificate: requestCert: ssl.clientCertificate is "required"',
    });
  });

  test.each([
    ["word.test", "requestCert: expected a boolean, got string"],
    ["lonely.test", "clientCa: of no use, since the client is not asked for a certificate (requestCert)"],
    ["rubbish.test", "clientCa: no PEM certificate in it (a path? PEM text is expected)"],
  ])("must be asked for properly: %s", async (name, reason) => {
    expect(await refusal("asks", name, "alert internal error")).toMatchObject({
      code: "RC_HOOK_FAILED",
      reason: `hook failed: sslCertificate: ${reason}`,
    });
  });

  test("is judged anew where a session began without being asked", async () => {
    const { told, session } = await visit("asks", "quiet.test", player);
    expect(told).toMatchObject({ verify: "NONE" });
    const again = await visit("asks", "asked.test", { ...player, ...(session && { session }) });
    expect(again).toMatchObject({ isResumed: false, told: { verify: "SUCCESS" } });
  });

  test("a least version beside the certificate holds", async () => {
    expect((await openssl("asks", "new.test", "-tls1_2")).stderr).toContain("alert protocol version");
    expect(await facts("asks", "new.test")).toMatchObject({ protocol: "TLSv1.3" });
  });
});
