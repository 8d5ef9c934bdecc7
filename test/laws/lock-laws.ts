import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import type { SharedDict } from "../../src/shared/dict/shared-dict.ts";
import { type Lease, lock } from "../../src/shared/lock/lock.ts";

/** Opens an empty dictionary; two of them are the same one, seen twice. */
export type OpenTwice = () => readonly [SharedDict, SharedDict];

/** What every lock must obey, whatever dictionary it stands in: seen from one place, and from two as if from two workers. */
export function lockLaws(name: string, open: OpenTwice): void {
  describe(`a lock in ${name}`, () => {
    takingLaws(open);
    orderLaws(open);
    timeLaws(open);
    signalLaws(open);
    argumentLaws(open);
  });
}

const TIMEOUT = { code: "RC_LOCK_TIMEOUT" };

function takingLaws(open: OpenTwice): void {
  test("is had at once when it is free, and tells so", async () => {
    const [dict] = open();
    const waits: number[] = [];
    for (let time = 0; time < 3; time++) {
      await using lease = await lock(dict, "key", { timeoutMs: 60_000 });
      waits.push(lease.elapsedMs);
    }
    expect(Math.min(...waits)).toBeLessThan(1_000); // a busy machine may keep one of them waiting
    const lease = await lock(dict, "key", { timeoutMs: 60_000 });
    expect(lease).toMatchObject({ key: "key", isHeld: true });
    expect(lease.unlock()).toEqual({ ok: true });
    expect(lease.isHeld).toBe(false);
  });

  test("is not had by two, here or there", async () => {
    const [here, there] = open();
    await using _lease = await lock(here, "key");
    await expect(lock(here, "key", { timeoutMs: 0 })).rejects.toMatchObject(TIMEOUT);
    await expect(lock(there, "key", { timeoutMs: 0 })).rejects.toMatchObject(TIMEOUT);
  });

  test("of one key has nothing to do with that of another, nor with a value of that name", async () => {
    const [dict] = open();
    dict.set("key", "a value");
    await using _one = await lock(dict, "key");
    await using _other = await lock(dict, "other", { timeoutMs: 0 });
    expect(dict.get("key")).toBe("a value");
  });

  test("is let go at the end of its scope, also by an error", async () => {
    const [dict] = open();
    const fail = async (): Promise<void> => {
      await using _lease = await lock(dict, "key");
      throw new Error("inside");
    };
    await expect(fail()).rejects.toThrow("inside");
    {
      using _lease = await lock(dict, "key", { timeoutMs: 0 });
    }
    await using _lease = await lock(dict, "key", { timeoutMs: 0 });
  });

  test("that was let go twice is unlocked the second time", async () => {
    const [dict] = open();
    const lease = await lock(dict, "key");
    lease.unlock();
    expect(lease.unlock()).toEqual({ err: "unlocked" });
    expect(lease.expire(1_000)).toEqual({ err: "unlocked" });
  });

  test("leaves nothing in the dictionary", async () => {
    const [dict] = open();
    const lease = await lock(dict, "key");
    expect(dict.keys()).toEqual(["lock:key"]);
    lease.unlock();
    expect(dict.keys()).toEqual([]);
  });
}

function orderLaws(open: OpenTwice): void {
  test("is had in the order of asking, wherever one asks", async () => {
    const both = open();
    const first = await lock(both[0], "key");
    const order: number[] = [];
    const others = Array.from({ length: 10 }, async (_, index) => {
      await using _lease = await lock(both[index % 2 === 0 ? 0 : 1], "key");
      order.push(index);
      await sleep(1);
    });
    first.unlock();
    await Promise.all(others);
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test("is not had by one try before those who wait", async () => {
    const [here, there] = open();
    const first = await lock(here, "key");
    const second = lock(there, "key");
    first.unlock();
    await expect(lock(here, "key", { timeoutMs: 0 })).rejects.toMatchObject(TIMEOUT);
    (await second).unlock();
  });

  test("turns away the 1,001st that would wait, and serves the others", { timeout: 60_000 }, async () => {
    const [dict] = open();
    const first = await lock(dict, "key");
    const waiting = Array.from({ length: 1_000 }, () => lock(dict, "key", { timeoutMs: 50_000 }));
    await expect(lock(dict, "key")).rejects.toThrow("lock not taken in time: key: 1000 wait already");
    first.unlock();
    for (const next of waiting) (await next).unlock();
  });
}

function timeLaws(open: OpenTwice): void {
  test("is waited for no longer than asked, and the place in the queue is given up", async () => {
    const [here, there] = open();
    const first = await lock(here, "key");
    const begun = performance.now();
    await expect(lock(there, "key", { timeoutMs: 50 })).rejects.toMatchObject(TIMEOUT);
    expect(performance.now() - begun).toBeGreaterThan(45);
    first.unlock();
    await using _lease = await lock(there, "key", { timeoutMs: 0 });
  });

  test("is another's when its time is over, who loses nothing by its first owner's letting go", async () => {
    const [here, there] = open();
    const asked = performance.now();
    const first = await lock(here, "key", { exptimeMs: 300 });
    const given = performance.now();
    const second = await lock(there, "key", { timeoutMs: 60_000 });
    expect(performance.now() - asked).toBeGreaterThan(295);
    expect(second.elapsedMs).toBeLessThanOrEqual(Math.ceil(performance.now() - given));
    expect(first.isHeld).toBe(false);
    expect(first.unlock()).toEqual({ err: "unlocked" });
    expect(first.expire()).toEqual({ err: "unlocked" });
    expect(second.isHeld).toBe(true);
    expect(second.token).not.toBe(first.token);
    second.unlock();
  });

  test("is held longer when its owner says so", async () => {
    const [here, there] = open();
    await withClock(async (pass) => {
      const first = await lock(here, "key", { exptimeMs: 300 });
      pass(299);
      expect(first.expire(5_000)).toEqual({ ok: true });
      pass(4_999);
      await expect(lock(there, "key", { timeoutMs: 0 })).rejects.toMatchObject(TIMEOUT);
      expect(first.unlock()).toEqual({ ok: true });
    });
  });

  test("counts its time from when it is given, not from when it was asked for", async () => {
    const [here, there] = open();
    await withClock(async (pass) => {
      const first = await lock(here, "key");
      const second = lock(there, "key", { exptimeMs: 1_500 });
      pass(1_000);
      first.unlock();
      const lease = await second;
      pass(1_499);
      expect(lease.isHeld).toBe(true);
      pass(1);
      expect(lease.isHeld).toBe(false);
      lease.unlock();
    });
  });

  test("is had by those who wait though the dictionary has lost it", async () => {
    const [here, there] = open();
    const first = await lock(here, "key");
    const leases: Lease[] = [];
    const waiting = [lock(here, "key"), lock(there, "key")].map(async (next) => {
      const lease = await next;
      leases.push(lease);
      lease.unlock();
    });
    here.flushAll();
    await Promise.all(waiting);
    expect(leases).toHaveLength(2);
    expect(first.isHeld).toBe(false);
  });
}

/** The clock stands but for what passes: nobody is too late on a busy machine. Timers are real. */
async function withClock(run: (pass: (ms: number) => void) => Promise<void>): Promise<void> {
  vi.useFakeTimers({ toFake: ["performance"] });
  try {
    await run((ms) => void vi.advanceTimersByTime(ms));
  } finally {
    vi.useRealTimers();
  }
}

function signalLaws(open: OpenTwice): void {
  test("is not waited for any more when the signal aborts, and goes to the next", async () => {
    const [here, there] = open();
    const first = await lock(here, "key");
    const { signal, abort } = controller();
    const second = lock(here, "key", { signal });
    const third = lock(there, "key");
    abort(new Error("the session has ended"));
    await expect(second).rejects.toThrow("the session has ended");
    first.unlock();
    (await third).unlock();
  });

  test("is let go when the signal aborts in the very moment of giving", async () => {
    const [here, there] = open();
    const first = await lock(here, "key");
    const { signal, abort } = controller();
    const second = lock(here, "key", { signal });
    first.unlock();
    abort(new Error("the session has ended"));
    await expect(second).rejects.toThrow("the session has ended");
    (await lock(there, "key", { timeoutMs: 0 })).unlock();
    expect(here.keys()).toEqual([]);
  });

  test("is let go when the signal aborts", async () => {
    const [here, there] = open();
    const { signal, abort } = controller();
    const lease = await lock(here, "key", { signal });
    const next = lock(there, "key");
    abort(new Error("the session has ended"));
    expect(lease.isHeld).toBe(false);
    (await next).unlock();
    await expect(lock(here, "key", { signal })).rejects.toThrow("the session has ended");
  });
}

function controller(): { signal: AbortSignal; abort: (reason: Error) => void } {
  const made = new AbortController();
  return { signal: made.signal, abort: (reason) => made.abort(reason) };
}

function argumentLaws(open: OpenTwice): void {
  test.each([
    ["no key", undefined, {}, "nil key"],
    ["an empty key", "", {}, "empty key"],
    ["a negative wait", "key", { timeoutMs: -1 }, "timeoutMs: expected a number of milliseconds"],
    ["a wait that is no number", "key", { timeoutMs: Number.NaN }, "timeoutMs: expected a number of milliseconds"],
    ["a time to hold of 0", "key", { exptimeMs: 0 }, "exptimeMs: expected a number of milliseconds"],
    ["a time that no timer keeps", "key", { exptimeMs: 2 ** 31 }, "exptimeMs: expected a number of milliseconds"],
  ])("throws a TypeError for %s", async (_name, key, options, message) => {
    const [dict] = open();
    const taken = lock(dict, key as string, options);
    await expect(taken).rejects.toThrow(message);
    await expect(taken).rejects.toBeInstanceOf(TypeError);
  });

  test("says whose key holds something else", async () => {
    const [dict] = open();
    dict.set("lock:key", "something");
    await expect(lock(dict, "key")).rejects.toThrow('"lock:key" holds a value that is no lock');
  });
}
