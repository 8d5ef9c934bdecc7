import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRedis } from "../../../src/registry/redis/open-redis.ts";
import type { RedisLink } from "../../../src/registry/redis/redis-link.ts";
import { type Events, WorkerEvents } from "../../../src/shared/events/events.ts";
import { localTransport } from "../../../src/shared/events/local-transport.ts";
import { type RedisEvents, redisEvents } from "../../../src/shared/events/redis-events.ts";
import { EventRelay } from "../../../src/shared/events/relay.ts";
import { RedisServer, redisCluster } from "../../registry/redis-server.ts";
import { eventually } from "../../support/eventually.ts";

const log = { info() {}, warn() {} };

/** A gateway of one worker, which notes what comes. */
interface Gateway extends AsyncDisposable {
  readonly name: string;
  readonly link: RedisLink;
  readonly bridge: RedisEvents;
  readonly events: Events;
  readonly seen: string[];
}

async function gateway(
  config: Parameters<typeof openRedis>[0],
  name: string,
  key: string,
  warn?: (text: string) => void,
): Promise<Gateway> {
  const link = await openRedis(config, { log });
  const bridge = redisEvents(link, { name, key, warn });
  const events = new WorkerEvents({ transport: localTransport(new EventRelay({ cluster: bridge }), 3), number: 3 });
  const seen: string[] = [];
  events.subscribe("topic", (data, event) => seen.push(`${data} from ${event.from} at ${event.gateway}`));
  return {
    name,
    link,
    bridge,
    events,
    seen,
    async [Symbol.asyncDispose]() {
      bridge.close();
      await link[Symbol.asyncDispose]();
    },
  };
}

/** Waits until both hear each other, and forgets what they have heard so far. */
async function meet(...gateways: readonly Gateway[]): Promise<void> {
  const met = gateways.map(() => new Set<unknown>());
  const leave = gateways.map(({ events }, at) => events.subscribe("hello", (name) => met[at]?.add(name)));
  await eventually(() => {
    for (const { events, name } of gateways) events.publish("cluster", "hello", name);
    for (const names of met) expect(names.size).toBe(gateways.length);
  }, 20_000);
  for (const stop of leave) stop();
}

const others = (seen: readonly string[]): string[] => seen.map((text) => text.replace(/ from.*/, ""));

describe("one server", () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("many events of one turn all come, to all gateways in one order", async () => {
    await using a = await gateway(server.url, "a", "many");
    await using b = await gateway(server.url, "b", "many");
    await meet(a, b);
    const all = Array.from({ length: 1_500 }, (_, at) => String(at));
    for (const data of all) expect(a.events.publish("cluster", "topic", data)).toEqual({ ok: true });
    for (const { seen } of [a, b]) await eventually(() => expect(others(seen)).toEqual(all));
    expect(a.bridge.counts).toEqual({ alone: 0, lost: 0 });
  });

  test("a stream that is none is said once, and again when it has worked in between", async () => {
    const warnings: string[] = [];
    await using a = await gateway(server.url, "a", "wrong", (text) => warnings.push(text));
    await meet(a);
    await server.cli("SET", "restyconf:wrong", "text");
    for (const data of ["1", "2"]) a.events.publish("cluster", "topic", data);
    await eventually(() => expect(others(a.seen)).toEqual(["1", "2"]));
    await eventually(() => expect(warnings).toHaveLength(2));
    expect(warnings.sort()).toEqual([
      expect.stringMatching(/^events between gateways cannot be read: .*WRONGTYPE/),
      expect.stringMatching(/^events between gateways cannot be sent: .*WRONGTYPE/),
    ]);
    await server.cli("DEL", "restyconf:wrong");
    a.events.publish("cluster", "topic", "3");
    await eventually(() => expect(others(a.seen)).toEqual(["1", "2", "3"]));
    await server.cli("SET", "restyconf:wrong", "text");
    a.events.publish("cluster", "topic", "4");
    await eventually(() => expect(warnings.filter((text) => text.includes("sent"))).toHaveLength(2));
  });

  test("an event is answered to the gateway that it came from, and to no other", async () => {
    await using a = await gateway(server.url, "a", "answers");
    await using b = await gateway(server.url, "b", "answers");
    await using c = await gateway(server.url, "c", "answers");
    await meet(a, b, c);
    b.events.subscribe("question", (data, event) => {
      b.events.publish({ gateway: event.gateway, worker: event.from }, "topic", `yes, ${data}`);
      b.events.publish({ gateway: event.gateway, worker: 4 }, "topic", "to nobody");
      b.events.publish({ gateway: "gone", worker: event.from }, "topic", "nowhere");
    });
    a.events.publish("cluster", "question", "a");
    await eventually(() => expect(a.seen).toEqual(["yes, a from 3 at b"]));
    await a.link.publish("answers:a", '{"topic":"topic","data":"{","from":1,"gateway":"x","to":3}'); // a stranger's
    await a.link.publish("answers:a", "nonsense");
    b.events.publish({ gateway: "a", worker: 3 }, "topic", "again");
    await eventually(() => expect(a.seen.at(-1)).toBe("again from 3 at b"));
    expect([a.seen.length, b.seen, c.seen]).toEqual([2, [], []]);
  });

  test("events for the cluster come to the workers of all gateways, in one order, with their origin", async () => {
    await using a = await gateway(server.url, "a", "order");
    await using b = await gateway(server.url, "b", "order");
    await meet(a, b);
    for (let n = 0; n < 100; n++)
      for (const { events, name } of [a, b]) events.publish("cluster", "topic", `${name}${n}`);
    await eventually(() => expect([a.seen.length, b.seen.length]).toEqual([200, 200]));
    expect(others(a.seen)).toEqual(others(b.seen));
    expect(a.seen).toContain("a7 from 3 at undefined");
    expect(a.seen).toContain("b7 from 3 at b");
    expect(others(a.seen).filter((text) => text.startsWith("b"))).toEqual(
      Array.from({ length: 100 }, (_, n) => `b${n}`),
    );
    expect([a.bridge.counts, b.bridge.counts]).toEqual([
      { alone: 0, lost: 0 },
      { alone: 0, lost: 0 },
    ]);
  });

  test("a gateway is told nothing of what was said before it came", async () => {
    await using a = await gateway(server.url, "a", "late");
    a.events.publish("cluster", "topic", "early");
    await eventually(() => expect(a.seen).toHaveLength(1));
    await using b = await gateway(server.url, "b", "late");
    await meet(a, b);
    expect(b.seen).toEqual([]);
  });

  test("what others write to the stream harms nobody", async () => {
    await using a = await gateway(server.url, "a", "foreign");
    await meet(a);
    for (const text of [
      "no json",
      "null",
      '{"topic":1}',
      '{"topic":"topic","data":"{","from":1,"gateway":"x","serial":1}',
    ]) {
      await server.cli("XADD", "restyconf:foreign", "*", "event", text);
    }
    a.events.publish("cluster", "topic", "fine");
    await eventually(() => expect(others(a.seen)).toEqual(["fine"]));
  });

  test("a gateway that was cut off reads what it has missed, each event once", async () => {
    await using a = await gateway(server.url, "a", "cut");
    await using b = await gateway({ url: server.url, commandTimeoutMs: 300 }, "b", "cut");
    await meet(a, b);
    await server.cli("CLIENT", "KILL", "TYPE", "normal");
    await server.cli("CLIENT", "KILL", "TYPE", "pubsub");
    await eventually(() => a.link.send("EXISTS", "cut")); // by a new connection: of the old one it may not have heard yet
    for (let n = 0; n < 50; n++) a.events.publish("cluster", "topic", `${n}`);
    await eventually(() => expect(b.seen).toHaveLength(50));
    expect(others(b.seen)).toEqual(Array.from({ length: 50 }, (_, n) => `${n}`));
    expect(b.bridge.counts.lost).toBe(0);
  });

  test("while Redis is away, events reach the own gateway; back, the others learn that they have lost some", {
    timeout: 60_000,
  }, async () => {
    await using own = await RedisServer.start();
    await using a = await gateway(own.url, "a", "away");
    await using b = await gateway(own.url, "b", "away");
    await meet(a, b);
    let lost = 0;
    b.events.onLost((count) => {
      lost += count;
    });
    await own.kill();
    await eventually(() => expect([a.link.isReady, b.link.isReady]).toEqual([false, false]));
    a.events.publish("cluster", "topic", "alone");
    await eventually(() => expect(others(a.seen)).toEqual(["alone"]));
    expect(a.bridge.counts.alone).toBeGreaterThan(0);
    await own.start();
    await meet(a, b);
    a.events.publish("cluster", "topic", "together");
    await eventually(() => expect(others(b.seen)).toEqual(["together"]));
    await eventually(() => expect(others(a.seen)).toEqual(["alone", "together"]));
    await eventually(() => expect(lost).toBeGreaterThan(0));
  });

  test("a Redis that answers too late delivers nothing twice", { timeout: 60_000 }, async () => {
    await using own = await RedisServer.start();
    const config = { url: own.url, commandTimeoutMs: 200 };
    await using a = await gateway(config, "a", "slow");
    await using b = await gateway(config, "b", "slow");
    await meet(a, b);
    own.pause();
    for (let n = 0; n < 5; n++) a.events.publish("cluster", "topic", `${n}`);
    await eventually(() => expect(a.seen).toHaveLength(5));
    own.resume();
    await meet(a, b);
    await sleep(50);
    expect(others(a.seen).sort()).toEqual(["0", "1", "2", "3", "4"]);
    expect(new Set(b.seen).size).toBe(b.seen.length);
  });

  test("a stream that begins anew, by a clock that is behind the old one, is read from its beginning", async () => {
    await using a = await gateway(server.url, "a", "anew");
    await using b = await gateway(server.url, "b", "anew");
    await meet(a, b);
    const ahead = { topic: "topic", data: '"ahead"', from: 1, gateway: "c", serial: 1 };
    await server.cli("XADD", "restyconf:anew", "9999999999999-0", "event", JSON.stringify(ahead));
    await eventually(() => expect([others(a.seen), others(b.seen)]).toEqual([["ahead"], ["ahead"]]));
    await server.cli("DEL", "restyconf:anew");
    a.events.publish("cluster", "topic", "on");
    await eventually(() =>
      expect([others(a.seen), others(b.seen)]).toEqual([
        ["ahead", "on"],
        ["ahead", "on"],
      ]),
    );
  });

  test("a stream that was emptied goes on", async () => {
    await using a = await gateway(server.url, "a", "emptied");
    await using b = await gateway(server.url, "b", "emptied");
    await meet(a, b);
    await server.cli("FLUSHALL");
    a.events.publish("cluster", "topic", "on");
    await eventually(() => expect([others(a.seen), others(b.seen)]).toEqual([["on"], ["on"]]));
  });
});

test("events pass through a Cluster of three", { timeout: 120_000 }, async () => {
  const nodes = await redisCluster();
  try {
    const config = { cluster: nodes.map(({ port }) => `127.0.0.1:${port}`) };
    await using a = await gateway(config, "a", "events");
    await using b = await gateway(config, "b", "events");
    await meet(a, b);
    a.events.publish("cluster", "topic", "hi");
    await eventually(() => expect([others(a.seen), others(b.seen)]).toEqual([["hi"], ["hi"]]));
  } finally {
    for (const node of nodes) await node[Symbol.asyncDispose]();
  }
});
