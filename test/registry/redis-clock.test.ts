import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RedisClock } from "../../src/registry/redis/redis-clock.ts";

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] })); // time stands, but for what passes
afterEach(() => void vi.useRealTimers());

test("Redis is asked once for its clock, and again when that was set", async () => {
  let asked = 0;
  let aheadMs = 1_000_000;
  const clock = new RedisClock(async () => {
    asked++;
    return performance.now() + aheadMs;
  });
  const local = performance.now();
  expect(await clock.at(local)).toBeCloseTo(local + aheadMs, -2);
  await clock.at(local);
  expect(asked).toBe(1);
  aheadMs = -5_000_000;
  clock.forget();
  expect(await clock.at(local)).toBeCloseTo(local + aheadMs, -2);
  expect(asked).toBe(2);
});

test("a slow answer makes what is asked end earlier, never later", async () => {
  const clock = new RedisClock(async () => {
    const shown = performance.now();
    vi.advanceTimersByTime(50);
    return shown;
  });
  const local = performance.now();
  expect(await clock.at(local)).toBeLessThan(local);
});

test("who cannot be asked is asked again", async () => {
  let isThere = false;
  const clock = new RedisClock(async () => {
    if (!isThere) throw new Error("away");
    return 7;
  });
  await expect(clock.at(0)).rejects.toThrow("away");
  isThere = true;
  expect(await clock.at(performance.now())).toBeCloseTo(7, -2);
});
