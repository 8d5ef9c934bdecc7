import { machineClock } from "../dict/clock.ts";
import {
  ABUSED,
  checkedDict,
  checkedSetting,
  type DictOptions,
  type IncomingOptions,
  keptIn,
  type LimitAnswer,
  type Limiter,
  NO_MEMORY,
  REJECTED,
  untilDone,
} from "./limiter.ts";

/** A bucket of tokens. */
export interface RateSettings {
  /** Tokens that it holds: so many may be taken at once. */
  readonly capacity: number;
  /** Every so many milliseconds … */
  readonly intervalMs: number;
  /** … come so many tokens. Default 1. */
  readonly quantum?: number | undefined;
  /** Who would have to wait longer for his tokens is turned away. Default: nobody is. */
  readonly maxWaitMs?: number | undefined;
}

/** A token bucket: {@link limitRate}. */
export interface RateLimiter extends Limiter {
  /** Takes several tokens or none. @throws TypeError unless `count` is above 0 */
  take(key: string, count: number, options?: IncomingOptions): LimitAnswer;
  /** Takes as many of them as there are, and tells how many that was. Waits for none. */
  takeAvailable(key: string, count: number): number;
  setMaxWait(maxWaitMs: number | undefined): void;
}

/** What is kept of a bucket: its tokens, below 0 when some are owed, at that tick of the clock. */
export interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** The bucket as it is now. A full one begins anew, so that an absent one is a full one. */
export function filled(
  kept: Bucket | undefined,
  now: number,
  { capacity, intervalMs, quantum = 1 }: RateSettings,
): Bucket {
  if (!kept) return { tokens: capacity, atMs: now };
  const ticks = Math.max(Math.floor((now - kept.atMs) / intervalMs), 0);
  const tokens = kept.tokens + ticks * quantum;
  return tokens >= capacity ? { tokens: capacity, atMs: now } : { tokens, atMs: kept.atMs + ticks * intervalMs };
}

/** What a token bucket makes of one who wants `count` tokens. */
export function taken(
  bucket: Bucket,
  count: number,
  now: number,
  settings: RateSettings,
): { readonly bucket: Bucket; readonly answer: LimitAnswer } {
  const { intervalMs, quantum = 1, maxWaitMs = Number.POSITIVE_INFINITY } = settings;
  const after = { ...bucket, tokens: bucket.tokens - count };
  if (after.tokens >= 0) return { bucket: after, answer: { delayMs: 0, remaining: after.tokens } };
  const delayMs = Math.ceil(-after.tokens / quantum) * intervalMs - (now - bucket.atMs);
  if (delayMs > maxWaitMs) return { bucket, answer: REJECTED };
  return { bucket: after, answer: { delayMs, remaining: after.tokens } };
}

/** How long a bucket takes to be full, and to be forgotten. */
export function untilFullMs({ tokens }: Bucket, { capacity, intervalMs, quantum = 1 }: RateSettings): number {
  return Math.ceil((capacity - tokens) / quantum) * intervalMs;
}

/** @throws TypeError */
export function checkedRate(settings: RateSettings): Readonly<Record<"capacity" | "intervalMs" | "quantum", number>> {
  return {
    capacity: checkedSetting("limitRate: capacity", settings.capacity, "from 0"),
    intervalMs: checkedSetting("limitRate: intervalMs", settings.intervalMs, "above 0"),
    quantum: checkedSetting("limitRate: quantum", settings.quantum ?? 1, "above 0"),
  };
}

/**
 * Lets in whoever finds a token: a bucket per key, that fills as time goes by. Who finds too few may have those to come, and is told
 * how long to wait; `remaining` is then below 0. Exact between processes. OpenResty: `resty.limit.rate`.
 * Any phase. @throws TypeError for wrong settings
 */
export function limitRate(options: DictOptions & RateSettings): RateLimiter {
  const dict = checkedDict(options.dict);
  const { now = machineClock } = options;
  const fixed = checkedRate(options);
  let { maxWaitMs } = options;

  /** Lets `change` make a new bucket of the present one, and keeps it, unless another process was faster. */
  function swap(
    key: string,
    change: (bucket: Bucket, at: number) => { bucket?: Bucket | undefined; answer: LimitAnswer },
  ): LimitAnswer {
    const done = untilDone(() => {
      const text = keptIn(dict, key);
      const kept = bucketOf(text);
      if (kept === "foreign") return ABUSED;
      const at = Math.floor(now());
      const { bucket, answer } = change(filled(kept, at, fixed), at);
      if (!bucket) return answer;
      const ttlMs = Math.max(untilFullMs(bucket, fixed) - (at - bucket.atMs), 0) + fixed.intervalMs;
      return dict.cas(key, typeof text === "string" ? text : undefined, `${bucket.tokens} ${bucket.atMs}`, { ttlMs })
        ? answer
        : undefined;
    });
    return done ?? NO_MEMORY;
  }

  function take(key: string, count: number, { commit = true }: IncomingOptions = {}): LimitAnswer {
    checkedSetting("limitRate: count", count, "above 0");
    return swap(key, (bucket, at) => {
      const after = taken(bucket, count, at, { ...fixed, maxWaitMs });
      return commit && after.answer.err === undefined ? after : { answer: after.answer };
    });
  }

  return {
    take,
    incoming: (key, options) => take(key, 1, options),
    takeAvailable(key, count) {
      let got = 0;
      const answer = swap(key, (bucket) => {
        got = Math.max(Math.min(count, bucket.tokens), 0);
        const after = { ...bucket, tokens: bucket.tokens - got };
        return { bucket: got > 0 ? after : undefined, answer: { delayMs: 0, remaining: after.tokens } };
      });
      return answer.err === undefined ? got : 0;
    },
    uncommit(key) {
      if (typeof keptIn(dict, key) !== "string") return false;
      const answer = swap(key, (bucket) => {
        const tokens = Math.min(bucket.tokens + 1, fixed.capacity);
        return { bucket: { ...bucket, tokens }, answer: { delayMs: 0, remaining: tokens } };
      });
      return answer.err === undefined;
    },
    retryAfterMs: () => fixed.intervalMs * Math.ceil(1 / fixed.quantum),
    setMaxWait(ms) {
      maxWaitMs = ms;
    },
  };
}

function bucketOf(text: unknown): Bucket | undefined | "foreign" {
  if (text === undefined) return undefined;
  const [, tokens, atMs] = (typeof text === "string" && /^(-?[\d.e+-]+) ([\d.]+)$/.exec(text)) || [];
  return tokens === undefined || atMs === undefined ? "foreign" : { tokens: Number(tokens), atMs: Number(atMs) };
}
