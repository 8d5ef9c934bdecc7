import { Deadline } from "../stream/deadline.ts";
import type { Log } from "../stream/log.ts";
import type { Generation } from "./generation.ts";

/** A hook that waits for what never comes must not hold up the next reload; whoever asked gives up a little later. */
const INIT_WORKER_MS = 25_000;

/** Whoever stops a process waits for it. */
const EXIT_WORKER_MS = 5_000;

/** Runs a configuration's `initWorker`. Rejects with what the hook throws. */
export async function initWorker({ config, worker }: Generation): Promise<void> {
  await config.phases?.initWorker?.(worker);
}

/** Waits for `initWorker` beside another configuration that serves: for 25 s at most, and not longer than it is wanted. */
export async function inTime(hook: Promise<void>, unless: AbortSignal): Promise<void> {
  using limit = new Deadline(INIT_WORKER_MS);
  const unwanted = new Promise<never>((_, reject) => {
    const giveUp = (): void => reject(unless.reason);
    if (unless.aborted) giveUp();
    unless.addEventListener("abort", giveUp, { once: true });
  });
  const late = (): Error => new Error(`initWorker: not finished within ${INIT_WORKER_MS} ms`);
  await limit.limit(Promise.race([hook, unwanted]), late);
}

/** Resolves when a hook is over that nobody waits for any more: only then all that it has opened can be closed. After 25 s it is over. */
export async function settled(hook: Promise<void>): Promise<void> {
  using limit = new Deadline(INIT_WORKER_MS);
  await limit.limit(hook, () => new Error("late")).catch(() => {});
}

/** Runs a configuration's `exitWorker`: what fails there is said, and changes nothing. */
export async function exitWorker({ config, worker }: Generation, log: Log): Promise<void> {
  if (!config.phases?.exitWorker) return;
  try {
    using limit = new Deadline(EXIT_WORKER_MS);
    const ended = Promise.resolve(config.phases.exitWorker(worker));
    await limit.limit(ended, () => new Error(`not finished within ${EXIT_WORKER_MS} ms`));
  } catch (cause) {
    log.error("exitWorker hook failed", { err: cause });
  }
}
