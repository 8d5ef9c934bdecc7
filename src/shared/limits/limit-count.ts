import type { SharedDict } from "../dict/shared-dict.ts";
import {
  ABUSED,
  checkedDict,
  checkedSetting,
  type DictOptions,
  keptIn,
  type LimitAnswer,
  type Limiter,
  NO_MEMORY,
  REJECTED,
} from "./limiter.ts";

/** How many may come in a time. */
export interface CountSettings {
  readonly limit: number;
  /** From the first who comes; then a new window begins with the next one. */
  readonly windowMs: number;
}

/**
 * Lets in so many in a window of time, which begins with the first: then nobody until it ends. The count goes on below 0 while
 * others are turned away. Exact between processes. OpenResty: `resty.limit.count`. Any phase. @throws TypeError for wrong settings
 */
export function limitCount(options: Pick<DictOptions, "dict"> & CountSettings): Limiter {
  const dict = checkedDict(options.dict);
  const limit = checkedSetting("limitCount: limit", options.limit, "above 0");
  const windowMs = checkedSetting("limitCount: windowMs", options.windowMs, "above 0");
  const look = (key: string): LimitAnswer => {
    const kept = keptIn(dict, key);
    if (kept !== undefined && typeof kept !== "number") return ABUSED;
    return countAnswer((kept ?? limit) - 1);
  };
  return {
    incoming(key, { commit = true } = {}) {
      if (!commit) return look(key);
      const left = dict.incr(key, -1, limit, { initTtlMs: windowMs });
      if (left.err === undefined) return countAnswer(left.value);
      return left.err === "no memory" ? NO_MEMORY : ABUSED;
    },
    uncommit: (key) => dict.incr(key, 1).err === undefined,
    retryAfterMs: (key) => windowLeftMs(dict, key) ?? windowMs,
  };
}

/** `left`: of the window, after this one. */
export function countAnswer(left: number): LimitAnswer {
  return left < 0 ? REJECTED : { delayMs: 0, remaining: left };
}

function windowLeftMs(dict: SharedDict, key: string): number | undefined {
  return dict.ttl(key).value;
}
