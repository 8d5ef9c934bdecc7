import { GatewayError } from "../errors.ts";
import type { Log } from "../stream/log.ts";

/** Sessions that a quick stop has told to end get so long for their log hooks. */
export const QUICK_STOP_MS = 5_000;

/** A worker ends so much earlier than its master gives up on it: the master sees it end, and its last lines are in the log. */
const WORKER_LEAD_MS = 500;

/** For a worker's own quick stop. */
export const WORKER_STOP_MS: number = QUICK_STOP_MS - WORKER_LEAD_MS;

/** After an exception that nobody caught the state may be broken, and without a master nobody stops us: sessions get so long to end by themselves. */
export const LAST_DRAIN_MS = 30_000;

/** Nobody waits longer for a drain: one without a time lets sessions take as long as they like. */
export const MAX_DRAIN_MS = 86_400_000;

/** Logs an exception that nobody caught, rejections included. False: a callback of a hook has ended its session by it, and all is well. */
export function isFault(cause: unknown, origin: string, log: Log | undefined): boolean {
  if (cause instanceof GatewayError && cause.code === "RC_EXITED") return false;
  log?.error("uncaught", { code: GatewayError.from(cause).code, phase: "worker", origin, err: cause });
  return true;
}
