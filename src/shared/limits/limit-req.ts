import { machineClock } from "../dict/clock.ts";
import {
  ABUSED,
  checkedDict,
  checkedSetting,
  type DictOptions,
  keptIn,
  type LimitAnswer,
  type Limiter,
  NO_MEMORY,
  REJECTED,
  untilDone,
} from "./limiter.ts";

/** How often somebody may come. */
export interface ReqSettings {
  /** So many per second, evenly spread. Fractions are fine: 0.5 is one in two seconds. */
  readonly rate: number;
  /** So many may be ahead of their time; each of them is told to wait until it is. Default 0. */
  readonly burst?: number | undefined;
}

/** A leaky bucket: {@link limitReq}. */
export interface ReqLimiter extends Limiter {
  setRate(rate: number): void;
  setBurst(burst: number): void;
}

/** What a leaky bucket makes of one who comes: when the bucket will be empty again, and the answer. */
export interface Leak {
  readonly emptyAt: number;
  readonly answer: LimitAnswer;
}

/**
 * The arithmetic of a leaky bucket. All that needs to be kept is when it will be empty: OpenResty's `excess` is how far that is
 * away, times the rate. One number can be swapped as a whole, so nobody is counted twice or not at all.
 */
export function leak(emptyAt: number | undefined, now: number, { rate, burst = 0 }: ReqSettings): Leak {
  const stepMs = 1_000 / rate;
  const next = emptyAt === undefined ? now : Math.max(emptyAt + stepMs, now);
  const delayMs = next - now;
  const excess = delayMs / stepMs;
  if (excess > burst + ROUNDING) return { emptyAt: next, answer: REJECTED };
  return { emptyAt: next, answer: { delayMs, remaining: Math.max(Math.floor(burst - excess + ROUNDING), 0) } };
}

/** Sums of thirds and tenths are a hair away from whole numbers; a millionth of an event is none. */
const ROUNDING = 1e-6;

/**
 * Lets in so many per second, and makes those wait who come ahead of their time: a leaky bucket per key. The first of them never
 * waits; who is turned away is not counted. Exact between processes. OpenResty: `resty.limit.req`; nginx: `limit_req`.
 * Any phase; nothing waits here, see `sleep`. @throws TypeError for wrong settings
 */
export function limitReq(options: DictOptions & ReqSettings): ReqLimiter {
  const dict = checkedDict(options.dict);
  const { now = machineClock } = options;
  let rate = checkedSetting("limitReq: rate", options.rate, "above 0");
  let burst = checkedSetting("limitReq: burst", options.burst ?? 0, "from 0");
  return {
    incoming(key, { commit = true } = {}) {
      const done = untilDone(() => {
        const kept = keptIn(dict, key);
        if (kept !== undefined && typeof kept !== "number") return ABUSED;
        const at = now();
        const { emptyAt, answer } = leak(kept, at, { rate, burst });
        if (answer.err !== undefined || !commit) return answer;
        const ttlMs = emptyAt - at + 1_000 / rate; // then it is as if nobody had come
        return dict.cas(key, kept, emptyAt, { ttlMs }) ? answer : undefined;
      });
      return done ?? NO_MEMORY;
    },
    uncommit(key) {
      const done = untilDone(() => {
        const kept = keptIn(dict, key);
        if (typeof kept !== "number") return "nothing";
        const ttlMs = Math.max(kept - now(), 1);
        return dict.cas(key, kept, kept - 1_000 / rate, { ttlMs }) ? "taken back" : undefined;
      });
      return done === "taken back";
    },
    retryAfterMs: () => 1_000 / rate,
    setRate(perSecond) {
      rate = checkedSetting("limitReq: rate", perSecond, "above 0");
    },
    setBurst(count) {
      burst = checkedSetting("limitReq: burst", count, "from 0");
    },
  };
}
