import { describe, expect, test } from "vitest";
import type { EventFacts, Events } from "../../src/shared/events/events.ts";
import { eventually } from "../support/eventually.ts";

/** Workers 0, 1, … of one gateway. */
export type OpenWorkers = (count: number) => readonly Events[];

interface Seen {
  readonly worker: number;
  readonly data: unknown;
  readonly event: EventFacts;
}

/** What events between workers must obey, whatever carries them. */
export function eventsLaws(name: string, open: OpenWorkers): void {
  describe(`events ${name}`, () => {
    targetLaws(open);
    orderLaws(open);
    uniqueLaws(open);
    subscriberLaws(open);
    argumentLaws(open);
  });
}

/** Four workers, and all that their subscribers see. */
function rig(open: OpenWorkers): { workers: readonly Events[]; first: Events; seen: Seen[] } {
  const workers = open(4);
  const seen: Seen[] = [];
  for (const [worker, events] of workers.entries()) {
    events.subscribe("topic", (data, event) => seen.push({ worker, data, event }));
  }
  const [first] = workers;
  if (first === undefined) throw new Error("there are four");
  return { workers, first, seen };
}

/** Whoever has seen `data`, when all that was published before has come. */
async function whoSaw(workers: readonly Events[], seen: readonly Seen[], data: unknown): Promise<readonly number[]> {
  const ended = new Set<Events>();
  for (const events of workers) events.subscribe("end", () => ended.add(events));
  workers[0]?.publish("all", "end");
  await eventually(() => expect(ended.size).toBe(workers.length));
  return seen
    .filter((one) => JSON.stringify(one.data) === JSON.stringify(data))
    .map(({ worker }) => worker)
    .sort();
}

function targetLaws(open: OpenWorkers): void {
  test("for all come to all, their publisher included", async () => {
    const { workers, first, seen } = rig(open);
    expect(first.publish("all", "topic", { deep: [1, "two", null] })).toEqual({ ok: true });
    expect(await whoSaw(workers, seen, { deep: [1, "two", null] })).toEqual([0, 1, 2, 3]);
    expect(seen[0]?.event).toEqual({ topic: "topic", from: 0, gateway: undefined });
  });

  test("for a number at this gateway come to whoever has it: so an event is answered", async () => {
    const { workers, first, seen } = rig(open);
    workers[2]?.subscribe("question", (data, { gateway, from }) => {
      workers[2]?.publish({ gateway, worker: from }, "topic", `answer to ${data}`);
    });
    first.publish("all", "question", "why");
    await eventually(() => expect(seen.map(({ worker, data }) => [worker, data])).toEqual([[0, "answer to why"]]));
    expect(seen[0]?.event).toEqual({ topic: "topic", from: 2, gateway: undefined });
  });

  test("whose topic begins with ~ do not come to those who want every topic", async () => {
    const { workers, first, seen } = rig(open);
    for (const events of workers) events.subscribe("*", (_, { topic }) => expect(topic).not.toBe("~own"));
    workers[1]?.subscribe("~own", (data, event) => seen.push({ worker: 1, data, event }));
    first.publish("all", "~own", "a");
    expect(await whoSaw(workers, seen, "a")).toEqual([1]);
    for (const events of workers) expect(events.counts().failed).toBe(0);
  });

  test("for others come to all but their publisher", async () => {
    const { workers, first, seen } = rig(open);
    first.publish("others", "topic", 1);
    expect(await whoSaw(workers, seen, 1)).toEqual([1, 2, 3]);
  });

  test("for one come to one, and to each in turn", async () => {
    const { workers, first, seen } = rig(open);
    for (let n = 0; n < 8; n++) first.publish("one", "topic", "x");
    expect(await whoSaw(workers, seen, "x")).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
  });

  test("for a worker come to it alone, and to nobody when there is none", async () => {
    const { workers, first, seen } = rig(open);
    first.publish({ worker: 2 }, "topic", "two");
    first.publish({ worker: 9 }, "topic", "nine");
    expect(await whoSaw(workers, seen, "two")).toEqual([2]);
    expect(await whoSaw(workers, seen, "nine")).toEqual([]);
  });

  test("for the current worker come to it alone, as they are, and not before publish has returned", async () => {
    const { workers, first, seen } = rig(open);
    first.publish("current", "topic", "here");
    expect(seen).toEqual([]);
    expect(await whoSaw(workers, seen, "here")).toEqual([0]);
  });

  test("with the same hash come to the same worker, and all workers have some", async () => {
    const { workers, first, seen } = rig(open);
    for (let n = 0; n < 64; n++) first.publish({ hash: `key-${n % 32}` }, "topic", n % 32);
    await whoSaw(workers, seen, undefined);
    const owners = Array.from({ length: 32 }, (_, key) => {
      return new Set(seen.filter(({ data }) => data === key).map(({ worker }) => worker));
    });
    for (const owner of owners) expect(owner.size).toBe(1);
    expect(new Set(seen.map(({ worker }) => worker)).size).toBe(4);
    expect(seen).toHaveLength(64);
  });

  test("for the cluster come to all when there is no other gateway", async () => {
    const { workers, first, seen } = rig(open);
    first.publish("cluster", "topic", "hi");
    expect(await whoSaw(workers, seen, "hi")).toEqual([0, 1, 2, 3]);
  });
}

function orderLaws(open: OpenWorkers): void {
  test("come to all workers in the same order, each once, whoever publishes", async () => {
    const { workers, seen } = rig(open);
    for (let n = 0; n < 100; n++) {
      for (const [worker, events] of workers.entries()) events.publish("all", "topic", `${worker}:${n}`);
      if (n % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await eventually(() => expect(seen).toHaveLength(1_600));
    const orders = workers.map((_, worker) => seen.filter((one) => one.worker === worker).map(({ data }) => data));
    expect(new Set(orders[0]).size).toBe(400);
    for (const order of orders) expect(order).toEqual(orders[0]);
    for (const [worker] of workers.entries()) {
      const own = orders[0]?.filter((data) => String(data).startsWith(`${worker}:`));
      expect(own).toEqual(Array.from({ length: 100 }, (_, n) => `${worker}:${n}`));
    }
  });
}

function uniqueLaws(open: OpenWorkers): void {
  test("that are unique come to one worker, once, whoever publishes them", async () => {
    const { workers, seen } = rig(open);
    for (const events of workers) events.publish("all", "topic", "job", { unique: "nightly" });
    expect(await whoSaw(workers, seen, "job")).toHaveLength(1);
  });

  test("that are unique are told apart by topic and text", async () => {
    const { workers, first, seen } = rig(open);
    first.subscribe("other", () => {});
    for (const unique of ["a", "b", "a"]) first.publish("one", "topic", "job", { unique });
    first.publish("one", "other", "job", { unique: "a" });
    expect(await whoSaw(workers, seen, "job")).toHaveLength(2);
    expect(workers.reduce((sum, events) => sum + events.counts().delivered, 0)).toBe(3 + workers.length);
  });
}

function subscriberLaws(open: OpenWorkers): void {
  test("come to those who want all topics, and to nobody who has left", async () => {
    const { workers, first, seen } = rig(open);
    const topics: string[] = [];
    const leave = first.subscribe("*", (_data, { topic }) => topics.push(topic));
    const controller = new AbortController();
    first.subscribe("*", () => topics.push("aborted"), { signal: controller.signal });
    controller.abort();
    first.subscribe("*", () => topics.push("never"), { signal: controller.signal });
    first.publish("all", "topic", 1);
    await whoSaw(workers, seen, 1);
    leave();
    first.publish("all", "topic", 2);
    await whoSaw(workers, seen, 2);
    expect(topics).toEqual(["topic", "end"]);
  });

  test("may be without data, which is undefined then", async () => {
    const { workers, first, seen } = rig(open);
    first.publish("all", "topic");
    await whoSaw(workers, seen, undefined);
    expect(seen.map(({ data }) => data)).toEqual([undefined, undefined, undefined, undefined]);
  });

  test("come to all subscribers though one of them fails", async () => {
    const { workers, first, seen } = rig(open);
    first.subscribe("topic", () => {
      throw new Error("mine");
    });
    first.subscribe("topic", () => Promise.reject(new Error("mine, too")));
    first.publish("all", "topic", 1);
    expect(await whoSaw(workers, seen, 1)).toEqual([0, 1, 2, 3]);
    expect(first.counts().failed).toBe(2);
  });
}

function argumentLaws(open: OpenWorkers): void {
  test("that are too large, or too many at once, are refused", () => {
    const { first } = rig(open);
    expect(first.publish("all", "topic", "x".repeat(65_536))).toEqual({ err: "payload too large" });
    expect(first.publish("all", "topic", "x".repeat(65_500))).toEqual({ ok: true });
    const answers = Array.from({ length: 10_300 }, () => first.publish({ worker: 9 }, "topic", 1).err);
    expect(answers.filter((err) => err === "queue full")).toHaveLength(61);
    expect(first.counts().refused).toBe(62);
  });

  test.each([
    ["without a topic", ["all", ""], "event is required"],
    ["for nobody we know", ["everyone", "topic"], 'unknown target of an event: "everyone"'],
    ["for half a worker", [{ worker: 0.5 }, "topic"], 'unknown target of an event: {"worker":0.5}'],
    ["for a worker somewhere", [{ gateway: 1, worker: 0 }, "topic"], "unknown target of an event"],
    ["for a gateway's nobody", [{ gateway: "a" }, "topic"], "unknown target of an event"],
    ["of a function", ["all", "topic", () => 1], "an event's data is what JSON can say, got function"],
    ["of a bigint", ["all", "topic", 1n], "BigInt"],
    ["unique in a cluster", ["cluster", "topic", 1, { unique: "a" }], "an event cannot be unique in a cluster"],
  ])("%s throw a TypeError", (_name, args, message) => {
    const { first } = rig(open);
    const publish = first.publish.bind(first) as (...args: unknown[]) => unknown;
    expect(() => publish(...args)).toThrow(TypeError);
    expect(() => publish(...args)).toThrow(message);
  });

  test("want a function that handles them", () => {
    const { first } = rig(open);
    expect(() => first.subscribe("topic", "no function" as never)).toThrow(new TypeError("callback is required"));
  });
}
