import { Deadline } from "../stream/deadline.ts";
import type { Log } from "../stream/log.ts";
import type { Generation } from "./generation.ts";

/** A hook that waits for what never comes must not hold up the next reload; whoever asked gives up a little later. */
const INIT_WORKER_MS = 25_000;

/** Whoever stops a process waits for it. */
const EXIT_WORKER_MS = 5_000;

/** Runs a configuration's `initWorker` beside another one that serves. @throws what the hook throws; Error when it takes too long */
export async function initWorker({ config, worker }: Generation): Promise<void> {
  using limit = new Deadline(INIT_WORKER_MS);
  const begun = Promise.resolve(config.phases?.initWorker?.(worker));
  await limit.limit(begun, () => new Error(`initWorker: not finished within ${INIT_WORKER_MS} ms`));
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
