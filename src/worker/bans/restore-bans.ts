import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Loss } from "../../registry/redis/follow.ts";
import type { Registry } from "../../registry/registry.ts";
import { backoffMs } from "../../shared/backoff.ts";
import type { HeldBan } from "../../stream/bans/ban.ts";
import { banValue } from "../../stream/bans/ban.ts";

/** Says that somebody puts the bans back, so that not all do. */
const MARK_KEY = "bans:restored";

/** Whoever sees a mark looks again so much later: the one who left it may have died, and what is not back within 15 s is forgotten. */
const MARK_MS = 5_000;

/** Looks within the time of a mark. */
const LOOKS = 4;

/**
 * What the mark says when all are back that somebody knew, in front of what they were lost by: a mark from Redis' disk may tell of another
 * time. Who knows more looks what is not there.
 */
const DONE = "done ";

/** The same where nobody knew who had heard of Redis until then: the others may know more. */
const UNSURE_DONE = "perhaps ";

/** Whoever was cut off for longer has not heard what others took back since, and may do so still: it asks again after each cut. */
const DONE_MS = 86_400_000;

/** Of those that notice in one moment the first is well ahead of the second. */
const SPREAD_MS = 2_000;

/** Those who know bans go first; who knows none says only that nothing is missing. */
const NONE_MS = 3_000;

/** Last come those who have not heard of Redis for long, and only where nobody else was there. */
const UNSURE_MS = 6_000;

/** Keys under way at once: no burst, and 100,000 bans are back within seconds. */
const PUTS_AT_ONCE = 64;

/** Redis may go again. What is not back within 15 s is forgotten by those who follow it. */
const RETRY = { minRetryMs: 250, maxRetryMs: 2_000 };

/** What is to be put back. */
export interface Restored {
  /** Where the mark is. */
  readonly registry: Pick<Registry, "get" | "put">;
  readonly loss: Pick<Loss, "epoch" | "read" | "swap">;
  /** Keys of bans that Redis has lost. */
  readonly keys: readonly string[];
  /** It has heard what others took back before that. */
  readonly isSure: boolean;
  /** Undefined: it was taken back meanwhile. */
  ban(key: string): HeldBan | undefined;
  /** True: what Redis has was taken back before. All else that is there stays. */
  isOutdated(key: string, value: string): boolean;
}

/**
 * Redis has lost its data, or some: one of those who know the bans puts them back, and the others what that one did not know. Who may
 * have missed something does so only where all may. Resolves when that was done, or is given up.
 */
export async function restoreBans(bans: Restored, signal: AbortSignal): Promise<void> {
  const mark = randomUUID();
  const { isSure, loss, keys } = bans;
  await pause((isSure ? (keys.length > 0 ? 0 : NONE_MS) : UNSURE_MS) + Math.random() * SPREAD_MS, signal);
  for (let failures = 1; !signal.aborted; ) {
    try {
      const marked = await bans.registry.get(MARK_KEY);
      if (marked === DONE + loss.epoch) return isSure ? await putAll(bans, undefined, signal) : undefined;
      if (marked === UNSURE_DONE + loss.epoch && !isSure) return await putAll(bans, undefined, signal);
      const isOver = marked?.startsWith(DONE) || marked?.startsWith(UNSURE_DONE);
      if (marked === undefined || marked === mark || isOver) return await putAll(bans, mark, signal);
      await pause(MARK_MS / LOOKS, signal);
    } catch {
      await pause(backoffMs(failures++, RETRY), signal);
    }
  }
}

/** The mark is renewed with each step, and says at the end that the others need only look. */
async function putAll(bans: Restored, mark: string | undefined, signal: AbortSignal): Promise<void> {
  const { registry, loss, keys, isSure } = bans;
  for (let at = 0; at < keys.length && !signal.aborted; at += PUTS_AT_ONCE) {
    if (mark !== undefined) await registry.put(MARK_KEY, mark, { ttlMs: MARK_MS, announce: false });
    const some = keys.slice(at, at + PUTS_AT_ONCE);
    const values = await loss.read(some);
    if (signal.aborted) return;
    await Promise.all(some.map((key, index) => put(bans, key, values[index])));
  }
  const isDone = mark !== undefined && !signal.aborted;
  const done = `${isSure ? DONE : UNSURE_DONE}${loss.epoch}`;
  if (isDone) await registry.put(MARK_KEY, done, { ttlMs: DONE_MS, announce: false });
}

/** Where somebody has written meanwhile, that is what holds. */
async function put({ loss, ban, isOutdated }: Restored, key: string, before: string | undefined): Promise<void> {
  const held = ban(key);
  const leftMs = (held?.untilMs ?? 0) - Date.now();
  if (!held || leftMs <= 0 || (before !== undefined && !isOutdated(key, before))) return;
  const ttl = leftMs === Number.POSITIVE_INFINITY ? {} : { ttlMs: leftMs };
  await loss.swap(key, { before, value: banValue(held), ...ttl });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
