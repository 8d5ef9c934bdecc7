import type { Connection } from "./connection.ts";
import { Deadline } from "./deadline.ts";
import { watched } from "./hook-watch.ts";
import type { Hooks } from "./phase-chain.ts";

/** A log hook that waits for a dead service must not hold its session, and the session's place, for ever. */
const LOG_LIMIT_MS = 5_000;

/** Runs `phases.log`; what it fails with is logged, and changes nothing. OpenResty: `log_by_lua`. */
export async function runLogHook(session: Connection, hook: NonNullable<Hooks["log"]>): Promise<void> {
  const { hookWatch } = session;
  session.phase = "log";
  hookWatch?.begin();
  try {
    using limit = new Deadline(LOG_LIMIT_MS);
    const ended = Promise.resolve(watched(hookWatch, "log", () => hook(session)));
    await limit.limit(ended, () => new Error(`not finished within ${LOG_LIMIT_MS} ms`));
  } catch (cause) {
    session.settings.log.error("log hook failed", { session: session.id, server: session.server, err: cause });
  } finally {
    hookWatch?.end();
  }
}
