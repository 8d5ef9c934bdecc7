import fc from "fast-check";
import { expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { limitCount } from "../../../src/shared/limits/limit-count.ts";
import { limitRate } from "../../../src/shared/limits/limit-rate.ts";
import { limitReq } from "../../../src/shared/limits/limit-req.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

// Each limiter against the words of its documentation, written down once more as the simplest program that obeys them.

const clock = { ms: 0 };
const now = (): number => clock.ms;
const opened = openDicts({ dict: "1m" }, { now }).dicts["dict"];
const dict = (): SharedDict => {
  if (!opened) throw new Error("it was opened above");
  opened.flushAll();
  return opened;
};

const waits = fc.array(fc.record({ ms: fc.nat({ max: 900 }), commit: fc.boolean() }), { maxLength: 40 });
const RARELY = { numRuns: Math.ceil(RUNS / 5) };

/** OpenResty keeps the excess and the time of the last event, and has the excess leak. */
function reqModel(rate: number, burst: number) {
  let kept: { excess: number; last: number } | undefined;
  return (commit: boolean): { delayMs: number } | "rejected" => {
    const excess = kept ? Math.max(kept.excess - (rate * (clock.ms - kept.last)) / 1_000 + 1, 0) : 0;
    if (excess > burst + 1e-6) return "rejected";
    if (commit) kept = { excess, last: clock.ms };
    return { delayMs: (excess * 1_000) / rate };
  };
}

test("limitReq leaks as OpenResty's does", () => {
  const settings = fc.record({ rate: fc.constantFrom(0.5, 1, 3, 7, 100), burst: fc.constantFrom(0, 1, 2.5, 10) });
  fc.assert(
    fc.property(settings, waits, ({ rate, burst }, steps) => {
      const real = limitReq({ dict: dict(), now, rate, burst });
      const model = reqModel(rate, burst);
      for (const { ms, commit } of steps) {
        clock.ms += ms;
        const expected = model(commit);
        const answer = real.incoming("key", { commit });
        if (expected === "rejected") expect(answer).toEqual({ err: "rejected" });
        else expect(answer.delayMs).toBeCloseTo(expected.delayMs, 3);
      }
    }),
    RARELY,
  );
});

test("limitReq never lets more in than its rate and burst allow, and everybody at his time", () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 5, 20), fc.nat({ max: 5 }), waits, (rate, burst, steps) => {
      const real = limitReq({ dict: dict(), now, rate, burst });
      const turns: number[] = [];
      for (const { ms } of steps) {
        clock.ms += ms;
        const { delayMs } = real.incoming("key");
        if (delayMs !== undefined) turns.push(clock.ms + delayMs);
      }
      for (let place = 1; place < turns.length; place++) {
        expect((turns[place] ?? 0) - (turns[place - 1] ?? 0)).toBeGreaterThan(1_000 / rate - 1e-3);
      }
    }),
    RARELY,
  );
});

test("limitCount counts windows that begin with their first event", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), waits, (limit, steps) => {
      const windowMs = 1_000;
      const real = limitCount({ dict: dict(), limit, windowMs });
      let window: { ends: number; left: number } | undefined;
      for (const { ms, commit } of steps) {
        clock.ms += ms;
        if (window && window.ends <= clock.ms) window = undefined;
        const left = (window?.left ?? limit) - 1;
        if (commit) window = { ends: window?.ends ?? clock.ms + windowMs, left };
        const expected = left < 0 ? { err: "rejected" } : { delayMs: 0, remaining: left };
        expect(real.incoming("key", { commit })).toEqual(expected);
      }
    }),
    RARELY,
  );
});

/** The bucket, filled tick by tick. */
function rateModel({
  capacity,
  intervalMs,
  quantum,
  maxWaitMs,
}: Record<"capacity" | "intervalMs" | "quantum" | "maxWaitMs", number>) {
  let tokens = capacity;
  let tick = clock.ms;
  return (count: number, commit: boolean): unknown => {
    for (; tick + intervalMs <= clock.ms && tokens < capacity; tick += intervalMs) tokens += quantum;
    if (tokens >= capacity) [tokens, tick] = [capacity, clock.ms];
    const left = tokens - count;
    let delayMs = 0;
    for (let debt = left, at = tick; debt < 0; debt += quantum) {
      at += intervalMs;
      delayMs = at - clock.ms;
    }
    if (delayMs > maxWaitMs) return { err: "rejected" };
    if (commit) tokens = left;
    return { delayMs, remaining: left };
  };
}

test("limitRate fills its bucket tick by tick", () => {
  const settings = fc.record({
    capacity: fc.integer({ min: 0, max: 9 }),
    intervalMs: fc.constantFrom(1, 7, 100, 1_000),
    quantum: fc.integer({ min: 1, max: 4 }),
    maxWaitMs: fc.constantFrom(0, 50, 3_000),
  });
  fc.assert(
    fc.property(settings, waits, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (settings, steps, counts) => {
      const real = limitRate({ ...settings, dict: dict(), now });
      const model = rateModel(settings);
      for (const { ms, commit } of steps) {
        clock.ms += ms;
        const { value: count } = counts.next();
        expect(real.take("key", count, { commit })).toEqual(model(count, commit));
      }
    }),
    RARELY,
  );
});

test("limitConn never has more leases than places, and all are free in the end", () => {
  const steps = fc.array(fc.record({ key: fc.constantFrom("a", "b"), leaves: fc.boolean(), by: fc.nat({ max: 2 }) }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), fc.nat({ max: 2 }), steps, (conns, burst, steps) => {
      const place = dict();
      const limiters = [0, 1, 2].map(() => limitConn({ dict: place, conns, burst }));
      const held: Record<string, (() => void)[]> = { a: [], b: [] };
      for (const { key, leaves, by } of steps) {
        const own = held[key] ?? [];
        if (leaves) own.shift()?.();
        else {
          const answer = limiters[by]?.incoming(key);
          expect(answer?.err).toBe(own.length < conns + burst ? undefined : "rejected");
          if (answer?.err === undefined && answer) own.push(answer.release);
        }
      }
      for (const release of Object.values(held).flat()) release();
      expect(place.keys()).toEqual([]);
    }),
    RARELY,
  );
});
