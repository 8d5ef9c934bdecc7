import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { SharedBandwidth } from "../../../src/stream/limits/bandwidth.ts";
import type { RelayRates } from "../../../src/stream/throttle.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function openDict(): SharedDict {
  const { dict } = openDicts({ dict: "1m" }).dicts;
  if (!dict) throw new Error("it was opened above");
  return dict;
}

/** A session that has joined: what it has moved, and how fast it may be. */
function member(bandwidth: SharedBandwidth, rates: RelayRates = { up: 1_000, down: 8_000 }) {
  const flowing = { bytesUp: 0, bytesDown: 0 };
  const session = { flowing, rates: {} as RelayRates, changes: 0, leave: () => {} };
  session.leave = bandwidth.join("key", rates, flowing, (share) => {
    session.rates = share;
    session.changes++;
  });
  return session;
}

test("the first has all, others have their part at once, and who stays has the part of who leaves", () => {
  const bandwidth = new SharedBandwidth(openDict());
  const one = member(bandwidth);
  expect(one.rates).toEqual({ up: 1_000, down: 8_000 });
  const other = member(bandwidth);
  expect(other.rates).toEqual({ up: 500, down: 4_000 });
  vi.advanceTimersByTime(100);
  expect(one.rates).toEqual({ up: 500, down: 4_000 });
  other.leave();
  other.leave();
  vi.advanceTimersByTime(100);
  expect(one.rates).toEqual({ up: 1_000, down: 8_000 });
});

test("a thousand that come at once are divided among once", () => {
  const bandwidth = new SharedBandwidth(openDict());
  const all = Array.from({ length: 1_000 }, () => member(bandwidth));
  vi.advanceTimersByTime(100);
  expect(all[0]?.rates).toEqual({ up: 1, down: 8 });
  expect(Math.max(...all.map(({ changes }) => changes))).toBeLessThanOrEqual(2);
});

test("every second, what one does not use goes to the others, and comes back when it does", () => {
  const bandwidth = new SharedBandwidth(openDict());
  const [busy, idle] = [member(bandwidth), member(bandwidth)];
  vi.advanceTimersByTime(100);
  busy.flowing.bytesDown += 4_000;
  vi.advanceTimersByTime(900);
  expect(busy.rates.down).toBe(7_500);
  expect(idle.rates.down).toBe(500);
  for (let second = 0; second < 4; second++) {
    busy.flowing.bytesDown += busy.rates.down ?? 0;
    idle.flowing.bytesDown += idle.rates.down ?? 0; // it takes all that it may have
    vi.advanceTimersByTime(1_000);
  }
  expect([busy.rates.down, idle.rates.down]).toEqual([4_000, 4_000]);
});

test("workers share a key's rate by their sessions of it", () => {
  const dict = openDict();
  const [here, there] = [new SharedBandwidth(dict), new SharedBandwidth(dict)];
  const one = member(here);
  const others = [member(there), member(there), member(there)];
  vi.advanceTimersByTime(1_000);
  expect([one, ...others].map(({ rates }) => rates.up)).toEqual([250, 250, 250, 250]);
  for (const { leave } of others) leave();
  vi.advanceTimersByTime(1_000);
  expect(one.rates.up).toBe(1_000);
  one.leave();
  expect(dict.keys()).toEqual([]);
  expect(vi.getTimerCount()).toBeLessThanOrEqual(1); // the one of a division that finds nobody
});

test("a direction without a rate has none", () => {
  const session = member(new SharedBandwidth(openDict()), { down: 100 });
  expect(session.rates).toEqual({ up: undefined, down: 100 });
});
