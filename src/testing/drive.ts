import type { Activity } from "./activity.ts";

/** After a run was given up, so long for hooks and sockets to end. */
const CLEAN_UP_MS = 60_000;

/** Timers that may fire in one run: beyond it one of them fires again and again. */
const MAX_TIMERS = 100_000;

interface DriveOptions {
  /** Goes on to the next timer, and calls it. False: there is none, or it is later than `untilMs`. */
  advance(untilMs: number): boolean;
  /** The time that has gone on until now. */
  now(): number;
  readonly activity: Activity;
  /** The longest that it may take. */
  readonly limitMs: number;
  /** Ends what still waits. Called once; what does not end even then is left alone. */
  giveUp(reason: string): Error;
}

/** Lets time go on whenever nothing else does, until the work has ended. */
export async function drive<Result>(work: Promise<Result>, options: DriveOptions): Promise<Result> {
  const { advance, now, activity, giveUp } = options;
  let [isOver, limitMs, givenUp]: [boolean, number, Error | undefined] = [false, options.limitMs, undefined];
  const end = (): void => {
    isOver = true;
  };
  work.then(end, end);
  for (let timers = 0; ; timers++) {
    const isAtRest = await activity.rest();
    if (isOver) return work;
    if (isAtRest && timers < MAX_TIMERS && advance(limitMs)) continue;
    if (givenUp) throw givenUp;
    givenUp = giveUp(isAtRest ? reasonOf(timers, now(), limitMs) : "the run is never at rest");
    limitMs = now() + CLEAN_UP_MS;
    timers = 0;
  }
}

function reasonOf(timers: number, now: number, limitMs: number): string {
  if (timers >= MAX_TIMERS) return `the run has not ended after ${MAX_TIMERS} timers`;
  return now > limitMs ? `the run has not ended within ${limitMs} ms of its clock` : "nothing goes on any more";
}
