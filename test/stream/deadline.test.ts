import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Deadline } from "../../src/stream/deadline.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const late = (): Error => new Error("late");

test("expires once its time is over, and tells who waits", () => {
  using deadline = new Deadline(100);
  const onExpire = vi.fn();
  deadline.onExpire = onExpire;
  vi.advanceTimersByTime(99);
  expect([deadline.expired, onExpire.mock.calls.length]).toEqual([false, 0]);
  vi.advanceTimersByTime(1_000);
  expect([deadline.expired, onExpire.mock.calls.length]).toEqual([true, 1]);
});

test("begins anew when it is rearmed, before its end and after", () => {
  using deadline = new Deadline(100);
  vi.advanceTimersByTime(99);
  deadline.rearm();
  vi.advanceTimersByTime(99);
  expect(deadline.expired).toBe(false);
  vi.advanceTimersByTime(1);
  expect(deadline.expired).toBe(true);
  deadline.rearm();
  expect(deadline.expired).toBe(false);
  vi.advanceTimersByTime(100);
  expect(deadline.expired).toBe(true);
});

test("a time beyond what Node's timers keep does not end at once", () => {
  using deadline = new Deadline(Number.POSITIVE_INFINITY);
  vi.advanceTimersByTime(1_000_000_000);
  expect(deadline.expired).toBe(false);
});

test("a stopped one tells nobody", () => {
  const deadline = new Deadline(100);
  const onExpire = vi.fn();
  deadline.onExpire = onExpire;
  deadline.stop();
  vi.advanceTimersByTime(100);
  expect(onExpire).not.toHaveBeenCalled();
});

test("limited work that ends in time gives its result or its failure, and the deadline is free again", async () => {
  using deadline = new Deadline(100);
  expect(await deadline.limit(Promise.resolve("done"), late)).toBe("done");
  await expect(deadline.limit(Promise.reject(new Error("failed")), late)).rejects.toThrow("failed");
  await Promise.resolve();
  expect(deadline.onExpire).toBeUndefined();
});

test("limited work that is late is given up, and what then comes of it is dropped", async () => {
  using deadline = new Deadline(100);
  let fail: (cause: Error) => void = () => {};
  const work = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const limited = deadline.limit(work, late);
  vi.advanceTimersByTime(100);
  await expect(limited).rejects.toThrow("late");
  fail(new Error("much later"));
  await expect(deadline.limit(new Promise(() => {}), late)).rejects.toThrow("late"); // over is over
});
