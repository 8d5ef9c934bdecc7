import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { DNS_NEGATIVE_TTL_MS, DNS_TTL_MS, Resolver } from "../../src/upstream/resolve.ts";

/** A name service whose answers and clock the test sets. */
class NameService {
  now = 0;
  lookups: string[] = [];
  answer: () => Promise<readonly string[]> = async () => ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
  readonly resolver = new Resolver({
    now: () => this.now,
    lookup: (host) => {
      this.lookups.push(host);
      return this.answer();
    },
  });

  resolve(host = "peer.test"): Promise<readonly string[]> {
    return this.resolver.resolve(host, { timeoutMs: 100 });
  }

  fail(code = "ENOTFOUND"): void {
    this.answer = () => Promise.reject(Object.assign(new Error(`getaddrinfo ${code}`), { code }));
  }
}

describe("Resolver", () => {
  test.each(["127.0.0.1", "::1", "fe80::1%lo"])("answers %s by itself, without a lookup", async (host) => {
    const names = new NameService();
    expect(await names.resolve(host)).toEqual([host]);
    expect(names.lookups).toEqual([]);
  });
  test("knows the names of the system", async () => {
    const addresses = await new Resolver().resolve("localhost");
    expect(addresses).toContain("127.0.0.1");
  });
  test("puts another address first each time", async () => {
    const names = new NameService();
    const answers = [await names.resolve(), await names.resolve(), await names.resolve(), await names.resolve()];
    expect(answers.map((addresses) => addresses.join())).toEqual([
      "10.0.0.1,10.0.0.2,10.0.0.3",
      "10.0.0.2,10.0.0.3,10.0.0.1",
      "10.0.0.3,10.0.0.1,10.0.0.2",
      "10.0.0.1,10.0.0.2,10.0.0.3",
    ]);
  });
  test("asks once for many sessions at the same time, and not again before the answer is old", async () => {
    const names = new NameService();
    await Promise.all(Array.from({ length: 20 }, () => names.resolve()));
    names.now += DNS_TTL_MS - 1;
    await names.resolve();
    expect(names.lookups).toHaveLength(1);
    names.now += 1;
    names.answer = async () => ["10.0.0.9"];
    expect(await names.resolve()).toEqual(["10.0.0.9"]);
    expect(names.lookups).toHaveLength(2);
  });
  test("remembers for a second that a name does not exist", async () => {
    const names = new NameService();
    names.fail();
    for (let count = 0; count < 5; count++) {
      await expect(names.resolve()).rejects.toThrow("cannot resolve peer: peer.test: ENOTFOUND");
    }
    expect(names.lookups).toHaveLength(1);
    names.now += DNS_NEGATIVE_TTL_MS;
    await expect(names.resolve()).rejects.toThrow(GatewayError);
    expect(names.lookups).toHaveLength(2);
  });
  test("takes an empty answer for none", async () => {
    const names = new NameService();
    names.answer = async () => [];
    await expect(names.resolve()).rejects.toThrow("peer.test: no address");
  });
  test("keeps an old answer while the name service fails", async () => {
    const names = new NameService();
    await names.resolve();
    names.fail("EAI_AGAIN");
    for (let count = 0; count < 3; count++) {
      names.now += DNS_TTL_MS;
      expect(await names.resolve()).toHaveLength(3);
    }
    expect(names.lookups).toHaveLength(4);
  });
  test("gives up on a lookup in time, and takes its answer when it comes", async () => {
    const names = new NameService();
    let answer: (addresses: readonly string[]) => void = () => {};
    names.answer = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    await expect(names.resolve()).rejects.toMatchObject({ code: "RC_PEER_RESOLVE" });
    await expect(names.resolve()).rejects.toThrow("no answer in time");
    answer(["10.0.0.4"]);
    expect(await names.resolve()).toEqual(["10.0.0.4"]);
    expect(names.lookups).toHaveLength(1);
  });
  test("does not let sessions wait long for a newer answer while there is an old one", async () => {
    const names = new NameService();
    await names.resolve();
    names.now += DNS_TTL_MS;
    names.answer = () => new Promise(() => {});
    const begun = performance.now();
    expect(await names.resolver.resolve("peer.test", { timeoutMs: 20_000 })).toHaveLength(3);
    expect(performance.now() - begun).toBeLessThan(5_000);
  });
  test("stops waiting when the session ends", async () => {
    const names = new NameService();
    names.answer = () => new Promise(() => {});
    const control = new AbortController();
    const waiting = names.resolver.resolve("peer.test", { signal: control.signal });
    control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    await expect(waiting).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
  });
  test("remembers a bounded number of names, those asked for last", async () => {
    const names = new NameService();
    for (let index = 0; index < 1_000; index++) await names.resolve(`${index}.test`);
    await names.resolve("0.test");
    await names.resolve("one-more.test");
    names.lookups = [];
    await names.resolve("0.test");
    expect(names.lookups).toEqual([]);
    await names.resolve("1.test");
    expect(names.lookups).toEqual(["1.test"]);
  });
});
