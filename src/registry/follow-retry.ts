import { backoffMs } from "../shared/backoff.ts";

/** A registry that went away is asked again so soon, and later as rarely. */
const RETRY = { minRetryMs: 250, maxRetryMs: 5_000 };

/** How long whoever follows keys of a registry waits before it is asked again, after so many failures in a row, from 1. */
export function followRetryMs(failures: number): number {
  return backoffMs(failures, RETRY);
}
