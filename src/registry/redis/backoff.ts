import { backoffMs } from "../../shared/backoff.ts";

/** The longest time between two attempts: who lives is back so soon, and yet does not hammer a Redis that has just come back. */
export const MAX_RETRY_MS = 2_000;

/** The first retry comes at once, as far as people notice. */
const RETRY = { minRetryMs: 100, maxRetryMs: MAX_RETRY_MS };

/** A replica whose master is made elsewhere within a second is left soon; one that stays a replica is not asked for ever. */
const READ_ONLY_RETRY = { minRetryMs: 100, maxRetryMs: 10_000 };

/** How long to wait before the attempt of this number at Redis, from 1. */
export function jitteredMs(attempt: number): number {
  return backoffMs(attempt, RETRY);
}

/** How long to stay with a Redis that takes no writes, before the connection of this number is tried, from 1. */
export function readOnlyRetryMs(attempt: number): number {
  return backoffMs(attempt, READ_ONLY_RETRY);
}
