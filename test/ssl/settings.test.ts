import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, expectTypeOf, test } from "vitest";
import { certificate } from "../../src/ssl/certificate.ts";
import { compileSsl, type SslConfig } from "../../src/ssl/settings.ts";
import type { CertSource, CertStore } from "../../src/ssl/store.ts";
import { serveTls } from "./handshakes.ts";
import { authority, made } from "./made-certificates.ts";

const app = await made({ names: ["app.test"] });
const other = await made({ names: ["other.test"] });
const ca = await authority("Client CA");
const client = await made({ commonName: "client", by: ca });

let baseDir: string;
const warnings: string[] = [];
const environment = () => ({ serverName: "edge", baseDir, warn: (message: string) => void warnings.push(message) });
const compile = (config: Partial<SslConfig>) => compileSsl({ mode: "auto", certs: [app], ...config }, environment());

beforeAll(async () => {
  baseDir = await mkdtemp(join(tmpdir(), "settings-"));
  await mkdir(join(baseDir, "certs"));
  await mkdir(join(baseDir, "empty"));
  await writeFile(join(baseDir, "certs", "default.crt"), app.cert);
  await writeFile(join(baseDir, "certs", "default.key"), app.key);
  await writeFile(join(baseDir, "ca.pem"), ca.cert);
});

afterAll(() => rm(baseDir, { recursive: true }));

test("the defaults are those of the documentation, and nothing can be changed afterwards", async () => {
  const ssl = await compile({});
  expect(ssl).toMatchObject({
    mode: "auto",
    alpn: [],
    clientCertificate: "off",
    handshakeTimeoutMs: 10_000,
    settings: { minVersion: "TLSv1.2", maxVersion: "TLSv1.3", clientCa: undefined, ciphers: undefined },
  });
  for (const part of [ssl, ssl.alpn, ssl.settings]) expect(Object.isFrozen(part)).toBe(true);
  await ssl.close();
});

test("a path of certs is a folder below the configuration's, and close stops its watch", async () => {
  const ssl = await compile({ certs: "certs" });
  expect((await ssl.certs.find("app.test"))?.fingerprint).toBe(certificate(app).fingerprint);
  expect((await ssl.certs.find(undefined))?.fingerprint).toBe(certificate(app).fingerprint);
  await ssl.close();
});

test("the first certificate of a list answers for all other names", async () => {
  const ssl = await compile({ certs: [other, certificate(app)] });
  expect((await ssl.certs.find("app.test"))?.fingerprint).toBe(certificate(app).fingerprint);
  expect((await ssl.certs.find("unknown.test"))?.fingerprint).toBe(certificate(other).fingerprint);
});

test("a store of one's own may answer with PEM, is asked once per name, and belongs to its owner", async () => {
  const asked: (string | undefined)[] = [];
  const certs: CertSource = {
    find(name) {
      asked.push(name);
      return name === "app.test" ? { ...app } : undefined;
    },
  };
  const ssl = await compile({ certs });
  const found = await ssl.certs.find("APP.test");
  expect(found?.names).toEqual(["app.test"]);
  expect(await ssl.certs.find("app.test")).toBe(found);
  expect(await ssl.certs.find("unknown.test")).toBeUndefined();
  expect(asked).toEqual(["app.test", "unknown.test"]);
  await ssl.close();
});

test("equal PEM of a hook is one certificate with one context, other PEM is another", async () => {
  const ssl = await compile({});
  const one = ssl.certificateOf({ ...app });
  expect(ssl.certificateOf({ cert: Buffer.from(app.cert), key: app.key })).toBe(one);
  expect(ssl.certificateOf(one)).toBe(one);
  expect(ssl.certificateOf({ ...other })).not.toBe(one);
  expect(ssl.contextOf(one)).toBe(ssl.contextOf(ssl.certificateOf({ ...app })));
  expect(() => ssl.certificateOf({ cert: app.cert, key: other.key })).toThrow("key: does not belong to cert");
});

test.each([
  ["text", () => ca.cert],
  ["a path", () => "ca.pem"],
  ["several in one text, with remarks", () => `# ours\n${other.cert}\n# theirs\n${ca.cert}`],
])("the client CA may be given as %s", async (_title, text) => {
  const ssl = await compile({ clientCertificate: "required", ca: text() });
  await using server = await serveTls(() => ssl.contextOf(ssl.certificateOf(app)), ssl.clientCertificate);
  expect(await server.shake({ pair: client })).toMatchObject({ verdict: "SUCCESS" });
  expect(await server.shake({ pair: app })).toMatchObject({ verdict: "FAILED:self-signed certificate" });
});

test.each<[string, Partial<SslConfig>, string]>([
  ["a folder that is not there", { certs: "missing" }, "ssl.certs: no usable certificate: "],
  ["a folder without a pair", { certs: "empty" }, "holds no name.crt with name.key"],
  ["PEM in place of a folder", { certs: app.cert }, "ssl.certs: the path of a folder is expected, not PEM"],
  ["an empty list", { certs: [] }, "ssl.certs: the list of certificates is empty"],
  [
    "a wrong pair in a list",
    { certs: [app, { cert: app.cert, key: other.key }] },
    "ssl.certs: certificate 2 of the list: key: ",
  ],
  ["a CA that is not there", { clientCertificate: "optional", ca: "missing.pem" }, "ssl.ca: ENOENT"],
  ["a CA cut off", { clientCertificate: "optional", ca: ca.cert.slice(0, 200) }, "ssl.ca: PEM certificate is cut off"],
  ["a CA that is damaged", { ca: ca.cert.replace(/\n.{64}\n/, "\n") }, "ssl.ca: "],
  [
    "client certificates without a CA",
    { clientCertificate: "required" },
    "ssl.ca: needed to judge client certificates",
  ],
  ["client certificates with an empty CA", { clientCertificate: "required", ca: "" }, "ssl.ca: "],
  ["versions in the wrong order", { minVersion: "TLSv1.3", maxVersion: "TLSv1.2" }, "ssl.minVersion: TLSv1.3 is above"],
  ["ciphers that do not exist", { ciphers: "NO-SUCH-CIPHER" }, "ssl.ciphers: no cipher match"],
  ["an empty ALPN name", { alpn: ["h2", ""] }, "ssl.alpn[1]: a name of 1 to 255 bytes is expected"],
  ["an ALPN name that is too long", { alpn: ["x".repeat(256)] }, "ssl.alpn[0]: "],
])("%s is a TypeError at the start that names the key", async (_title, config, message) => {
  const failure = await compile(config).catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(TypeError);
  expect(String(failure)).toContain(message);
});

test("a version that nobody knows is refused for JavaScript users too", async () => {
  const config: SslConfig = { mode: "auto", certs: [app], ...JSON.parse('{ "minVersion": "SSLv3" }') };
  await expect(compileSsl(config, environment())).rejects.toThrow("ssl.minVersion: one of TLSv1, ");
});

test("ticket keys of the wrong size are refused", async () => {
  const ticketKeys = Buffer.alloc(47);
  const compiling = compileSsl({ mode: "auto", certs: [app] }, { ...environment(), ticketKeys });
  await expect(compiling).rejects.toThrow("ticketKeys: 48 bytes are expected, not 47");
});

test("every store is a source, and PEM or a certificate stands in a list", () => {
  expectTypeOf<CertStore>().toExtend<CertSource>();
  expectTypeOf({ find: async () => ({ cert: "", key: Buffer.alloc(0) }) }).toExtend<SslConfig["certs"]>();
  expectTypeOf([certificate(app), app]).toExtend<SslConfig["certs"]>();
  // @ts-expect-error a certificate without its key
  const certs: SslConfig["certs"] = [{ cert: app.cert }];
  expect(certs).toHaveLength(1);
});
