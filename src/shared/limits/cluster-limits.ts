import { type ClusterConnLimiter, clusterConn } from "./cluster-conn.ts";
import { type ClusterOptions, type ClusterWires, type Reply, runFor } from "./cluster-wires.ts";
import { Fallback } from "./fallback.ts";
import type { ConnSettings } from "./limit-conn.ts";
import { type CountSettings, countAnswer, limitCount } from "./limit-count.ts";
import { checkedRate, limitRate, type RateSettings } from "./limit-rate.ts";
import { limitReq, type ReqSettings } from "./limit-req.ts";
import {
  ABUSED,
  type ClusterLimiter,
  checkedSetting,
  type IncomingOptions,
  type LimitAnswer,
  REJECTED,
} from "./limiter.ts";
import { COUNT, RATE, REQ } from "./redis-scripts.ts";

/** A token bucket of all gateways. */
export interface ClusterRateLimiter extends ClusterLimiter {
  take(key: string, count: number, options?: IncomingOptions): Promise<LimitAnswer>;
  takeAvailable(key: string, count: number): Promise<number>;
}

/** The limiters of one Redis. */
export interface ClusterLimits {
  limitReq(settings: ReqSettings): ClusterLimiter;
  limitConn(settings: ConnSettings): ClusterConnLimiter;
  limitCount(settings: CountSettings): ClusterLimiter;
  limitRate(settings: RateSettings): ClusterRateLimiter;
}

/**
 * Makes limiters that count for all gateways that share a Redis: the same rules, one program per question there, by the clock of
 * Redis. While Redis is away, each machine counts for itself, to the same limits. Any phase.
 */
export function clusterLimits(options: ClusterOptions): ClusterLimits {
  const wires = { ...options, fallback: new Fallback(options) };
  return {
    limitReq: (settings) => clusterReq(settings, wires),
    limitConn: (settings) => clusterConn(settings, wires),
    limitCount: (settings) => clusterCount(settings, wires),
    limitRate: (settings) => clusterRate(settings, wires),
  };
}

function checkedWhole(what: string, value: number): void {
  if (Number.isSafeInteger(checkedSetting(what, value, "above 0"))) return;
  throw new TypeError(`${what}: expected a whole number above 0, got ${value}`);
}

function answerOf({ word, first, second }: Reply): LimitAnswer {
  if (word === "ok") return { delayMs: first, remaining: second };
  return word === "rejected" ? REJECTED : ABUSED;
}

function clusterReq(settings: ReqSettings, { redis, dict, fallback }: ClusterWires): ClusterLimiter {
  const named = (key: string): string => `limit:req:${key}`;
  const local = limitReq({ ...settings, dict });
  const run = (key: string, how: string): Promise<Reply> =>
    runFor(redis, REQ, named(key), [settings.rate, settings.burst ?? 0, how]);
  return {
    incoming: (key, { commit = true } = {}) =>
      fallback.ask(
        async () => answerOf(await run(key, commit ? "commit" : "look")),
        () => local.incoming(named(key), { commit }),
      ),
    uncommit: (key) =>
      fallback.ask(
        async () => (await run(key, "uncommit")).word === "ok",
        () => local.uncommit(named(key)),
      ),
    retryAfterMs: async (key) => local.retryAfterMs(named(key)),
  };
}

/** @throws TypeError also for numbers that are not whole: Redis counts by one, and in whole milliseconds */
function clusterCount(settings: CountSettings, { redis, dict, fallback }: ClusterWires): ClusterLimiter {
  const named = (key: string): string => `limit:count:${key}`;
  for (const what of ["limit", "windowMs"] as const) checkedWhole(`limitCount: ${what}`, settings[what]);
  const local = limitCount({ ...settings, dict });
  const run = (key: string, how: string): Promise<Reply> =>
    runFor(redis, COUNT, named(key), [settings.limit, settings.windowMs, how]);
  return {
    incoming: (key, { commit = true } = {}) =>
      fallback.ask(
        async () => {
          const { word, first } = await run(key, commit ? "commit" : "look");
          return word === "ok" ? countAnswer(first) : ABUSED;
        },
        () => local.incoming(named(key), { commit }),
      ),
    uncommit: (key) =>
      fallback.ask(
        async () => (await run(key, "uncommit")).word === "ok",
        () => local.uncommit(named(key)),
      ),
    retryAfterMs: (key) =>
      fallback.ask(
        async () => {
          const { first } = await run(key, "ttl");
          return first > 0 ? first : settings.windowMs;
        },
        () => local.retryAfterMs(named(key)),
      ),
  };
}

function clusterRate(settings: RateSettings, { redis, dict, fallback }: ClusterWires): ClusterRateLimiter {
  const named = (key: string): string => `limit:rate:${key}`;
  const local = limitRate({ ...settings, dict });
  const { capacity, intervalMs, quantum } = checkedRate(settings);
  const longest = settings.maxWaitMs ?? Number.MAX_SAFE_INTEGER;
  const run = (key: string, count: number, how: string): Promise<Reply> =>
    runFor(redis, RATE, named(key), [capacity, intervalMs, quantum, longest, count, how]);
  const take = (key: string, count: number, { commit = true }: IncomingOptions = {}): Promise<LimitAnswer> =>
    fallback.ask(
      async () => answerOf(await run(key, count, commit ? "commit" : "look")),
      () => local.take(named(key), count, { commit }),
    );
  return {
    take,
    incoming: (key, options) => take(key, 1, options),
    takeAvailable: (key, count) =>
      fallback.ask(
        async () => (await run(key, count, "available")).first,
        () => local.takeAvailable(named(key), count),
      ),
    uncommit: (key) =>
      fallback.ask(
        async () => (await run(key, 1, "uncommit")).word === "ok",
        () => local.uncommit(named(key)),
      ),
    retryAfterMs: async (key) => local.retryAfterMs(named(key)),
  };
}
