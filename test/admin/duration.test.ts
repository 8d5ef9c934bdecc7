import { expect, test } from "vitest";
import { durationMs } from "../../src/admin/duration.ts";

test.each([
  ["250ms", 250],
  ["90s", 90_000],
  ["10m", 600_000],
  ["1.5h", 5_400_000],
  ["30d", 2_592_000_000],
])("%s are %i ms", (text, ms) => expect(durationMs(text)).toBe(ms));

test.each(["", "10", "m", "-1s", "0s", "1 h", "1e3s", "1w", "9".repeat(20), "1.2345s"])("%j is no time", (text) =>
  expect(durationMs(text)).toBeUndefined(),
);
