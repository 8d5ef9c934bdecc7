import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Registry } from "../../registry/registry.ts";
import { backoffMs } from "../../shared/backoff.ts";
import type { HeldBan } from "../../stream/bans/ban.ts";
import { BAN_KEYS, banValue } from "../../stream/bans/ban.ts";

/** Says that somebody puts the bans back, so that not all do. */
const MARK_KEY = "bans:restored";

/** Whoever sees a mark looks again so much later: the one who left it may have died, and what is not back within 15 s is forgotten. */
const MARK_MS = 5_000;

/** Looks within the time of a mark. */
const LOOKS = 4;

/** What the mark says when all are back, in front of what they were lost by: a mark from Redis' disk may tell of another time. */
const DONE = "done ";

/** All processes notice within some 5 s that Redis has lost its data: as long as they may take to connect, and a round more. */
const DONE_MS = 10_000;

/** Of those that notice in one moment the first is well ahead of the second. */
const SPREAD_MS = 2_000;

/** Keys under way at once: no burst, and 100,000 bans are back within seconds. */
const PUTS_AT_ONCE = 64;

/** Redis may go again. What is not back within 15 s is forgotten by those who follow it. */
const RETRY = { minRetryMs: 250, maxRetryMs: 2_000 };

/** What is to be put back. */
export interface Restored {
  readonly registry: Pick<Registry, "get" | "put">;
  /** What it was lost by: the same for all who put it back. */
  readonly epoch: string;
  /** Keys of bans that Redis has lost. */
  keys(): readonly string[];
  /** Undefined: it was taken back meanwhile. */
  ban(key: string): HeldBan | undefined;
}

/** Redis has lost bans: one of those who know the bans puts them back. Resolves when that was done, by whomever. */
export async function restoreBans(bans: Restored, signal: AbortSignal): Promise<void> {
  const mark = randomUUID();
  await pause(Math.random() * SPREAD_MS, signal);
  for (let failures = 1; !signal.aborted && bans.keys().length > 0; ) {
    try {
      const marked = await bans.registry.get(MARK_KEY);
      if (marked === DONE + bans.epoch) return;
      const isTaken = marked !== undefined && marked !== mark && !marked.startsWith(DONE);
      if (!isTaken) return await putAll(bans, mark, signal);
      await pause(MARK_MS / LOOKS, signal);
    } catch {
      await pause(backoffMs(failures++, RETRY), signal);
    }
  }
}

/** The mark is renewed with each step, and says at the end that nobody need go on. */
async function putAll({ registry, epoch, keys, ban }: Restored, mark: string, signal: AbortSignal): Promise<void> {
  const all = keys();
  for (let at = 0; at < all.length && !signal.aborted; at += PUTS_AT_ONCE) {
    await registry.put(MARK_KEY, mark, { ttlMs: MARK_MS, announce: false });
    const held = all.slice(at, at + PUTS_AT_ONCE).flatMap((key) => ban(key) ?? []);
    await Promise.all(held.map((one) => put(registry, one)));
  }
  if (!signal.aborted) await registry.put(MARK_KEY, DONE + epoch, { ttlMs: DONE_MS, announce: false });
}

async function put(registry: Pick<Registry, "put">, ban: HeldBan): Promise<void> {
  const leftMs = ban.untilMs - Date.now();
  if (leftMs <= 0) return;
  const ttl = leftMs === Number.POSITIVE_INFINITY ? {} : { ttlMs: leftMs };
  await registry.put(`${BAN_KEYS}${ban.whom}`, banValue(ban), { ...ttl, announce: false });
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal, ref: false }).catch(() => {});
}
