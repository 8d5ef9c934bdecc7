import { backoffMs } from "../../shared/backoff.ts";

/** The longest time between two attempts: who lives is back so soon, and yet does not hammer a Redis that has just come back. */
export const MAX_RETRY_MS = 2_000;

/** The first retry comes at once, as far as people notice. */
const RETRY = { minRetryMs: 100, maxRetryMs: MAX_RETRY_MS };

/** How long to wait before the attempt of this number at Redis, from 1. */
export function jitteredMs(attempt: number): number {
  return backoffMs(attempt, RETRY);
}
