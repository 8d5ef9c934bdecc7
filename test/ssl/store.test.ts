import { expect, test } from "vitest";
import { certificate } from "../../src/ssl/certificate.ts";
import { certList } from "../../src/ssl/store.ts";
import { certStoreLaws } from "../laws/cert-store-laws.ts";
import { made } from "./made-certificates.ts";

certStoreLaws("a list of certificates", async ({ exact, wildcard, fallback }) => ({
  store: fallback ? certList([fallback, wildcard, exact]) : certList([wildcard, exact], { default: false }),
}));

certStoreLaws("a list with a default that is not in it", async ({ exact, wildcard, fallback }) => ({
  store: certList([exact, wildcard], { default: fallback ?? false }),
}));

const one = await made({ names: ["same.test"] });
const two = await made({ names: ["same.test", "two.test"] });

test("of two certificates for a name the first in the list answers", async () => {
  const store = certList([one, two]);
  expect((await store.find("same.test"))?.fingerprint).toBe(certificate(one).fingerprint);
  expect((await store.find("two.test"))?.fingerprint).toBe(certificate(two).fingerprint);
});

test("a ready certificate is taken as it is", async () => {
  const ready = certificate(one);
  expect(await certList([ready]).find("same.test")).toBe(ready);
});

test("the broken certificate of a list is named by its place", () => {
  expect(() => certList([one, { cert: two.cert, key: one.key }])).toThrow(
    new TypeError("certificate 2 of the list: key: does not belong to cert"),
  );
  expect(() => certList([one], { default: { cert: two.cert, key: one.key } })).toThrow("the default certificate: key");
  expect(() => certList([])).toThrow("the list of certificates is empty");
});
