import type { LinkTiming } from "./limits.ts";

/** Beyond it, doubling changes nothing but the number's exponent. */
const MAX_DOUBLINGS = 16;

/**
 * How long to wait before another attempt after so many failures in a row, from 1, in milliseconds. Half of it is random: a
 * game server that restarts loses the links of all gateways in one moment, and must not get them back in one.
 */
export function backoffMs(
  failures: number,
  { minRetryMs, maxRetryMs }: Pick<LinkTiming, "minRetryMs" | "maxRetryMs">,
  random: () => number = Math.random,
): number {
  const ms = Math.min(minRetryMs * 2 ** Math.min(failures - 1, MAX_DOUBLINGS), maxRetryMs);
  return Math.round(ms * (0.5 + random() / 2));
}
