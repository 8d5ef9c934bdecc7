import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test, vi } from "vitest";
import { type Events, WorkerEvents } from "../../../src/shared/events/events.ts";
import { localTransport } from "../../../src/shared/events/local-transport.ts";
import type { EventDelivery, EventMessage } from "../../../src/shared/events/message.ts";
import { EventRelay } from "../../../src/shared/events/relay.ts";
import { UniqueKeys } from "../../../src/shared/events/unique-keys.ts";
import { eventsLaws } from "../../laws/events-laws.ts";
import { processes } from "../processes.ts";
import type { EventsTask } from "./events-process.ts";

/** Handlers that fail are part of the laws. */
const onTrouble = (): void => {};

function worker(relay: EventRelay, number: number): Events {
  return new WorkerEvents({ transport: localTransport(relay, number), number, onTrouble });
}

eventsLaws("in one process", (count) => {
  const relay = new EventRelay();
  return Array.from({ length: count }, (_, number) => worker(relay, number));
});

eventsLaws("through channels that copy, and take their time", (count) => {
  const relay = new EventRelay();
  return Array.from({ length: count }, (_, number) => {
    let listener: (delivery: EventDelivery) => void = () => {};
    const later = <Message>(message: Message, take: (copy: Message) => void, done: () => void): void => {
      const copy = structuredClone(message);
      setImmediate(() => {
        take(copy);
        done();
      });
    };
    const member = relay.join(number, { send: (delivery, done) => later(delivery, (copy) => listener(copy), done) });
    const transport = {
      send: (messages: readonly EventMessage[], done: () => void) => later(messages, member.receive, done),
      onMessage: (next: typeof listener) => {
        listener = next;
      },
    };
    return new WorkerEvents({ transport, number, onTrouble });
  });
});

test("who throws when told of losses keeps neither others from being told, nor the events behind from coming", async () => {
  let deliver: (delivery: EventDelivery) => void = () => {};
  const transport = {
    send: () => {},
    onMessage: (listener: typeof deliver) => {
      deliver = listener;
    },
  };
  const troubles: unknown[] = [];
  const events = new WorkerEvents({ transport, number: 0, onTrouble: (topic, cause) => troubles.push([topic, cause]) });
  const told: unknown[] = [];
  const away = new Error("the database is away");
  events.onLost(() => {
    throw away;
  });
  const rejecting: () => unknown = () => Promise.reject(away);
  events.onLost(rejecting);
  events.onLost((lost) => told.push(lost));
  events.subscribe("topic", (data) => told.push(data));
  deliver({ events: [{ topic: "topic", data: '"behind"', from: 1 }], lost: 3 });
  await sleep(0);
  expect(told).toEqual([3, "behind"]);
  expect(troubles).toEqual([
    ["lost", away],
    ["lost", away],
  ]);
  expect(events.counts()).toMatchObject({ lost: 3, delivered: 1, failed: 2 });
});

describe("topics that nobody listens to any more", () => {
  const TOPICS = 50_000;
  /** Of each topic; a map's entry with a set in it takes some 240. */
  const ALLOWED_BYTES = 100;

  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const used = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };

  test.each<[string, (events: Events, topic: string) => void]>([
    ["by leaving", (events, topic) => events.subscribe(topic, () => {})()],
    [
      "by a signal",
      (events, topic) => {
        const session = new AbortController();
        events.subscribe(topic, () => {}, { signal: session.signal });
        session.abort();
      },
    ],
    [
      "by a signal that was over",
      (events, topic) => void events.subscribe(topic, () => {}, { signal: AbortSignal.abort() }),
    ],
  ])("are forgotten: %s", (_, visit) => {
    const events = worker(new EventRelay(), 0);
    const before = used();
    for (let number = 0; number < TOPICS; number++) visit(events, `session:${number}`);
    expect((used() - before) / TOPICS).toBeLessThan(ALLOWED_BYTES);
    expect(events.counts().published).toBe(0); // it is still there
  });

  test("one that was left twice is heard by who has come since", async () => {
    const events = worker(new EventRelay(), 0);
    const leave = events.subscribe("topic", () => {});
    leave();
    const seen: unknown[] = [];
    events.subscribe("topic", (data) => seen.push(data));
    leave();
    events.publish("current", "topic", "here");
    await sleep(0);
    expect(seen).toEqual(["here"]);
  });
});

describe("the relay", () => {
  /** A worker that takes nothing until it is told to. */
  function stuck(relay: EventRelay, number: number) {
    const deliveries: EventDelivery[] = [];
    const done: (() => void)[] = [];
    const send = (delivery: EventDelivery, taken: () => void): void => {
      deliveries.push(delivery);
      done.push(taken);
    };
    const member = relay.join(number, { send });
    const wake = (): void => {
      for (const taken of done.splice(0)) taken();
    };
    return { member, deliveries, wake };
  }

  test("keeps so much for a worker that hangs, loses the rest, and tells it when it is back; others lose nothing", async () => {
    const relay = new EventRelay();
    const hung = stuck(relay, 1);
    const events = worker(relay, 0);
    let seen = 0;
    events.subscribe("topic", () => seen++);
    for (let n = 0; n < 12_000; n++) {
      events.publish("all", "topic", n);
      if (n % 1_000 === 999) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(seen).toBe(12_000);
    expect(hung.deliveries.flatMap((delivery) => delivery.events)).toHaveLength(10_240);
    expect(relay.lost).toBe(1_760);
    hung.wake();
    expect(hung.deliveries.at(-1)).toEqual({ events: [], lost: 1_760 });
  });

  test("keeps no more than 16 MiB for a worker that hangs", async () => {
    const relay = new EventRelay();
    const hung = stuck(relay, 1);
    const events = worker(relay, 0);
    for (let n = 0; n < 300; n++) {
      events.publish("others", "topic", "x".repeat(65_000));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const length = hung.deliveries
      .flatMap((delivery) => delivery.events)
      .reduce((sum, { data }) => sum + data.length, 0);
    expect(length).toBeGreaterThan(16_000_000);
    expect(length).toBeLessThanOrEqual(16 * 1024 ** 2);
    expect(relay.lost).toBeGreaterThan(0);
  });

  test("tells a worker how many events it has lost, once each", () => {
    let listener: (delivery: EventDelivery) => void = () => {};
    const transport = {
      send: () => {},
      onMessage: (next: typeof listener) => {
        listener = next;
      },
    };
    const events = new WorkerEvents({ transport, number: 0 });
    const losses: number[] = [];
    const leave = events.onLost((lost) => losses.push(lost));
    for (const lost of [0, 2, 2, 5]) listener({ events: [], lost });
    leave();
    listener({ events: [], lost: 9 });
    expect(losses).toEqual([2, 3]);
    expect(events.counts().lost).toBe(9);
  });

  test("has both the old and the new process of a worker hear of everything, and only the new one of what is for one", async () => {
    const relay = new EventRelay();
    const [old, young] = [stuck(relay, 1), stuck(relay, 1)];
    const events = worker(relay, 0);
    events.publish("others", "for both");
    events.publish({ worker: 1 }, "for one");
    await new Promise((resolve) => setImmediate(resolve));
    old.member.leave();
    events.publish("others", "after");
    await new Promise((resolve) => setImmediate(resolve));
    const topics = ({ deliveries }: { deliveries: EventDelivery[] }): string[] =>
      deliveries.flatMap((delivery) => delivery.events.map(({ topic }) => topic));
    expect(topics(old)).toEqual(["for both"]);
    expect(topics(young)).toEqual(["for both", "for one", "after"]);
  });

  test("gives each worker's keys to the others when it leaves, and moves no other key", async () => {
    const relay = new EventRelay();
    const owners = new Map<string, number>();
    const events = worker(relay, 0);
    const members = [1, 2, 3].map((number) => {
      const send = (delivery: EventDelivery): void => {
        for (const { data } of delivery.events) owners.set(data, number);
      };
      return relay.join(number, { send });
    });
    const place = async (): Promise<ReadonlyMap<string, number>> => {
      owners.clear();
      for (let key = 0; key < 100; key++) events.publish({ hash: `${key}` }, "topic", key);
      await new Promise((resolve) => setImmediate(resolve));
      return new Map(owners);
    };
    const before = await place();
    members[2]?.leave();
    const after = await place();
    for (const [key, owner] of before) if (owner !== 3) expect(after.get(key)).toBe(owner);
    expect([...before.values()]).toContain(3);
    expect([...after.values()]).not.toContain(3);
  });

  test("forgets unique events after their time, and the oldest when there are too many", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const keys = new UniqueKeys(30);
      expect([keys.add("a"), keys.add("a")]).toEqual([true, false]);
      vi.advanceTimersByTime(29);
      expect(keys.add("a")).toBe(false);
      vi.advanceTimersByTime(1);
      expect(keys.add("a")).toBe(true);
    } finally {
      vi.useRealTimers();
    }
    const many = new UniqueKeys(60_000);
    for (let n = 0; n <= 65_536; n++) many.add(`${n}`);
    expect([many.add("65536"), many.add("0")]).toEqual([false, true]);
  });
});

describe("between processes", () => {
  const ROUNDS = process.env["RESTYCONF_LONG"] ? 100_000 : 5_000;
  const WORKERS = 3;
  const { start } = processes("events/events-process.ts");

  test("all workers see all events of all workers in the same order, and the sums are exact", {
    timeout: 120_000,
  }, async () => {
    const relay = new EventRelay();
    const children = Array.from({ length: WORKERS }, (_, number) =>
      start({ number, rounds: ROUNDS, workers: WORKERS } satisfies EventsTask),
    );
    const results = await Promise.all(
      children.map(async (child, number) => {
        await once(child, "message");
        return { result: join(relay, child, number) };
      }),
    );
    worker(relay, WORKERS).publish("all", "here", 0);
    const [first, ...others] = await Promise.all(results.map(({ result }) => result));
    expect(first).toMatchObject({ sum: (WORKERS * ROUNDS * (ROUNDS - 1)) / 2, lost: 0 });
    for (const other of others) expect(other).toEqual(first);
  });

  /** What the master does for a worker. Resolves with what the worker has to say at its end. */
  function join(relay: EventRelay, child: ChildProcess, number: number): Promise<unknown> {
    const member = relay.join(number, { send: (delivery, done) => child.send(delivery, () => done()) });
    child.once("exit", () => member.leave());
    return new Promise((resolve) => {
      child.on("message", (message) => {
        if (Array.isArray(message)) member.receive(message as EventMessage[]);
        else resolve(message);
      });
    });
  }
});
