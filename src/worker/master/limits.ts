import { MAX_TIMER_MS } from "../../codecs/timer.ts";
import { LAST_DRAIN_MS, QUICK_STOP_MS } from "../process-end.ts";
import type { WorkerCalls } from "./calls.ts";
import { isDebugged } from "./debugged.ts";

// How long a master waits for its workers: whatever it waits for has an end, and a process that has not ended by then is killed.

/** A worker builds a configuration: 25 s for `initWorker`, and some for modules, certificates and the process itself. */
export const BUILD_MS = 40_000;

/** A first start takes as long as it likes. Those after it may take so many times as long: the machine serves meanwhile. */
const MORE_THAN_FIRST = 3;

/** How long a worker may take to start that comes after others, of which the slowest took so long. */
export function startLimitMs(firstMs: number): number {
  return Math.max(BUILD_MS, MORE_THAN_FIRST * firstMs);
}

/** All else is a moment's work: whoever asks is not kept waiting by one that is busy. */
const ANSWER_MS = 5_000;

/** A list of some hundred thousand sessions takes its time. */
const LIST_MS = 30_000;

/** How long a worker may take to answer a call. */
export function answerLimitMs(call: keyof WorkerCalls): number {
  if (call === "prepare") return BUILD_MS;
  return call === "sessions" ? LIST_MS : ANSWER_MS;
}

/** How often workers are asked for a sign of life. */
export const BEAT_MS = 5_000;

/** So many signs of life may fail to come: 20 s, longer than any work that a hook does by mistake, and than a machine swaps. */
export const MISSED_BEATS = 4;

/** A process that was told to end at once and has not by then is killed: the master itself ends then. */
export const QUICK_LIMIT_MS: number = QUICK_STOP_MS;

/** A process that wants to end gets so much more than it gives itself. */
const MARGIN_MS = 2_000;

/** One whose exception nobody has caught. */
export const CRASH_LIMIT_MS: number = LAST_DRAIN_MS + MARGIN_MS;

/** What sessions may take that a drain has told to go; after that the worker cuts them off by itself. */
const LAST_SESSIONS_MS = 5_000;

/** What hooks and timers may take after the last session, 5 s each. */
const LAST_HOOKS_MS = 10_000;

/** One that drains over a time. Without one, sessions may take as long as they like, and only a worker that is stuck is killed. */
export function drainLimitMs(overMs: number): number {
  return overMs + LAST_SESSIONS_MS + LAST_HOOKS_MS + MARGIN_MS;
}

/** For a timer that watches over a limit of a worker: a longer one would fire at once. Nobody waits in vain who debugs: there is no limit then. */
export function timerMs(limitMs: number): number {
  return isDebugged() ? MAX_TIMER_MS : Math.min(limitMs, MAX_TIMER_MS);
}
