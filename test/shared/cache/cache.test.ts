import { once } from "node:events";
import { setImmediate as afterOthers, setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test, vi } from "vitest";
import { type Cache, type CacheCallback, cache } from "../../../src/shared/cache/cache.ts";
import type { CacheOptions } from "../../../src/shared/cache/cache-options.ts";
import { attachDicts, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { WorkerEvents } from "../../../src/shared/events/events.ts";
import { localTransport } from "../../../src/shared/events/local-transport.ts";
import { EventRelay } from "../../../src/shared/events/relay.ts";
import { lock } from "../../../src/shared/lock/lock.ts";
import { eventually } from "../../support/eventually.ts";
import { ended, processes } from "../processes.ts";
import type { CacheTask } from "./cache-process.ts";

afterEach(() => void vi.useRealTimers());

type Options = Partial<CacheOptions<unknown, unknown>>;

function dictOf(dicts: Readonly<Record<string, SharedDict>>, name = "dict"): SharedDict {
  const dict = dicts[name];
  if (dict === undefined) throw new Error("it was opened above");
  return dict;
}

/** The same cache in two workers, as two views of one memory. */
function rig(options: Options = {}, size = "1m") {
  const opened = openDicts({ dict: size }, { isShared: true });
  const dicts = [dictOf(opened.dicts), dictOf(attachDicts(opened.handles).dicts)] as const;
  const relay = new EventRelay();
  const events = [0, 1].map((number) => new WorkerEvents({ transport: localTransport(relay, number), number }));
  const open = (worker: 0 | 1): Cache<unknown> => {
    return cache<unknown>("values", { dict: dicts[worker], events: events[worker], ...options });
  };
  return { here: open(0), there: open(1), dict: dicts[0] };
}

/** A callback that counts its calls. */
function counting<Value>(fetch: CacheCallback<Value>): CacheCallback<Value> & { calls: number } {
  const counted = Object.assign(
    (call: Parameters<CacheCallback<Value>>[0]) => {
      counted.calls++;
      return fetch(call);
    },
    { calls: 0 },
  );
  return counted;
}

function stopClock(): { pass(ms: number): void } {
  vi.useFakeTimers({ toFake: ["performance"] });
  return { pass: (ms) => void vi.advanceTimersByTime(ms) };
}

describe("a cache", () => {
  test("asks the callback once, then the worker's own memory; other workers find it in the dictionary", async () => {
    const { here, there } = rig();
    const fetch = counting(({ key }) => `value of ${key}`);
    expect(await here.get("a", fetch)).toEqual({ value: "value of a", hitLevel: 3 });
    expect(await here.get("a", fetch)).toEqual({ value: "value of a", hitLevel: 1 });
    expect(await there.get("a", fetch)).toEqual({ value: "value of a", hitLevel: 2 });
    expect(await there.get("a", fetch)).toEqual({ value: "value of a", hitLevel: 1 });
    expect(fetch.calls).toBe(1);
    expect(here.counts()).toMatchObject({ l1: 1, callback: 1 });
    expect(there.counts()).toMatchObject({ l1: 1, l2: 1, callback: 0 });
  });

  test.each([
    ["false", false],
    ["zero", 0],
    ["an empty text", ""],
    ["bytes", new Uint8Array([1, 2, 3])],
    ["an object", { deep: [{ map: new Map([["a", 1n]]) }], at: new Date(0) }],
  ])("keeps %s as it is", async (_name, value) => {
    const { here, there } = rig();
    expect(await here.get("a", () => value)).toEqual({ value, hitLevel: 3 });
    expect(await there.get("a")).toEqual({ value, hitLevel: 2 });
  });

  test.each([[undefined], [null]])("remembers that there is no value (%s)", async (none) => {
    const { here, there } = rig();
    expect(await here.get("a")).toEqual({ value: undefined, hitLevel: -1 });
    expect(await here.get("a", () => none)).toEqual({ value: undefined, hitLevel: 3 });
    expect(await here.get("a", () => 1)).toEqual({ value: undefined, hitLevel: 1 });
    expect(await there.get("a", () => 1)).toEqual({ value: undefined, hitLevel: 2 });
    expect(here.counts()).toMatchObject({ miss: 1, callback: 1 });
  });

  test("refuses values that have no bytes", async () => {
    const { here } = rig();
    expect(await here.get("a", () => () => 1)).toMatchObject({ err: "cannot cache value of type function" });
    expect((await here.get("a", () => ({ deep: () => 1 }))).err).toMatch(/^cannot cache value: /);
    expect(() => here.set("a", Symbol("a"))).toThrow("cannot cache value of type symbol");
  });

  test("has one callback at a time for all sessions of all workers", async () => {
    const { here, there } = rig();
    const fetch = counting(async () => {
      await sleep(20);
      return "value";
    });
    const asks = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? here : there).get("a", fetch));
    const answers = await Promise.all(asks);
    expect(fetch.calls).toBe(1);
    expect(answers.map(({ value }) => value)).toEqual(Array.from({ length: 40 }, () => "value"));
    expect(answers.filter(({ hitLevel }) => hitLevel === 3)).toHaveLength(1);
  });

  test("makes of a value what the worker wants, once for each worker", async () => {
    let made = 0;
    const l1Serializer = (stored: unknown): unknown => {
      made++;
      return new RegExp(String(stored));
    };
    const { here, there } = rig({ l1Serializer });
    expect((await here.get("a", () => "^x")).value).toEqual(/^x/);
    expect((await here.get("a")).value).toEqual(/^x/);
    expect((await there.get("a")).value).toEqual(/^x/);
    expect(made).toBe(2);
    expect(here.peek("a")?.value).toBe("^x");
  });

  test("says so when nothing is made of a value", async () => {
    const { here } = rig({ l1Serializer: () => undefined });
    expect(await here.get("a", () => 1)).toMatchObject({ err: "l1_serializer returned a nil value" });
  });

  test("drops what was not used for longest in the worker, and still finds it in the dictionary", async () => {
    const { here } = rig({ lruSize: 2 });
    for (const key of ["a", "b", "c"]) await here.get(key, () => key);
    expect(await here.get("a")).toEqual({ value: "a", hitLevel: 2 });
    expect(await here.get("c")).toEqual({ value: "c", hitLevel: 1 });
  });

  test("is one for all who open it by its name", async () => {
    const { here, dict } = rig();
    await here.get("a", () => 1);
    expect(await cache("values", { dict }).get("a")).toEqual({ value: 1, hitLevel: 1 });
    expect(await cache("values", { dict, lruSize: 7 }).get("a")).toEqual({ value: 1, hitLevel: 2 });
    expect(await cache("others", { dict }).get("a")).toEqual({ value: undefined, hitLevel: -1 });
  });

  test("works without room in the dictionary, for each worker by itself", async () => {
    const { here, there } = rig({}, "8k");
    const value = "x".repeat(20_000);
    expect(await here.get("a", () => value)).toEqual({ value, hitLevel: 3 });
    expect(await here.get("a")).toEqual({ value, hitLevel: 1 });
    expect(await there.get("a")).toEqual({ value: undefined, hitLevel: -1 });
    expect(here.counts().unstored).toBe(1);
    expect(here.set("a", value)).toEqual({ err: "no memory" });
  });

  test("keeps what is missing apart, where it has a dictionary for that", async () => {
    const { dicts } = openDicts({ dict: "1m", misses: "1m" });
    const missDict = dictOf(dicts, "misses");
    const made = cache<string>("values", { dict: dictOf(dicts), missDict, events: rigEvents() });
    await made.get("a", () => undefined);
    expect(missDict.keys()).toHaveLength(1);
    made.set("a", "value");
    expect(missDict.keys()).toHaveLength(0);
    expect(await made.get("a")).toEqual({ value: "value", hitLevel: 2 });
    made.set("a", undefined);
    expect(await made.get("a")).toEqual({ value: undefined, hitLevel: 2 });
    expect(missDict.keys()).toHaveLength(1);
  });
});

function rigEvents(): WorkerEvents {
  return new WorkerEvents({ transport: localTransport(new EventRelay(), 0), number: 0 });
}

describe("the times of a cache", () => {
  test("a value ends in all levels at the same time", async () => {
    const clock = stopClock();
    const { here, there } = rig({ ttlMs: 100 });
    await here.get("a", () => 1);
    clock.pass(60);
    expect((await there.get("a")).hitLevel).toBe(2);
    clock.pass(39);
    expect((await there.get("a")).hitLevel).toBe(1);
    clock.pass(1);
    expect(await there.get("a")).toEqual({ value: undefined, hitLevel: -1 });
    expect(await here.get("a", () => 2)).toEqual({ value: 2, hitLevel: 3 });
  });

  test("what is missing has a time of its own, and 0 is for ever", async () => {
    const clock = stopClock();
    const { here } = rig({ ttlMs: 0, negTtlMs: 50 });
    await here.get("value", () => 1);
    await here.get("none", () => undefined);
    clock.pass(50);
    expect(await here.get("none", () => 1)).toEqual({ value: 1, hitLevel: 3 });
    clock.pass(10_000_000);
    expect((await here.get("value")).hitLevel).toBe(1);
  });

  test("one get may choose, and the callback knows best", async () => {
    const clock = stopClock();
    const { here } = rig();
    await here.get("get", () => 1, { ttlMs: 10 });
    await here.get("call", ({ keepFor }) => void keepFor(10), { negTtlMs: 0 });
    clock.pass(10);
    expect((await here.get("get")).hitLevel).toBe(-1);
    expect((await here.get("call")).hitLevel).toBe(-1);
  });

  test("what the callback wants to be kept not at all is an answer for who waits, and gone then", async () => {
    const { here } = rig();
    const fetch = counting(({ keepFor }) => {
      keepFor(-1);
      return "once";
    });
    const both = await Promise.all([here.get("a", fetch), here.get("a", fetch)]);
    expect(both).toEqual([
      { value: "once", hitLevel: 3 },
      { value: "once", hitLevel: 2 },
    ]);
    expect(await here.get("a", fetch)).toEqual({ value: "once", hitLevel: 3 });
    expect(fetch.calls).toBe(2);
  });

  test("an old value is handed out while a new one is fetched, once", async () => {
    const clock = stopClock();
    const { here, there, dict } = rig({ ttlMs: 100, staleTtlMs: 50 });
    await here.get("a", () => "old");
    clock.pass(120);
    const fetch = counting(async () => {
      await sleep(5);
      return "new";
    });
    expect(await here.get("a", fetch)).toEqual({ value: "old", hitLevel: 4 });
    expect(await here.get("a", fetch)).toEqual({ value: "old", hitLevel: 4 });
    expect(await there.get("a", fetch)).toEqual({ value: "old", hitLevel: 4 });
    await eventually(() => expect(dict.keys().filter((key) => key.startsWith("lock:"))).toEqual([])); // both have done
    expect(await here.get("a", fetch)).toEqual({ value: "new", hitLevel: 1 });
    expect((await there.get("a", fetch)).value).toBe("new");
    expect(fetch.calls).toBe(1);
    clock.pass(150);
    expect(await here.get("a", () => "newest")).toEqual({ value: "newest", hitLevel: 3 });
  });

  test("peek tells how long a value is good, or was, and keeps nothing", async () => {
    const clock = stopClock();
    const { here, there } = rig({ ttlMs: 100 });
    expect(here.peek("a")).toBeUndefined();
    await here.get("a", () => 1);
    clock.pass(40);
    expect(there.peek("a")).toEqual({ value: 1, ttlMs: 60 });
    clock.pass(100);
    expect(there.peek("a")).toBeUndefined();
    expect(there.peek("a", { stale: true })).toEqual({ value: 1, ttlMs: -40 });
    expect((await there.get("a")).hitLevel).toBe(-1);
  });
});

describe("a callback that fails", () => {
  const fail = (): never => {
    throw new Error("database is away");
  };

  test("is the answer, and nothing is kept", async () => {
    const { here } = rig();
    const answer = await here.get("a", fail);
    expect(answer).toMatchObject({ err: "database is away", cause: new Error("database is away") });
    expect(await here.get("a", async () => fail())).toMatchObject({ err: "database is away" });
    expect(await here.get("a", () => 1)).toEqual({ value: 1, hitLevel: 3 });
    expect(here.counts()).toMatchObject({ callback: 3, failed: 2 });
  });

  test("brings the old value back where one asks for that, for as long as one says", async () => {
    const clock = stopClock();
    const { here, there } = rig({ ttlMs: 100, resurrectTtlMs: 50 });
    await here.get("a", () => "old");
    clock.pass(200);
    expect(await here.get("a", fail)).toEqual({ value: "old", hitLevel: 4 });
    expect(await here.get("a", fail)).toEqual({ value: "old", hitLevel: 1 });
    expect(await there.get("a", fail)).toEqual({ value: "old", hitLevel: 2 });
    clock.pass(50);
    expect(await there.get("a", () => "new")).toEqual({ value: "new", hitLevel: 3 });
    expect(await there.get("never", fail)).toMatchObject({ err: "database is away" });
  });

  test("does not keep the next one from being called", async () => {
    const { here, there } = rig();
    const asks = [here.get("a", fail), there.get("a", () => "fine")];
    expect(await Promise.all(asks)).toMatchObject([{ err: "database is away" }, { value: "fine", hitLevel: 3 }]);
  });

  test("or whose lock is not had in time is told so, or gets the old value", async () => {
    const clock = stopClock();
    const { here, dict } = rig({ ttlMs: 100, lock: { timeoutMs: 20 } });
    await here.get("a", () => "old");
    clock.pass(200);
    vi.useRealTimers();
    await using _lease = await lock(dict, "cache:values:a");
    expect(await here.get("a", () => "new")).toMatchObject({ err: "could not acquire callback lock: timeout" });
    expect(await here.get("a", () => "new", { resurrectTtlMs: 1_000 })).toEqual({ value: "old", hitLevel: 4 });
  });
});

describe("a callback that hangs", () => {
  const never = (): Promise<string> => new Promise(() => {});

  test("keeps other sessions of its worker waiting no longer than others wait for its lock", async () => {
    const { here, there } = rig({ lock: { timeoutMs: 100, exptimeMs: 60_000 } });
    void here.get("a", never);
    const begun = performance.now();
    const asked = [here, here, there].map((each) => each.get("a", () => "mine"));
    for (const answer of await Promise.all(asked)) {
      expect(answer).toMatchObject({ err: "could not acquire callback lock: timeout" });
    }
    expect(performance.now() - begun).toBeLessThan(10_000); // the lock is for a minute
    expect(await here.get("a", () => "mine", { staleTtlMs: 1 })).toMatchObject({ err: expect.any(String) });
  });

  test("lets the next one be called when the time of its lock is over: by who waits, and by who comes then", async () => {
    const { here, there } = rig({ lock: { timeoutMs: 5_000, exptimeMs: 100 } });
    void here.get("a", never);
    const fetch = counting(() => "fresh");
    const waiting = await Promise.all([here.get("a", fetch), here.get("a", fetch), there.get("a", fetch)]);
    expect(waiting.map(({ value }) => value)).toEqual(["fresh", "fresh", "fresh"]);
    expect(fetch.calls).toBe(1);
    expect((await here.get("a", fetch)).hitLevel).toBe(1);
  });

  test("and comes back late does not undo what was fetched meanwhile", async () => {
    const { here } = rig({ lock: { timeoutMs: 5_000, exptimeMs: 50 } });
    let go = (_value: string): void => {};
    const slow = here.get("a", () => new Promise<string>((resolve) => (go = resolve)));
    expect((await here.get("a", () => "fresh")).value).toBe("fresh");
    go("late");
    expect(await slow).toEqual({ value: "late", hitLevel: 3 });
    expect(await here.get("a")).toEqual({ value: "fresh", hitLevel: 1 });
    expect(here.peek("a")?.value).toBe("fresh");
  });

  test("gives way to the old value, where one asks for that", async () => {
    const { here } = rig({ ttlMs: 20, lock: { timeoutMs: 50, exptimeMs: 60_000 } });
    await here.get("a", () => "old");
    await sleep(30);
    void here.get("a", never);
    expect(await here.get("a", never, { resurrectTtlMs: 1_000 })).toEqual({ value: "old", hitLevel: 4 });
  });
});

describe("with a dictionary for what is missing, a callback that runs meanwhile does not undo", () => {
  /** A cache in two workers, one of which is in its callback. */
  async function fetching(brings: string | undefined, before?: (made: Cache<string>) => unknown) {
    const opened = openDicts({ dict: "1m", misses: "1m" }, { isShared: true });
    const attached = attachDicts(opened.handles);
    const relay = new EventRelay();
    const [here, there] = [opened.dicts, attached.dicts].map((dicts, number) => {
      const events = new WorkerEvents({ transport: localTransport(relay, number), number });
      return cache<string>("values", {
        dict: dictOf(dicts),
        missDict: dictOf(dicts, "misses"),
        events,
        ttlMs: 40,
        negTtlMs: 60_000,
        staleTtlMs: 60_000,
      });
    });
    if (!here || !there) throw new Error("there are two");
    await before?.(here);
    let end = (): void => {};
    const released = new Promise<void>((go) => {
      end = go;
    });
    const begun = new Promise<void>((begin) => {
      const fetch = async (): Promise<string | undefined> => {
        begin();
        await released;
        return brings;
      };
      void here.get("k", fetch, { ttlMs: 60_000 });
    });
    await begun;
    const finish = async (): Promise<void> => {
      end();
      await afterOthers();
    };
    return { here, there, finish, misses: dictOf(opened.dicts, "misses") };
  }

  const aged = async (made: Cache<string>): Promise<void> => {
    await made.get("k", () => "very old");
    await sleep(50);
  };

  test.each<[string, string | undefined, string | undefined]>([
    ["a value, by one that brings nothing", undefined, "new"],
    ["that there is none, by one that brings a value", "old", undefined],
    ["a value, by one that brings another", "old", "new"],
  ])("set of %s", async (_name, brings, set) => {
    for (const before of [undefined, aged]) {
      const { there, here, finish, misses } = await fetching(brings, before);
      expect(there.set("k", set, { ttlMs: 60_000 })).toEqual({ ok: true });
      await finish();
      expect([there.peek("k")?.value, here.peek("k")?.value]).toEqual([set, set]);
      expect(there.peek("k")).toBeDefined();
      expect(misses.keys()).toHaveLength(set === undefined ? 1 : 0);
    }
  });

  test.each([["old"], [undefined]])("delete, by one that brings %s", async (brings) => {
    for (const before of [undefined, aged]) {
      const { there, finish } = await fetching(brings, before);
      expect(there.delete("k")).toEqual({ ok: true });
      await finish();
      expect(there.peek("k")).toBeUndefined();
      expect(await there.get("k", () => "fresh")).toEqual({ value: "fresh", hitLevel: 3 });
    }
  });

  test("nothing, where nobody has changed anything: what it brings is there, and only once", async () => {
    for (const before of [undefined, aged]) {
      const none = await fetching(undefined, before);
      await none.finish();
      expect([none.there.peek("k")?.value, none.there.peek("k")?.ttlMs, none.misses.keys().length]).toEqual([
        undefined,
        expect.any(Number),
        1,
      ]);
      const some = await fetching("value", before);
      await some.finish();
      expect([some.there.peek("k")?.value, some.misses.keys().length]).toEqual(["value", 0]);
    }
  });
});

describe("another configuration of a cache", () => {
  test("with other code for its values has none of the old code's, and the dictionary's are kept", async () => {
    const { dict } = rig();
    const before = cache<number, string>("t", { dict, l1Serializer: (stored) => `old code ${stored}` });
    expect((await before.get("a", () => 1)).value).toBe("old code 1");
    const after = cache<number, string>("t", { dict, l1Serializer: (stored) => `new code ${stored}` });
    expect(await after.get("a")).toEqual({ value: "new code 1", hitLevel: 2 });
    expect(await after.get("a")).toEqual({ value: "new code 1", hitLevel: 1 });
    expect(await before.get("a")).toEqual({ value: "old code 1", hitLevel: 2 });
  });

  test("ends what the one before it has subscribed to, which keeps nothing from then on", async () => {
    const { dict } = rig();
    const relay = new EventRelay();
    const inner = new WorkerEvents({ transport: localTransport(relay, 0), number: 0 });
    let open = 0;
    const counted = (end: () => void): (() => void) => {
      open++;
      return () => {
        open--;
        end();
      };
    };
    const events: CacheOptions<unknown, unknown>["events"] = {
      publish: (...words) => inner.publish(...words),
      subscribe: (...words) => counted(inner.subscribe(...words)),
      onLost: (listener) => counted(inner.onLost(listener)),
    };
    const made = [10, 20, 30, 40].map((lruSize) => cache<unknown>("t", { dict, events, lruSize }));
    expect(open).toBe(2);
    const [first, last] = [made.at(0), made.at(-1)];
    await first?.get("a", () => 1);
    expect((await first?.get("a"))?.hitLevel).toBe(2);
    await last?.get("a");
    expect((await last?.get("a"))?.hitLevel).toBe(1);
  });
});

describe("changes", () => {
  test("reach all workers at once: set, delete, purge", async () => {
    const { here, there } = rig();
    await here.get("a", () => "old");
    await there.get("a");
    expect(here.set("a", "new")).toEqual({ ok: true });
    await afterOthers();
    expect(await there.get("a")).toEqual({ value: "new", hitLevel: 2 });
    expect(there.delete("a")).toEqual({ ok: true });
    await afterOthers();
    expect(await here.get("a")).toEqual({ value: undefined, hitLevel: -1 });
    await here.get("a", () => "again");
    await there.get("a");
    expect(await here.purge()).toEqual({ ok: true });
    await afterOthers();
    expect(await there.get("a")).toEqual({ value: undefined, hitLevel: -1 });
    expect(await here.get("a")).toEqual({ value: undefined, hitLevel: -1 });
  });

  test("free the memory when all is forgotten, and nothing else in the dictionary goes", async () => {
    const { here, dict } = rig();
    dict.set("mine", 1);
    for (let n = 0; n < 3_000; n++) here.set(`${n}`, n, { ttlMs: 0 });
    expect(dict.keys(0).length).toBeGreaterThan(3_000);
    await here.purge();
    expect(dict.keys(0).filter((key) => !key.endsWith(":age"))).toEqual(["mine"]);
  });

  test.each<[string, (made: Cache<unknown>) => unknown]>([
    ["set", (made) => made.set("a", "newer")],
    ["delete", (made) => made.delete("a")],
    ["purge", (made) => made.purge()],
  ])("are not undone by a callback that ran meanwhile: %s", async (what, change) => {
    const { here, there } = rig();
    let go = (): void => {};
    let slow: ReturnType<typeof here.get> | undefined;
    await new Promise<void>((begun) => {
      slow = here.get("a", async () => {
        await new Promise<void>((resolve) => {
          go = resolve;
          begun();
        });
        return "too old";
      });
    });
    await change(there);
    await afterOthers();
    const next = here.get("a", () => "fresh");
    go();
    expect(await slow).toEqual({ value: "too old", hitLevel: 3 });
    const fresh = what === "set" ? "newer" : "fresh";
    expect((await next).value).toBe(fresh);
    expect((await here.get("a")).value).toBe(fresh);
    expect((await there.get("a")).value).toBe(fresh);
  });

  test("that a worker may have missed make it forget what it keeps", async () => {
    let lose = (): void => {};
    const cluster = {
      send: () => {},
      sendTo: () => {},
      onMessage: (_listener: unknown, onLost: () => void) => {
        lose = onLost;
      },
    };
    const relay = new EventRelay({ cluster });
    const events = new WorkerEvents({ transport: localTransport(relay, 0), number: 0 });
    const { here } = rig({ events });
    await here.get("a", () => 1);
    expect((await here.get("a")).hitLevel).toBe(1);
    lose();
    await afterOthers();
    expect((await here.get("a")).hitLevel).toBe(2);
  });

  test.each<[string, (made: Cache<unknown>) => unknown]>([
    ["set", (made) => made.set("a", 1)],
    ["delete", (made) => made.delete("a")],
    ["purge", (made) => made.purge()],
  ])("cannot be made without events: %s", async (what, change) => {
    const { dicts } = openDicts({ dict: "1m" });
    const made = cache<unknown>("values", { dict: dictOf(dicts) });
    await expect((async () => change(made))()).rejects.toThrow(
      new TypeError(`no events to propagate ${what}, specify options.events`),
    );
  });
});

test.each<[string, string, Options, string]>([
  ["a name", "", {}, "name must be a string"],
  ["a dictionary", "values", { dict: undefined as never }, "no such shared dictionary: options.dict is required"],
  ["times that are not negative", "values", { ttlMs: -1 }, "options.ttlMs must be >= 0"],
  ["at least one item", "values", { lruSize: 0 }, "options.lruSize must be >= 1"],
  ["at least one try", "values", { setTries: 0 }, "options.setTries must be >= 1"],
])("a cache wants %s", (_name, name, options, message) => {
  const { dicts } = openDicts({ dict: "1m" });
  expect(() => cache(name, { dict: dictOf(dicts), ...options })).toThrow(new TypeError(message));
});

describe("between processes", () => {
  const { start } = processes("cache/cache-process.ts");
  const ROUNDS = process.env["RESTYCONF_LONG"] ? 5_000 : 300;

  test("three of them never fetch the same key at once, and get every answer", { timeout: 120_000 }, async () => {
    const dicts = openDicts({ dict: "1m" }, { isShared: true });
    const dict = dictOf(dicts.dicts);
    const children = [1, 2, 3].map(() => start({ name: "ask", rounds: ROUNDS } satisfies CacheTask, dicts));
    expect(await Promise.all(children.map((child) => ended(child)))).toEqual([0, 0, 0]);
    expect(dict.get("answered")).toBe(3 * ROUNDS);
    expect([dict.get("two inside"), dict.get("wrong")]).toEqual([undefined, undefined]);
    expect(dict.get("fetched")).toBeLessThan(3 * ROUNDS);
  });

  test("one that is killed in its callback leaves the key to the next within a second", {
    timeout: 60_000,
  }, async () => {
    const dicts = openDicts({ dict: "1m" }, { isShared: true });
    const made = cache<string>("values", { dict: dictOf(dicts.dicts) });
    const child = start({ name: "hang", rounds: 0 } satisfies CacheTask, dicts);
    await once(child, "message");
    const asked = made.get("slow", () => "mine");
    const killedAt = performance.now();
    child.kill("SIGKILL");
    expect(await asked).toEqual({ value: "mine", hitLevel: 3 });
    expect(performance.now() - killedAt).toBeLessThan(10_000); // a second, and what a busy machine takes
  });
});
