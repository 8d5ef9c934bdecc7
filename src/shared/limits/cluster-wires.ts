import { messageOf } from "../../errors.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import type { Fallback, FallbackOptions } from "./fallback.ts";
import type { LimitScript, RedisScripts } from "./redis-scripts.ts";

/** What limiters of several gateways count with. */
export interface ClusterOptions extends FallbackOptions {
  /** Where all gateways count. */
  readonly redis: RedisScripts;
  /** Where this machine counts while Redis is away. */
  readonly dict: SharedDict;
  /** For tests: how long a lease lasts in Redis without being renewed. */
  readonly leaseMs?: number | undefined;
}

/** What limiters of one Redis have in common. */
export interface ClusterWires extends ClusterOptions {
  readonly fallback: Fallback;
}

/** What a program answered: a word, and two values. */
export interface Reply {
  readonly word: string;
  readonly first: number;
  readonly second: number;
}

/** Runs a program for one key. A value of another type under the key is an answer, and no trouble with Redis. */
export async function runFor(
  redis: RedisScripts,
  script: LimitScript,
  key: string,
  values: readonly (string | number)[],
): Promise<Reply> {
  try {
    const reply = await redis.run(script, [key], values);
    const [word, first, second] = Array.isArray(reply) ? reply : [];
    return { word: String(word), first: Number(first ?? 0), second: Number(second ?? 0) };
  } catch (cause) {
    if (messageOf(cause).includes("WRONGTYPE")) return { word: "abused", first: 0, second: 0 };
    throw cause;
  }
}
