import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { sleep } from "../../src/shared/sleep.ts";

const timersAlive = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

test("waits for its time", async () => {
  const began = performance.now();
  await sleep(20);
  expect(performance.now() - began).toBeGreaterThanOrEqual(19);
});

test("with 0 lets everything else run first", async () => {
  const order: string[] = [];
  const slept = sleep(0).then(() => order.push("slept"));
  await Promise.resolve().then(() => order.push("promise"));
  setImmediate(() => order.push("after"));
  await slept;
  expect(order).toEqual(["promise", "slept"]);
});

test.each([0, 10_000])("a sleep of %i ms ends with its signal, and leaves nothing behind", async (ms) => {
  const before = timersAlive();
  const stop = new AbortController();
  const slept = sleep(ms, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await expect(slept).rejects.toThrow("enough");
  expect(timersAlive()).toBe(before);
  expect(getEventListeners(stop.signal, "abort")).toEqual([]);
});

test("does not begin when its signal has aborted, and forgets a signal that has not", async () => {
  await expect(sleep(10_000, { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow("before");
  const { signal } = new AbortController();
  await sleep(1, { signal });
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])("refuses %s in OpenResty's words", async (ms) => {
  await expect(sleep(ms)).rejects.toThrow(new TypeError(`invalid sleep duration "${ms}"`));
});
