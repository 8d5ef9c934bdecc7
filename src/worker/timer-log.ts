import { timers } from "../shared/timer.ts";
import type { Log } from "../stream/log.ts";

/** Writes into the log what timers of this process fail in, until what is returned is called. */
export function logTimers(log: Log): () => void {
  return timers.onTrouble((trouble) => {
    if (trouble.kind === "failed") log.error("timer failed", { timer: trouble.name, err: trouble.cause });
    else log.error("timer not called: too many run", { timer: trouble.name, max_running: trouble.maxRunning });
  });
}
