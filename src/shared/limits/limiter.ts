import type { SharedDict } from "../dict/shared-dict.ts";

/** Why a limiter lets nobody in, in OpenResty's words; the second: there is something under the key that is not its own. */
export type LimitError = "rejected" | "shdict abused by other users" | "no memory";

/** What a limiter says of somebody that it lets in. */
export interface Admitted {
  /** How long he has to wait first; the limiter itself waits for nothing. */
  readonly delayMs: number;
  /** How many more it would let in at this moment. */
  readonly remaining: number;
  readonly err?: undefined;
  /** Where it is a lease: gives it back. */
  release?(tookMs?: number): void;
}

/** What it says of somebody that it does not let in. */
export interface Refused {
  readonly err: LimitError;
  readonly delayMs?: undefined;
  readonly remaining?: undefined;
  readonly release?: undefined;
}

/** What a limiter answers. */
export type LimitAnswer = Admitted | Refused;

/** How a limiter is asked. */
export interface IncomingOptions {
  /** False: only says what it would say, and counts nothing. Default true. */
  readonly commit?: boolean | undefined;
}

/** A limiter of the dictionaries: it answers at once. OpenResty: `resty.limit.*`. Any phase. */
export interface Limiter<Answer extends LimitAnswer = LimitAnswer> {
  /** Somebody comes. */
  incoming(key: string, options?: IncomingOptions): Answer;
  /** Takes back what the last `incoming` for this key has counted. False: there is nothing to take back. */
  uncommit(key: string): boolean;
  /** When, at the latest, it would let somebody in again who is turned away now; undefined: it cannot know. */
  retryAfterMs(key: string): number | undefined;
}

/** The same, asked over the network. */
export interface ClusterLimiter<Answer extends LimitAnswer = LimitAnswer> {
  incoming(key: string, options?: IncomingOptions): Promise<Answer>;
  uncommit(key: string): Promise<boolean>;
  retryAfterMs(key: string): Promise<number | undefined>;
}

/** Where a limiter of one machine counts. */
export interface DictOptions {
  /** `session.worker.shared.<name>`. */
  readonly dict: SharedDict;
  /** For tests: the milliseconds of a clock that all processes share. */
  readonly now?: (() => number) | undefined;
}

export const REJECTED: Refused = Object.freeze({ err: "rejected" });
export const ABUSED: Refused = Object.freeze({ err: "shdict abused by other users" });
export const NO_MEMORY: Refused = Object.freeze({ err: "no memory" });

/**
 * Who has lost this many races in a row has lost none: each lost race is another's success, so that a dictionary without room
 * is the likelier cause.
 */
const MAX_TRIES = 10_000;

/** Repeats a step until it was not overtaken by another process; undefined: it does not get through. */
export function untilDone<Result>(step: () => Result | undefined): Result | undefined {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const result = step();
    if (result !== undefined) return result;
  }
  return undefined;
}

/** What a dictionary has under a key, where only values of one kind are expected. A list has no value. */
export function keptIn(dict: SharedDict, key: string): unknown {
  try {
    return dict.get(key);
  } catch (cause) {
    if (cause instanceof TypeError && cause.message === "value is a list") return A_LIST;
    throw cause;
  }
}

const A_LIST = Symbol("a list");

/** Checks what a limiter is made with. @throws TypeError, as nobody but the programmer can have done it */
export function checkedSetting(what: string, value: number, min: "above 0" | "from 0"): number {
  const isRight =
    typeof value === "number" && value < Number.POSITIVE_INFINITY && (value > 0 || (value === 0 && min === "from 0"));
  if (!isRight) throw new TypeError(`${what}: expected a number ${min}, got ${String(value)}`);
  return value;
}

/** OpenResty takes a dictionary's name, here it is the dictionary. @throws TypeError in OpenResty's words */
export function checkedDict(dict: SharedDict | undefined): SharedDict {
  if (typeof dict !== "object" || !("cas" in dict)) throw new TypeError("shared dict not found");
  return dict;
}
