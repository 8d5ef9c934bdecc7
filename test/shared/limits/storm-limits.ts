import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { type ConnLimiter, limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { limitCount } from "../../../src/shared/limits/limit-count.ts";
import { limitRate } from "../../../src/shared/limits/limit-rate.ts";
import { limitReq } from "../../../src/shared/limits/limit-req.ts";
import type { Limiter } from "../../../src/shared/limits/limiter.ts";

// One limiter of each kind, the same in all processes of a test. Nothing leaks, fills or ends while it runs.

/** Kinds that count who was let in. */
export const KINDS = ["req", "count", "rate"] as const;
export type Kind = (typeof KINDS)[number];

/** Connections at once. */
export const PLACES = 50;

const MANY = 1e9;
/** A step that never comes in a test. */
const NEVER_MS = 1e7;

export function stormLimits(dict: SharedDict): { conn: ConnLimiter; counting: Record<Kind, Limiter> } {
  return {
    conn: limitConn({ dict, conns: PLACES }),
    counting: {
      req: limitReq({ dict, rate: 1_000 / NEVER_MS, burst: MANY }),
      count: limitCount({ dict, limit: MANY, windowMs: NEVER_MS }),
      rate: limitRate({ dict, capacity: MANY, intervalMs: NEVER_MS, maxWaitMs: 0 }),
    },
  };
}

/** How many a limiter says that it has let in. */
export function counted(limits: ReturnType<typeof stormLimits>, kind: Kind): number {
  const { remaining = Number.NaN } = limits.counting[kind].incoming(kind, { commit: false });
  return kind === "req" ? MANY - remaining : MANY - remaining - 1;
}

/** Where each process counts along, after it was let in. */
export function talliedAs(kind: Kind): string {
  return `let in: ${kind}`;
}
