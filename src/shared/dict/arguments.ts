import type { StoreOptions } from "./shared-dict.ts";

/** The largest flags: 32 bits without sign. */
const MAX_FLAGS = 0xff_ff_ff_ff;
const NO_OPTIONS: StoreOptions = Object.freeze({});

/** What `set` and its like are told besides the value. @throws TypeError `bad "exptime" argument`, `bad "flags" argument` */
export function checkedOptions(options: StoreOptions = NO_OPTIONS): { readonly ttlMs: number; readonly flags: number } {
  const { ttlMs = 0, flags = 0 } = options;
  if (!isFlags(flags)) throw new TypeError('bad "flags" argument');
  return { ttlMs: checkedTime(ttlMs, "exptime"), flags };
}

/** A time to live in milliseconds. @throws TypeError `bad "exptime" argument` */
export function checkedTime(ms: number, name: "exptime" | "init_ttl"): number {
  if (isTime(ms)) return ms;
  throw new TypeError(`bad "${name}" argument`);
}

/** Whether it is a whole number of 32 bits without sign. */
export function isFlags(flags: unknown): flags is number {
  return typeof flags === "number" && flags >= 0 && flags <= MAX_FLAGS && Number.isInteger(flags);
}

/** Whether it is a time to live. */
export function isTime(ms: unknown): ms is number {
  return typeof ms === "number" && ms >= 0 && ms < Number.POSITIVE_INFINITY;
}

/** @throws TypeError in the words of lua-resty-core */
export function checkedNumber(value: unknown, name: "value" | "init" | "init_ttl"): number {
  if (typeof value === "number") return value;
  throw new TypeError(`bad ${name} arg: number expected, got ${typeof value}`);
}

/** How many at most, where 0 means all. */
export function checkedCount(max: number, name: "max" | "limit"): number {
  return checkedWhole(max, name) === 0 ? Number.POSITIVE_INFINITY : max;
}

/** @throws TypeError for anything but a number of things */
export function checkedWhole(number: number, name: "max" | "limit" | "cursor"): number {
  if (Number.isInteger(number) && number >= 0) return number;
  throw new TypeError(`bad ${name} argument: expected a whole number, got ${number}`);
}
