import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { LAST_DRAIN_MS } from "./process-end.ts";

// Watches from beside the event loop whether the master lives.

/** What the process says: it has seen that its master is gone, and ends. */
export type OrphanMessage = "ending";

/** How often the parent is looked at. */
const LOOK_MS = 1_000;

/** An event loop that turns notices within a moment. One that has not by then stands still, and a new gateway waits for its ports. */
const NOTICE_MS = 5_000;

/** So much more than it gives itself has a process that ends. */
const MARGIN_MS = 2_000;

const master: unknown = workerData;
let isEnding = false;
parentPort?.on("message", () => {
  isEnding = true;
});
parentPort?.unref();

const looking = setInterval(() => {
  if (process.ppid === master) return;
  clearInterval(looking);
  setTimeout(() => {
    if (!isEnding) end();
    setTimeout(end, LAST_DRAIN_MS + MARGIN_MS - NOTICE_MS);
  }, NOTICE_MS);
}, LOOK_MS);

function end(): void {
  process.kill(process.pid, "SIGKILL");
}
