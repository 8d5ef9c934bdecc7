import { readFileSync } from "node:fs";
import { describe, expect, test, vi } from "vitest";
import { MAX_TIMER_MS } from "../../../src/codecs/timer.ts";
import {
  BEAT_MS,
  BUILD_MS,
  drainLimitMs,
  MISSED_BEATS,
  startLimitMs,
  timerMs,
} from "../../../src/worker/master/limits.ts";

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

describe("the first table of docs/workers.md", () => {
  const page = readFileSync(new URL("../../../docs/workers.md", import.meta.url), "utf8");
  const rows = (/(?:^\|.*\n)+/m.exec(page)?.[0] ?? "").trim().split("\n").slice(2);
  const told = new Map(
    rows.map((row) => row.split("|").map((cell) => cell.trim())).map(([, what = "", text = ""]) => [what, text]),
  );

  test("tells each thing once", () => {
    expect(rows.length).toBeGreaterThan(8);
    expect(told.size).toBe(rows.length);
  });

  test("tells how long a worker may take to start, and how long it may stand still", () => {
    const seconds = (ms: number): string => `${ms / 1_000} s`;
    expect(told.get("a worker that starts")).toContain(`has ${seconds(BUILD_MS)}, or three times as long`);
    expect(startLimitMs(BUILD_MS)).toBe(3 * BUILD_MS);
    const beats = MISSED_BEATS * BEAT_MS; // it stood still before the first that it missed, by one at most
    expect(told.get("a worker that stands still")).toContain(`every ${seconds(BEAT_MS)}, and killed when four`);
    expect(told.get("a worker that stands still")).toContain(`${beats / 1_000} to ${seconds(beats + BEAT_MS)} after`);
    expect(MISSED_BEATS).toBe(4);
  });
});
