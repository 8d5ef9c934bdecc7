/** Beyond it, doubling changes nothing but the number's exponent. */
const MAX_DOUBLINGS = 16;

/** Between which times to wait before another attempt. */
export interface Backoff {
  /** Before the second attempt, at most. */
  readonly minRetryMs: number;
  /** However many have failed. */
  readonly maxRetryMs: number;
}

/**
 * How long to wait before another attempt after so many failures in a row, from 1, in milliseconds: doubling, and half of it
 * random. Whatever restarts loses all gateways in one moment, and must not get them back in one.
 */
export function backoffMs(
  failures: number,
  { minRetryMs, maxRetryMs }: Backoff,
  random: () => number = Math.random,
): number {
  const ms = Math.min(minRetryMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS), maxRetryMs);
  return Math.round(ms * (0.5 + random() / 2));
}
