import { hrtime } from "node:process";

/** What tells the milliseconds by which entries expire. All processes that share a dictionary must see the same. */
export type Clock = () => number;

/** From this process's clock to the machine's, which has one zero for all processes. */
const OFFSET_MS = offset();

/** Milliseconds of the machine's monotonic clock: the same in all processes, and nobody can set it back or forward. */
export function machineClock(): number {
  return performance.now() + OFFSET_MS;
}

function offset(): number {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1_000 + nanoseconds / 1_000_000 - performance.now();
}
