import type { StoreOptions } from "./shared-dict.ts";

/** The largest flags: 32 bits without sign. */
const MAX_FLAGS = 0xff_ff_ff_ff;
const NO_OPTIONS: StoreOptions = Object.freeze({});

/** What `set` and its like are told besides the value. @throws TypeError `bad "exptime" argument`, `bad "flags" argument` */
export function checkedOptions(options: StoreOptions = NO_OPTIONS): { readonly ttlMs: number; readonly flags: number } {
  const { ttlMs = 0, flags = 0 } = options;
  if (!(flags >= 0 && flags <= MAX_FLAGS && Number.isInteger(flags))) throw new TypeError('bad "flags" argument');
  return { ttlMs: checkedTime(ttlMs, "exptime"), flags };
}

/** A time to live in milliseconds. @throws TypeError `bad "exptime" argument` */
export function checkedTime(ms: number, name: "exptime" | "init_ttl"): number {
  if (typeof ms === "number" && ms >= 0 && ms < Number.POSITIVE_INFINITY) return ms;
  throw new TypeError(`bad "${name}" argument`);
}

/** @throws TypeError in the words of lua-resty-core */
export function checkedNumber(value: unknown, name: "value" | "init" | "init_ttl"): number {
  if (typeof value === "number") return value;
  throw new TypeError(`bad ${name} arg: number expected, got ${typeof value}`);
}

/** How many at most, where 0 means all. */
export function checkedCount(max: number): number {
  if (!(Number.isInteger(max) && max >= 0))
    throw new TypeError(`bad max argument: expected a whole number, got ${max}`);
  return max === 0 ? Number.POSITIVE_INFINITY : max;
}
