import { once } from "node:events";
import { createServer } from "node:net";
import { connect, type SecureVersion, TLSSocket } from "node:tls";
import { afterEach, describe, expect, test, vi } from "vitest";
import { Certificate } from "../../src/ssl/certificate.ts";
import {
  type HandshakeChoice,
  handshakeSettings,
  optionsOf,
  secureContextOf,
  ticketKeysNow,
} from "../../src/ssl/context.ts";
import { serveTls } from "./handshakes.ts";
import { authority, made } from "./made-certificates.ts";

const ca = await authority("Root CA");
const intermediate = await made({ commonName: "Intermediate CA", by: ca, isCa: true });
const leaf = await made({ names: ["server.test"], by: intermediate });

const choice: HandshakeChoice = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  ciphers: undefined,
  clientCertificate: "off",
  clientCa: undefined,
  serverName: "edge",
  ticketKeys: undefined,
};
const settings = handshakeSettings(choice);

afterEach(() => {
  vi.useRealTimers();
});

test("ticket keys stay the same for a day", () => {
  vi.useFakeTimers({ toFake: ["performance"] });
  const first = ticketKeysNow();
  expect(first).toHaveLength(48);
  vi.advanceTimersByTime(23 * 3_600_000);
  expect(ticketKeysNow()).toBe(first);
  vi.advanceTimersByTime(2 * 3_600_000);
  const second = ticketKeysNow();
  expect(second.equals(first)).toBe(false);
  expect(ticketKeysNow()).toBe(second);
});

test("a context is made once per certificate and settings", () => {
  const [one, two] = [new Certificate(leaf), new Certificate(leaf)];
  expect(secureContextOf(one, settings)).toBe(secureContextOf(one, handshakeSettings({ ...choice })));
  expect(secureContextOf(one, settings)).not.toBe(secureContextOf(two, settings));
});

test.each<Partial<HandshakeChoice>>([
  { minVersion: "TLSv1.3" },
  { maxVersion: "TLSv1.2" },
  { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256" },
  { clientCertificate: "optional" },
  { clientCa: ca.cert },
  { serverName: "other" },
  { ticketKeys: Buffer.alloc(48) },
])("%j is a context of its own", (wish) => {
  const one = new Certificate(leaf);
  expect(secureContextOf(one, handshakeSettings({ ...choice, ...wish }))).not.toBe(secureContextOf(one, settings));
});

test("contexts of a certificate are bounded, and those in use stay", () => {
  const one = new Certificate(leaf);
  const kept = secureContextOf(one, settings);
  const dropped = handshakeSettings({ ...choice, serverName: "server 0" });
  const first = secureContextOf(one, dropped);
  for (let number = 1; number < 40; number++) {
    secureContextOf(one, handshakeSettings({ ...choice, serverName: `server ${number}` }));
    expect(secureContextOf(one, settings)).toBe(kept);
  }
  expect(secureContextOf(one, dropped)).not.toBe(first);
});

test("without a CA of its own a server trusts no client, least of all the public web's", () => {
  expect(optionsOf(settings).ca).toEqual([]);
  expect(optionsOf(handshakeSettings({ ...choice, clientCa: ca.cert })).ca).toBe(ca.cert);
});

test.each<[string, SecureVersion, Partial<HandshakeChoice>, string]>([
  ["TLS 1.2 by default", "TLSv1.2", {}, "TLSv1.2"],
  ["TLS 1.3 by default", "TLSv1.3", {}, "TLSv1.3"],
  ["TLS 1.1 where it is asked for by name", "TLSv1.1", { minVersion: "TLSv1.1" }, "TLSv1.1"],
  ["TLS 1.0 where it is asked for by name", "TLSv1", { minVersion: "TLSv1" }, "TLSv1"],
])("speaks %s", async (_title, version, wish, protocol) => {
  const own = new Certificate(leaf);
  await using server = await serveTls(() => secureContextOf(own, handshakeSettings({ ...choice, ...wish })));
  expect(await server.shake({ version, ciphers: "DEFAULT:@SECLEVEL=0" })).toMatchObject({ protocol });
});

test.each<[SecureVersion, Partial<HandshakeChoice>]>([
  ["TLSv1.1", {}],
  ["TLSv1.2", { minVersion: "TLSv1.3" }],
  ["TLSv1.3", { maxVersion: "TLSv1.2" }],
])("refuses %s when the settings are %j", async (version, wish) => {
  const own = new Certificate(leaf);
  await using server = await serveTls(() => secureContextOf(own, handshakeSettings({ ...choice, ...wish })));
  await expect(server.shake({ version, ciphers: "DEFAULT:@SECLEVEL=0" })).rejects.toThrow(/alert/);
});

describe("the chain is sent", () => {
  test.each([
    ["from a full chain", { cert: leaf.cert + intermediate.cert, key: leaf.key }],
    ["from ca", { ...leaf, ca: intermediate.cert }],
  ])("%s", async (_title, pem) => {
    const own = new Certificate(pem);
    await using server = await serveTls(() => secureContextOf(own, settings));
    expect((await server.shake()).chain).toEqual(["CN=server.test", "CN=Intermediate CA"]);
  });
});

test("a client cannot start a second handshake inside a TLS 1.2 session", async () => {
  const secureContext = secureContextOf(new Certificate(leaf), settings);
  const server = createServer((raw) => new TLSSocket(raw, { isServer: true, secureContext }).on("error", () => {}));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const client = connect({ port: port ?? 0, host: "127.0.0.1", rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  await once(client, "secureConnect");
  const failed = once(client, "error");
  client.renegotiate({}, () => {});
  expect(String(await failed)).toContain("no renegotiation");
  server.close();
});
