/** The first retry comes at once, as far as people notice; the last ones do not hammer a Redis that has just come back. */
const MIN_MS = 100;
const MAX_MS = 3_000;

/**
 * How long to wait before the attempt of this number, from 1: doubling up to 3 s, of which half is random. Thousands of
 * gateways lose a Redis in the same moment, and must not come back to it in the same one.
 */
export function jitteredMs(attempt: number): number {
  const ms = Math.min(MIN_MS * 2 ** Math.min(attempt - 1, 16), MAX_MS);
  return Math.round(ms * (0.5 + Math.random() / 2));
}
