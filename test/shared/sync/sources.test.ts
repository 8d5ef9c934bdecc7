import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import { consulKv } from "../../../src/shared/sync/consul-kv.ts";
import { redisHash } from "../../../src/shared/sync/redis-hash.ts";
import { sync } from "../../../src/shared/sync/sync.ts";
import { RedisServer } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";

const never = new AbortController().signal;

describe("a hash in Redis", () => {
  let server: RedisServer;
  let client: Redis;
  beforeAll(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port, "127.0.0.1");
  });
  afterAll(async () => {
    client.disconnect();
    await server[Symbol.asyncDispose]();
  });

  test("is read when its version has changed", async () => {
    const source = redisHash({ client, key: "prices" });
    await client.multi().hset("prices", { apple: "1", pear: "2" }).set("prices:version", "7").exec();
    expect(await source.load(undefined, never)).toEqual({
      version: "7",
      entries: new Map([
        ["apple", "1"],
        ["pear", "2"],
      ]),
    });
    await client.hset("prices", { apple: "9" });
    expect(await source.load("7", never)).toBeUndefined();
    await client.set("prices:version", "8");
    expect((await source.load("7", never))?.entries.get("apple")).toBe("9");
  });

  test("without a version has a digest, of what it holds in any order", async () => {
    const source = redisHash({ client, key: "plain" });
    const empty = await source.load(undefined, never);
    expect(empty?.entries.size).toBe(0);
    await client.hset("plain", { a: "1", b: "2" });
    const first = await source.load(empty?.version, never);
    expect(first?.entries.size).toBe(2);
    await client.del("plain");
    await client.hset("plain", { b: "2", a: "1" });
    expect(await source.load(first?.version, never)).toBeUndefined();
  });

  test("that changes while it is read is read again, but not for ever", async () => {
    let version = 0;
    const busy = (until: number) => ({
      get: async () => `${version}`,
      hgetall: async () => {
        if (version < until) version++;
        return { at: `${version}` };
      },
    });
    expect(await redisHash({ client: busy(2), key: "busy" }).load(undefined, never)).toEqual({
      version: "2",
      entries: new Map([["at", "2"]]),
    });
    await expect(redisHash({ client: busy(100), key: "busy" }).load(undefined, never)).rejects.toThrow(
      "busy changed 3 times while it was read",
    );
  });

  test("is copied, and followed", async () => {
    const { dicts } = openDicts({ dict: "1m" });
    const { dict } = dicts;
    if (dict === undefined) throw new Error("it was opened above");
    await client.hset("followed", { a: "1" });
    await using copy = sync("followed", { dict, source: redisHash({ client, key: "followed" }), intervalMs: 10 });
    await copy.ready();
    expect(copy.get("a")).toBe("1");
    await client.hset("followed", { a: "2" });
    await eventually(() => expect(copy.get("a")).toBe("2"));
  });
});

/** What Consul answers to `GET /v1/kv/<prefix>?recurse`, with its index and its waiting. */
class Consul implements AsyncDisposable {
  readonly asked: { url: string; token: string | undefined }[] = [];
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #waiting = new Set<() => void>();
  #index = 10;
  #pairs: readonly { readonly Key: string; readonly Value: string | null }[] = [];
  status: number | undefined;

  async listen(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const bound = this.#server.address();
    return `http://127.0.0.1:${bound !== null && typeof bound === "object" ? bound.port : 0}`;
  }

  put(values: Readonly<Record<string, string | null>>): void {
    this.#index++;
    this.#pairs = Object.entries(values).map(([Key, text]) => ({
      Key,
      Value: text === null ? null : Buffer.from(text).toString("base64"),
    }));
    for (const answer of [...this.#waiting]) answer();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", "http://consul");
    this.asked.push({ url: `${url.pathname}${url.search}`, token: request.headers["x-consul-token"]?.toString() });
    const send = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(send);
      response.writeHead(this.status ?? (this.#pairs.length > 0 ? 200 : 404), { "X-Consul-Index": `${this.#index}` });
      response.end(this.#pairs.length > 0 ? JSON.stringify(this.#pairs) : "");
    };
    const timer = setTimeout(send, Number.parseInt(url.searchParams.get("wait") ?? "0", 10));
    if (url.searchParams.get("index") === `${this.#index}`) this.#waiting.add(send);
    else send();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const answer of [...this.#waiting]) answer();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

describe("keys in Consul", () => {
  test("are read below their prefix, with the token", async () => {
    await using consul = new Consul();
    const source = consulKv({ address: await consul.listen(), prefix: "edge/Straße/", token: "secret" });
    consul.put({ "edge/Straße/a": "ä", "edge/Straße/b/c": "", "edge/Straße/": null });
    const entries = new Map([
      ["a", "ä"],
      ["b/c", ""],
      ["", ""],
    ]);
    expect(await source.load(undefined, never)).toEqual({ version: "11", entries });
    expect(consul.asked).toEqual([{ url: "/v1/kv/edge/Stra%C3%9Fe/?recurse=true", token: "secret" }]);
  });

  test("that are not there are an empty copy", async () => {
    await using consul = new Consul();
    const source = consulKv({ address: await consul.listen(), prefix: "none/" });
    expect(await source.load(undefined, never)).toEqual({ version: "10", entries: new Map() });
  });

  test("are waited for until they change, or until Consul has waited long enough", async () => {
    await using consul = new Consul();
    const source = consulKv({ address: await consul.listen(), prefix: "edge/", waitMs: 50 });
    consul.put({ "edge/a": "1" });
    const first = await source.load(undefined, never);
    expect(await source.load(first?.version, never)).toBeUndefined();
    expect(consul.asked.at(-1)?.url).toBe("/v1/kv/edge/?recurse=true&index=11&wait=50ms");
    const patient = consulKv({ prefix: "edge/" });
    expect(patient.timeoutMs).toBeGreaterThan(58_000);
  });

  test("that change answer the question that waits", async () => {
    await using consul = new Consul();
    const source = consulKv({ address: await consul.listen(), prefix: "edge/" });
    consul.put({ "edge/a": "1" });
    const first = await source.load(undefined, never);
    const next = source.load(first?.version, never);
    await eventually(() => expect(consul.asked).toHaveLength(2));
    consul.put({ "edge/a": "2" });
    expect(await next).toEqual({ version: "12", entries: new Map([["a", "2"]]) });
  });

  test("are not waited for any more when the signal aborts", async () => {
    await using consul = new Consul();
    const source = consulKv({ address: await consul.listen(), prefix: "edge/" });
    const first = await source.load(undefined, never);
    const controller = new AbortController();
    const next = source.load(first?.version, controller.signal);
    await eventually(() => expect(consul.asked).toHaveLength(2));
    controller.abort(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
  });

  test("cannot be had from a Consul that fails, or answers with too much", async () => {
    await using consul = new Consul();
    const address = await consul.listen();
    consul.put({ "edge/a": "x".repeat(1_000) });
    await expect(consulKv({ address, prefix: "edge/", maxBytes: 100 }).load(undefined, never)).rejects.toThrow(
      "consul answered with more than 100 bytes",
    );
    consul.status = 500;
    await expect(consulKv({ address, prefix: "edge/" }).load(undefined, never)).rejects.toThrow("consul answered 500");
  });
});
