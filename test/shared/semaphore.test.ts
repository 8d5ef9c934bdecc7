import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_SEMAPHORE_WAITERS, semaphore } from "../../src/shared/semaphore.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

describe("a semaphore", () => {
  test("has what it was made with, and what was posted", async () => {
    const free = semaphore(1);
    expect(free.count()).toBe(1);
    free.post(2);
    expect(free.count()).toBe(3);
    expect(await free.wait(0)).toEqual({ ok: true });
    expect(free.count()).toBe(2);
    expect(semaphore().count()).toBe(0);
  });

  test("answers timeout when nothing comes in time, and at once for 0", async () => {
    const none = semaphore();
    expect(await none.wait(0)).toEqual({ err: "timeout" });
    const begun = performance.now();
    expect(await none.wait(30)).toEqual({ err: "timeout" });
    expect(performance.now() - begun).toBeGreaterThan(25);
    expect(none.count()).toBe(0);
  });

  test("counts those who wait as less than nothing", async () => {
    const none = semaphore();
    const waiting = [none.wait(60_000), none.wait(60_000)];
    expect(none.count()).toBe(-2);
    none.post(2);
    expect(none.count()).toBe(0);
    expect(await Promise.all(waiting)).toEqual([{ ok: true }, { ok: true }]);
  });

  test("serves who waits longest, so that nobody who does not wait gets what was posted for others", async () => {
    const none = semaphore();
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (place) => {
      await none.wait(60_000);
      order.push(place);
    });
    none.post(2);
    expect(await none.wait(0)).toEqual({ err: "timeout" });
    none.post();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  test("passes over who has gone: what was posted is for the next", async () => {
    const none = semaphore();
    const gone = none.wait(1);
    const controller = new AbortController();
    const aborted = none.wait(60_000, { signal: controller.signal });
    const next = none.wait(60_000);
    expect(await gone).toEqual({ err: "timeout" });
    controller.abort(new Error("the session has ended"));
    await expect(aborted).rejects.toThrow("the session has ended");
    await expect(none.wait(60_000, { signal: controller.signal })).rejects.toThrow("the session has ended");
    none.post();
    expect(await next).toEqual({ ok: true });
    expect(none.count()).toBe(0);
  });

  test("turns away whoever would be one too many", async () => {
    const none = semaphore();
    const waiting = Array.from({ length: MAX_SEMAPHORE_WAITERS }, () => none.wait(60_000));
    expect(await none.wait(60_000)).toEqual({ err: "too many waiters" });
    none.post(MAX_SEMAPHORE_WAITERS);
    await Promise.all(waiting);
  });

  test.each([
    ["a negative count", () => semaphore(-1), "no negative number"],
    ["half a resource", () => semaphore(0.5), "expected a whole number, got 0.5"],
    ["a post of nothing", () => semaphore().post(0), "no negative number"],
  ])("throws a TypeError for %s", (_name, call, message) => {
    expect(call).toThrow(new TypeError(message));
  });

  test.each([
    [-1, "no negative number"],
    [Number.NaN, "expected a number of milliseconds, got NaN"],
  ])("rejects with a TypeError for a wait of %s", async (ms, message) => {
    await expect(semaphore().wait(ms)).rejects.toThrow(new TypeError(message));
  });

  test("gives each resource to exactly one, in order, whatever the sequence of waits and posts", async () => {
    const steps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 3 })), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(steps, async (sequence) => {
        const made = semaphore();
        const served: number[] = [];
        let [asked, posted] = [0, 0];
        for (const step of sequence) {
          if (step === 0) {
            const place = asked++;
            void made.wait(60_000).then(() => served.push(place));
          } else {
            posted += step;
            made.post(step);
          }
          expect(made.count()).toBe(posted - asked);
        }
        await new Promise((resolve) => setImmediate(resolve));
        expect(served).toEqual(Array.from({ length: Math.min(asked, posted) }, (_, place) => place));
        made.post(Math.max(asked - posted, 1));
      }),
      { numRuns: RUNS / 10 },
    );
  });
});
