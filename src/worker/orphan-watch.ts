import { extname } from "node:path";
import process from "node:process";
import { Worker } from "node:worker_threads";
import type { OrphanMessage } from "./orphan-thread.ts";

/** The thread needs no more: it looks at one number now and then. */
const HEAP_MB = 8;

/**
 * Ends this process when its master is gone and it does not end by itself: a hook that never returns would hold the ports for good,
 * and nobody is left to end it. A thread does it, since the event loop may stand still. Returns what is to be called when the process
 * has noticed by itself, and has begun to end. Where no thread can be started, nobody watches.
 */
export function watchOrphan(): () => void {
  const entry = new URL(`./orphan-thread${extname(import.meta.url)}`, import.meta.url);
  const thread = new Worker(entry, {
    workerData: process.ppid,
    execArgv: [],
    env: {},
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, maxYoungGenerationSizeMb: 1 },
  });
  thread.on("error", () => {});
  thread.unref();
  return () => {
    const message: OrphanMessage = "ending";
    thread.postMessage(message);
  };
}
