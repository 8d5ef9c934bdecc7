import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RedisServer } from "../registry/redis-server.ts";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";

// Events from worker to worker, and from gateway to gateway, as hooks publish and hear them.

let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(() => redis[Symbol.asyncDispose]());

/** A client's line is the target and what is published one after the other, as JSON; all workers tell what they hear. */
function config(workers: number, shared = ""): string {
  return `import { content, defineGateway, otherwise } from "restyconf";
    export default defineGateway({
      workers: ${workers}, ${shared}
      phases: { initWorker: ({ events, number, signal }) => {
        events.subscribe("news", (data, { from, gateway }) => {
          console.error(JSON.stringify({ heard: data, by: number, from, isOther: gateway !== undefined }));
        }, { signal });
      } },
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(content(async (session) => {
        const { data } = await session.reader.receive();
        const [target, ...words] = JSON.parse(String(data));
        const published = words.map((what) => session.worker.events.publish(target, "news", what).ok);
        await session.end(published.every(Boolean) + " " + session.worker.number);
      }))] } },
    });`;
}

async function publish(gateway: Gateway, target: unknown, ...words: readonly string[]): Promise<number> {
  const [ok, number] = (await exchange(gateway.port(), `${JSON.stringify([target, ...words])}\n`)).split(" ");
  expect(ok).toBe("true");
  return Number(number);
}

function heard(gateway: Gateway, what: string, by: number): Promise<LogLine> {
  return gateway.line((line) => line["heard"] === what && line["by"] === by);
}

const hearing = (gateway: Gateway, what: string): unknown[] =>
  gateway.log.filter((line) => line["heard"] === what).map((line) => line["by"]);

describe("an event", () => {
  test("for all reaches every worker, in the same order everywhere", async () => {
    await using gateway = await Gateway.start(config(2));
    const pairs = Array.from({ length: 20 }, (_, at) => [`first ${at}`, `second ${at}`] as const);
    await Promise.all(
      pairs.map(async (pair) => {
        const from = await publish(gateway, "all", ...pair);
        for (const word of pair)
          for (const by of [0, 1]) expect(await heard(gateway, word, by)).toMatchObject({ from, isOther: false });
      }),
    );
    const order = (by: number): unknown[] =>
      gateway.log.filter((line) => line["by"] === by).map((line) => line["heard"]);
    expect(order(0)).toHaveLength(40);
    expect(order(1)).toEqual(order(0));
    for (const [first, second] of pairs) expect(order(0).indexOf(first)).toBeLessThan(order(0).indexOf(second));
  });

  test("for one worker, or for the others, reaches no one else", async () => {
    await using gateway = await Gateway.start(config(2));
    await publish(gateway, { worker: 1 }, "for 1");
    const from = await publish(gateway, "others", "for others");
    await heard(gateway, "for 1", 1);
    await heard(gateway, "for others", 1 - from);
    await publish(gateway, "all", "end");
    for (const by of [0, 1]) await heard(gateway, "end", by);
    expect(hearing(gateway, "for 1")).toEqual([1]);
    expect(hearing(gateway, "for others")).toEqual([1 - from]);
  });

  test("reaches a worker that has taken the place of one that died", async () => {
    await using gateway = await Gateway.start(config(2));
    gateway.process.kill("SIGUSR2");
    await gateway.line((line) => line["msg"] === "replacement done");
    await publish(gateway, "all", "to the new");
    for (const by of [0, 1]) await heard(gateway, "to the new", by);
  });

  test("for the cluster reaches every worker of every gateway", async () => {
    const shared = `redis: "redis://127.0.0.1:${redis.port}",`;
    await using one = await Gateway.start(config(1, shared));
    await using other = await Gateway.start(config(2, shared));
    await eventually(async () => {
      await publish(one, "cluster", "first");
      expect(hearing(other, "first")).not.toEqual([]);
    }); // a gateway that has just begun hears from its first look on
    await publish(one, "cluster", "hello");
    expect(await heard(one, "hello", 0)).toMatchObject({ isOther: false });
    for (const by of [0, 1]) expect(await heard(other, "hello", by)).toMatchObject({ isOther: true });
  });
});
