import { describe, expect, test } from "vitest";
import { MAX_TIMER_MS } from "../../../src/codecs/timer.ts";
import { drainLimitMs, timerMs } from "../../../src/worker/master/limits.ts";

describe("the timer of a limit", () => {
  test.each([
    [0, 0],
    [40_000, 40_000],
    [MAX_TIMER_MS, MAX_TIMER_MS],
    [MAX_TIMER_MS + 1, MAX_TIMER_MS],
    [drainLimitMs(25 * 86_400_000), MAX_TIMER_MS],
    [Number.POSITIVE_INFINITY, MAX_TIMER_MS],
  ])("of %d ms waits %d ms: never longer than Node can, which would be no time at all", (limitMs, waits) => {
    expect(timerMs(limitMs)).toBe(waits);
  });
});
