import { createPrivateKey, X509Certificate } from "node:crypto";
import { inspect } from "node:util";
import { expect, test } from "vitest";
import { Certificate, certificate } from "../../src/ssl/certificate.ts";
import { authority, made } from "./made-certificates.ts";

const ca = await authority("Test CA");
const leaf = await made({ names: ["App.Example.test", "*.example.test"], by: ca });
const other = await made({ names: ["other.test"] });

test("a pair becomes a frozen certificate with its names in lower case", () => {
  const one = certificate(leaf);
  expect(one.names).toEqual(["app.example.test", "*.example.test"]);
  expect(one.fingerprint).toBe(new X509Certificate(leaf.cert).fingerprint256);
  expect(one.notAfter).toBeGreaterThan(Date.now());
  expect(one.notBefore).toBeLessThan(Date.now());
  expect(Object.isFrozen(one)).toBe(true);
  expect(Object.isFrozen(one.names)).toBe(true);
});

test("bytes are as good as text, and a certificate stays what it is", () => {
  const one = certificate({ cert: Buffer.from(leaf.cert), key: new Uint8Array(Buffer.from(leaf.key)) });
  expect(one.fingerprint).toBe(certificate(leaf).fingerprint);
  expect(certificate(one)).toBe(one);
});

test("a full chain keeps its order, and text around the blocks is dropped", () => {
  const one = certificate({ cert: `subject: leaf\n${leaf.cert}\r\n# issuer\n${ca.cert}`, key: leaf.key });
  expect(one.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  expect(one.cert).not.toContain("subject");
  expect(new X509Certificate(one.cert).subject).toBe("CN=App.Example.test");
});

test("a key that stands in the same text as the certificate does not stay in it", () => {
  const one = certificate({ cert: leaf.key + leaf.cert, key: leaf.key + leaf.cert });
  expect(one.cert).not.toContain("PRIVATE");
});

test("the key is there for the handshake, but never shows when a certificate is logged", () => {
  const one = certificate(leaf);
  expect(one.key).toBe(leaf.key);
  for (const text of [inspect(one, { depth: 5, showHidden: true }), JSON.stringify(one), JSON.stringify({ ...one })]) {
    expect(text).not.toContain("PRIVATE");
    expect(text).toContain(one.fingerprint);
  }
});

test.each([
  ["the SAN alone", { names: ["a.test"], commonName: "b.test" }, ["a.test"]],
  ["the common name where there is no SAN", { commonName: "Only.CN.test" }, ["only.cn.test"]],
  ["nothing where the common name is no host name", { commonName: "My Company Root" }, []],
  ["each name once", { names: ["a.test", "A.test", "a.test."] }, ["a.test"]],
  ["no star but the whole first label", { names: ["f*.a.test", "*", "a.*.test", "*.b.test"] }, ["*.b.test"]],
])("the names are %s", async (_title, wish, names) => {
  expect(certificate(await made(wish)).names).toEqual(names);
});

test("a SAN value cannot smuggle in a name of another kind", async () => {
  const names = ["a.test, DNS:evil.test", 'b", DNS:evil.test', "good.test"];
  expect(certificate(await made({ names })).names).toEqual(["good.test"]);
});

const encrypted = createPrivateKey(leaf.key).export({
  type: "pkcs8",
  format: "pem",
  cipher: "aes-256-cbc",
  passphrase: "secret",
});

test.each([
  ["a key of another certificate", { cert: leaf.cert, key: other.key }, "key: does not belong to cert"],
  ["a chain in the wrong order", { cert: ca.cert + leaf.cert, key: leaf.key }, "certificate 2 in it"],
  ["no certificate at all", { cert: "", key: leaf.key }, "cert: no PEM certificate in it"],
  ["a path in place of PEM", { cert: "certs/a.crt", key: leaf.key }, "a path? PEM text is expected"],
  ["a certificate cut off", { cert: leaf.cert.slice(0, 200), key: leaf.key }, "cert: PEM certificate is cut off"],
  ["a chain cut off", { cert: leaf.cert + ca.cert.slice(0, 200), key: leaf.key }, "cert: PEM certificate is cut off"],
  ["a damaged certificate", { cert: leaf.cert.replace(/\n.{64}\n/, "\n"), key: leaf.key }, "cert: not a certificate ("],
  ["a damaged chain", { cert: leaf.cert + ca.cert.replace(/\n.{64}\n/, "\n"), key: leaf.key }, "cert: not a certif"],
  ["a damaged ca", { ...leaf, ca: "-----BEGIN CERTIFICATE-----\n" }, "ca: PEM certificate is cut off"],
  ["a certificate as the key", { cert: leaf.cert, key: leaf.cert }, "key: no PEM private key in it"],
  ["a key cut off", { cert: leaf.cert, key: leaf.key.slice(0, 90) }, "key: not a private key ("],
  ["an encrypted key", { cert: leaf.cert, key: String(encrypted) }, "key: encrypted"],
])("%s is refused, with the part at fault", (_title, pem, message) => {
  expect(() => certificate(pem)).toThrow(TypeError);
  expect(() => certificate(pem)).toThrow(message);
});

test.each([undefined, null, 1, {}, { cert: 1, key: 2 }, "text"])("%j is no pair, which is a TypeError", (value) => {
  expect(() => Reflect.construct(Certificate, [value])).toThrow(TypeError);
});

test("a key that OpenSSL finds too weak is refused at once, not in the first handshake", () => {
  expect(() => certificate(weak)).toThrow(/^OpenSSL refuses cert and key: .*key too small/);
});

// RSA with 512 bits: today's libraries do not make such a thing any more, old appliances still hold them.
const weak = {
  cert: `-----BEGIN CERTIFICATE-----
MIIBlzCCAUGgAwIBAgIUJmVYeYBSykuro1zzzfhi7ujqGY0wDQYJKoZIhvcNAQEL
BQAwFDESMBAGA1UEAwwJd2Vhay50ZXN0MCAXDTI2MTEyMjA4MTYxMFoYDzIxMjYx
MDI5MDgxNjEwWjAUMRIwEAYDVQQDDAl3ZWFrLnRlc3QwXDANBgkqhkiG9w0BAQEF
AANLADBIAkEA2QueyuC1o7QFiyDUT6cWUpANVrLhRNShnWtBW2/sSTZab1IzUd7d
odyEaeTpCUjiVfe9/7TYW7nn+/n8q36ccQIDAQABo2kwZzAdBgNVHQ4EFgQUtZpu
BJ8U9seAbZvbrqzApHi4Y8kwHwYDVR0jBBgwFoAUtZpuBJ8U9seAbZvbrqzApHi4
Y8kwDwYDVR0TAQH/BAUwAwEB/zAUBgNVHREEDTALggl3ZWFrLnRlc3QwDQYJKoZI
hvcNAQELBQADQQBHtxTFF3g9Gs4l/4qgvBbELgznOWo/wV15pfSvn3NGCritYKNv
o5J8XJBBcd8CwBVKK2YjPr8Cv2VEhszmWobL
-----END CERTIFICATE-----
`,
  key: `-----BEGIN PRIVATE KEY-----
MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEA2QueyuC1o7QFiyDU
T6cWUpANVrLhRNShnWtBW2/sSTZab1IzUd7dodyEaeTpCUjiVfe9/7TYW7nn+/n8
q36ccQIDAQABAkEAtHaX+kGqZUm6TjrmrK/VvKIvpQWojg1przTNq9Q8l4WDnD4S
l+kuuVie+S6iNjaDjG9U4V3GADYit3/NDPU8vQIhAP98FE7XgqfC4fPspe82QHD4
rtqUCH0wCTAB9JmhzhFDAiEA2XuxUaoxG5es3L+ctEyMdCaLPeRQwJnfVmVNfB8p
tjsCIQDwR/09jXjHWQVziR0i1s5SscCZuGIngzcQ3LX0i/YnywIgHxuAK2wqhgXV
5eVKZsekN2Dj/cBQhJv9w//Na3mRn80CIQD5l3tF0dnapyauEsG6fQM/X5CT80WR
rYew0Ndue2/nSQ==
-----END PRIVATE KEY-----
`,
};
