import { expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { cachedCerts } from "../../src/ssl/cache.ts";
import { type Certificate, certificate, type Pem } from "../../src/ssl/certificate.ts";
import { type CertSource, certList } from "../../src/ssl/store.ts";
import { certStoreLaws } from "../laws/cert-store-laws.ts";
import { made } from "./made-certificates.ts";

certStoreLaws("a cache in front of another store", async ({ exact, wildcard, fallback }) => ({
  store: cachedCerts(certList([exact, wildcard], { default: fallback ?? false }), {
    max: 1_000,
    ttlMs: 60_000,
    negativeTtlMs: 1_000,
  }),
}));

const known = certificate(await made({ names: ["known.test"] }));
/** Its clock stands still: what is remembered does not depend on how long a test takes. */
const policy = { max: 3, ttlMs: 1_000, negativeTtlMs: 100, now: () => 0 };

/** A source that counts what it is asked, and a clock that moves when told. */
function counted(answer: (name: string | undefined) => ReturnType<CertSource["find"]>) {
  const asked: (string | undefined)[] = [];
  const clock = { time: 0, now: () => clock.time };
  const source: CertSource = {
    find(name) {
      asked.push(name);
      return answer(name);
    },
  };
  return { source, asked, clock };
}

const knownOnly = (name: string | undefined) => (name?.startsWith("known") ? known : undefined);

test("a certificate is asked for once per ttl, a miss once per its own", async () => {
  const { source, asked, clock } = counted(knownOnly);
  const store = cachedCerts(source, { ...policy, now: clock.now });
  for (const time of [0, 99, 101, 999, 1_001]) {
    clock.time = time;
    expect(await store.find("known.test")).toBe(known);
    expect(await store.find("unknown.test")).toBeUndefined();
  }
  expect(asked.filter((name) => name === "known.test")).toHaveLength(2);
  expect(asked.filter((name) => name === "unknown.test")).toHaveLength(3);
});

test("all spellings of a name are one question, in lower case", async () => {
  const { source, asked } = counted(knownOnly);
  const store = cachedCerts(source, policy);
  for (const name of ["Known.Test", "known.test.", "KNOWN.TEST", "known.test"]) await store.find(name);
  for (const name of [undefined, "", undefined]) await store.find(name);
  expect(asked).toEqual(["known.test", undefined]);
});

test.each([
  "a b",
  "*.known.test",
  "known..test",
  "x".repeat(64),
  "k\u0000nown",
  "a.".repeat(128),
  "\u212Anown.test",
  ".",
])("%j is no host name, so the source is not asked", async (name) => {
  const { source, asked } = counted(() => known);
  expect(await cachedCerts(source, policy).find(name)).toBeUndefined();
  expect(asked).toEqual([]);
});

test("handshakes for one name that come together share one lookup", async () => {
  const { promise, resolve } = deferred<Certificate>();
  const { source, asked } = counted(() => promise);
  const store = cachedCerts(source, policy);
  const waiting = Array.from({ length: 50 }, () => store.find("known.test"));
  resolve(known);
  expect(new Set(await Promise.all(waiting))).toEqual(new Set([known]));
  expect(asked).toHaveLength(1);
});

test("an error goes to all who wait, and is not remembered", async () => {
  const answers = [Promise.reject(new Error("store is down")), Promise.resolve(known)];
  const { source, asked } = counted(() => answers.shift());
  const store = cachedCerts(source, policy);
  const both = await Promise.allSettled([store.find("known.test"), store.find("known.test")]);
  for (const result of both) {
    const reason = result.status === "rejected" ? result.reason : undefined;
    expect(reason).toBeInstanceOf(GatewayError);
    expect(reason).toMatchObject({ code: "RC_TLS_STORE", message: "certificate store failed: store is down" });
  }
  expect(await store.find("known.test")).toBe(known);
  expect(asked).toHaveLength(2);
});

test("a source that throws at once, or answers with something else, is an error like any other", async () => {
  const broken: CertSource = {
    find() {
      throw new Error("no such table");
    },
  };
  await expect(cachedCerts(broken, policy).find("a.test")).rejects.toMatchObject({ code: "RC_TLS_STORE" });
  const { cert } = await made({ names: ["a.test"] });
  const odd: CertSource = { find: () => ({ cert, key: known.key }) };
  await expect(cachedCerts(odd, policy).find("a.test")).rejects.toMatchObject({
    code: "RC_TLS_STORE",
    message: "certificate store failed: key: does not belong to cert",
  });
});

test("a source that hangs fails its handshakes in time, and is asked again later", async () => {
  const { source, asked } = counted(() => new Promise<undefined>(() => {}));
  const store = cachedCerts(source, { ...policy, lookupTimeoutMs: 20 });
  for (const _ of [1, 2]) {
    await expect(store.find("slow.test")).rejects.toMatchObject({
      code: "RC_TLS_STORE",
      message: "certificate store failed: no answer within 20 ms",
    });
  }
  expect(asked).toHaveLength(2);
});

test("lookups under way are bounded: one name too many is refused, those before it are served", async () => {
  const { promise, resolve } = deferred<Certificate>();
  const { source, asked } = counted(() => promise);
  const store = cachedCerts(source, policy);
  const waiting = ["a.test", "b.test", "c.test"].map((name) => store.find(name));
  await expect(store.find("d.test")).rejects.toMatchObject({ code: "RC_TLS_STORE" });
  resolve(known);
  expect(await Promise.all(waiting)).toEqual([known, known, known]);
  expect(await store.find("d.test")).toBe(known);
  expect(asked).toEqual(["a.test", "b.test", "c.test", "d.test"]);
});

test("the name that was used least recently is forgotten first", async () => {
  const { source, asked } = counted(knownOnly);
  const store = cachedCerts(source, policy);
  for (const name of ["known1.test", "known2.test", "known3.test", "known1.test", "known4.test"])
    await store.find(name);
  asked.length = 0;
  for (const name of ["known1.test", "known3.test", "known4.test"]) await store.find(name);
  expect(asked).toEqual([]);
  await store.find("known2.test");
  expect(asked).toEqual(["known2.test"]);
});

test("ten thousand names without a certificate push out none that has one", async () => {
  const { source, asked } = counted(knownOnly);
  const store = cachedCerts(source, policy);
  await store.find("known.test");
  for (let number = 0; number < 10_000; number++) await store.find(`stranger${number}.test`);
  asked.length = 0;
  expect(await store.find("known.test")).toBe(known);
  expect(asked).toEqual([]);
});

test("PEM becomes a certificate, and a name that lost its certificate is a miss", async () => {
  let pem: Pem | undefined = { cert: known.cert, key: known.key };
  const { source, clock } = counted(() => pem);
  const store = cachedCerts(source, { ...policy, now: clock.now });
  expect((await store.find("known.test"))?.fingerprint).toBe(known.fingerprint);
  pem = undefined;
  clock.time = 1_001;
  expect(await store.find("known.test")).toBeUndefined();
});

test.each([0, -1, 1.5, Number.NaN])("a cache for %d names is a mistake", (max) => {
  expect(() => cachedCerts({ find: () => undefined }, { ...policy, max })).toThrow(TypeError);
});

/** `Promise.withResolvers`, which Node 20 does not have. */
function deferred<T>() {
  let resolve: (value: T) => void = () => {};
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
