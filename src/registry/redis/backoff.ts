import { backoffMs } from "../../shared/backoff.ts";

/** The first retry comes at once, as far as people notice; the last ones do not hammer a Redis that has just come back. */
const RETRY = { minRetryMs: 100, maxRetryMs: 3_000 };

/** How long to wait before the attempt of this number at Redis, from 1. */
export function jitteredMs(attempt: number): number {
  return backoffMs(attempt, RETRY);
}
