import { describe, expect, test, vi } from "vitest";
import { MAX_TIMER_MS } from "../../../src/codecs/timer.ts";
import { drainLimitMs, startLimitMs, timerMs } from "../../../src/worker/master/limits.ts";

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

test.each(["--inspect", "--inspect-brk=0", "--no-warnings --inspect=127.0.0.1:0"])(
  "under a debugger (%s) a worker has no limit",
  (options) => {
    vi.stubEnv("NODE_OPTIONS", options);
    try {
      expect(timerMs(5_000)).toBe(MAX_TIMER_MS);
    } finally {
      vi.unstubAllEnvs();
    }
  },
);

test.each([
  [0, 40_000],
  [13_000, 40_000],
  [14_000, 42_000],
  [60_000, 180_000],
])("a gateway whose first workers took %d ms to start gives those after them %d ms", (firstMs, limitMs) => {
  expect(startLimitMs(firstMs)).toBe(limitMs);
});
