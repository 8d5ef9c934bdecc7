import process from "node:process";
import { attachDicts, type DictHandle, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { clusterLimits } from "../../../src/shared/limits/cluster-limits.ts";
import { limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { limitCount } from "../../../src/shared/limits/limit-count.ts";
import { limitRate } from "../../../src/shared/limits/limit-rate.ts";
import { limitReq } from "../../../src/shared/limits/limit-req.ts";
import type { LimitAnswer } from "../../../src/shared/limits/limiter.ts";
import { redisScripts } from "../../../src/shared/limits/redis-scripts.ts";

/** What a process of these tests is told: where to count, what, and how often. */
export interface Job {
  readonly where: { readonly handle: DictHandle } | { readonly redis: number };
  readonly kind: "req" | "count" | "rate" | "churn" | "hold";
  readonly amount: number;
  /** How many may be let in, over all processes. */
  readonly places: number;
  /** How long one in Redis holds who does not renew; default a minute. */
  readonly leaseMs?: number;
}

/** A step that never comes in a test: nobody is let in twice. */
const NEVER_MS = 1e9;

type Ask = (key: string) => LimitAnswer | Promise<LimitAnswer>;

/** Does a job, and tells how many were let in. Starts when it is told to, so that all are at it together. */
export async function work({ where, kind, amount, places, leaseMs = 60_000 }: Job): Promise<void> {
  const { ask, dict, close } = await limiterOf(where, kind, places, leaseMs);
  const go = new Promise((resolve) => process.once("message", resolve));
  process.send?.("ready");
  await go;
  let admitted = 0;
  for (let round = 0; round < amount; round++) {
    const answer = await ask("key");
    if (answer.err !== undefined) {
      if (kind === "churn") round--; // others come and go, and so does this one in the end
      continue;
    }
    admitted++;
    if (kind === "churn") {
      const { value = 0 } = dict.incr("now", 1, 0);
      if (value > places) throw new Error(`${value} at once`);
      dict.incr("now", -1);
      answer.release?.();
    }
  }
  process.send?.({ admitted });
  if (kind === "hold") await new Promise(() => setInterval(() => {}, 1_000)); // until it is killed
  await close();
  process.disconnect();
}

async function limiterOf(
  where: Job["where"],
  kind: Job["kind"],
  places: number,
  leaseMs: number,
): Promise<{ ask: Ask; dict: SharedDict; close(): unknown }> {
  const { dict } = "handle" in where ? attachDicts({ dict: where.handle }).dicts : openDicts({ dict: "1m" }).dicts;
  if (!dict) throw new Error("it was opened above");
  const req = { rate: 1_000 / NEVER_MS, burst: places - 1 };
  const count = { limit: places, windowMs: NEVER_MS };
  const rate = { capacity: places, intervalMs: NEVER_MS, maxWaitMs: 0 };
  const conn = { conns: places };
  if ("handle" in where) {
    const limiter = {
      req: () => limitReq({ dict, ...req }),
      count: () => limitCount({ dict, ...count }),
      rate: () => limitRate({ dict, ...rate }),
    };
    const made = kind === "req" || kind === "count" || kind === "rate" ? limiter[kind]() : limitConn({ dict, ...conn });
    return { ask: (key) => made.incoming(key), dict, close: () => {} };
  }
  const { Redis } = await import("ioredis");
  const client = new Redis(where.redis);
  const limits = clusterLimits({ redis: redisScripts(client), dict, timeoutMs: 20_000, leaseMs });
  const limiter = {
    req: () => limits.limitReq(req),
    count: () => limits.limitCount(count),
    rate: () => limits.limitRate(rate),
  };
  const made = kind === "req" || kind === "count" || kind === "rate" ? limiter[kind]() : limits.limitConn(conn);
  return { ask: (key) => made.incoming(key), dict, close: () => client.quit() };
}
