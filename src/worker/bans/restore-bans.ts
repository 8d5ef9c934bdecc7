import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Loss, WORD_MS } from "../../registry/redis/loss.ts";
import { isRefusal } from "../../registry/redis/redis-link.ts";
import type { Registry } from "../../registry/registry.ts";
import { backoffMs } from "../../shared/backoff.ts";
import type { HeldBan } from "../../stream/bans/ban.ts";
import { banValue } from "../../stream/bans/ban.ts";

/**
 * Whoever has not heard of Redis for longer may have missed that others took bans back, and puts them back only where nobody knows better:
 * not after a restart, and a failover that is set to be quick.
 */
export const MAX_UNHEARD_MS = 15_000;

/** Says that somebody puts the bans back, so that not all do. */
const MARK_KEY = "bans:restored";

/** Whoever sees a mark looks again within this time: the one who left it may have died. */
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

/** Of those that notice in one moment the first is well ahead of the second. */
const SPREAD_MS = 2_000;

/** Those who know bans go first; who knows none says only that nothing is missing. */
const NONE_MS = 3_000;

/** Last come those who have not heard of Redis for long, and only where nobody else was there. */
const UNSURE_MS = 6_000;

/** Keys under way at once: no burst, and 100,000 bans are back within seconds. */
const PUTS_AT_ONCE = 64;

/** Redis may go again. */
const RETRY = { minRetryMs: 250, maxRetryMs: 2_000 };

/** A replica that is to be the master is made it sooner; of one that stays what it is, what it has holds. */
const MAX_REFUSED_MS = 60_000;

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
 * have missed something does so only where all may. Resolves when that was done, however long it takes, or is given up.
 */
export async function restoreBans(bans: Restored, signal: AbortSignal): Promise<void> {
  await new Restoring(bans, signal).run();
}

/** One worker's part in it. */
class Restoring {
  readonly #bans: Restored;
  readonly #signal: AbortSignal;
  readonly #mark = randomUUID();
  #isSure: boolean;
  /** When Redis has answered last. */
  #heardAt = performance.now();
  /** Since when it answers, and takes no writes. */
  #refusedAt: number | undefined;

  constructor(bans: Restored, signal: AbortSignal) {
    this.#bans = bans;
    this.#signal = signal;
    this.#isSure = bans.isSure;
  }

  async run(): Promise<void> {
    await this.#pause(this.#isSure ? (this.#bans.keys.length > 0 ? 0 : NONE_MS) : UNSURE_MS, SPREAD_MS);
    for (let failures = 1; !this.#signal.aborted; ) {
      try {
        if (await this.#step()) return;
      } catch {
        await this.#pause(backoffMs(failures++, RETRY));
      }
    }
  }

  /** True: it is over. */
  async #step(): Promise<boolean> {
    const marked = await this.#look();
    if (this.#isRefused) return true;
    if (this.#isSure && performance.now() - this.#heardAt > MAX_UNHEARD_MS) {
      this.#isSure = false;
      await this.#pause(UNSURE_MS, SPREAD_MS);
      return false;
    }
    this.#heardAt = performance.now();
    return await this.#go(marked);
  }

  async #look(): Promise<string | undefined> {
    try {
      return await this.#bans.registry.get(MARK_KEY);
    } catch (cause) {
      this.#refusedAt = undefined; // it is away
      throw cause;
    }
  }

  /** True: it is over. */
  async #go(marked: string | undefined): Promise<boolean> {
    const { epoch } = this.#bans.loss;
    if (marked === DONE + epoch) return this.#isSure ? await this.#putAll(undefined) : true;
    if (marked === UNSURE_DONE + epoch && !this.#isSure) return await this.#putAll(undefined);
    const isOver = marked?.startsWith(DONE) || marked?.startsWith(UNSURE_DONE);
    if (marked === undefined || marked === this.#mark || isOver) return await this.#putAll(this.#mark);
    await this.#pause(MARK_MS / LOOKS);
    return false;
  }

  get #isRefused(): boolean {
    return performance.now() - (this.#refusedAt ?? Number.POSITIVE_INFINITY) > MAX_REFUSED_MS;
  }

  async #putAll(mark: string | undefined): Promise<true> {
    try {
      await this.#putEach(mark);
      return true;
    } catch (cause) {
      if (isRefusal(cause)) this.#refusedAt ??= performance.now();
      throw cause;
    }
  }

  /** The mark is renewed with each step, and says at the end that the others need only look. */
  async #putEach(mark: string | undefined): Promise<void> {
    const { registry, loss, keys } = this.#bans;
    for (let at = 0; at < keys.length; at += PUTS_AT_ONCE) {
      if (mark !== undefined) await registry.put(MARK_KEY, mark, { ttlMs: MARK_MS, announce: false });
      const some = keys.slice(at, at + PUTS_AT_ONCE);
      const values = await loss.read(some);
      if (this.#signal.aborted) return;
      await Promise.all(some.map((key, index) => put(this.#bans, key, values[index])));
      this.#heardAt = performance.now();
    }
    if (mark === undefined || this.#signal.aborted) return;
    const done = `${this.#isSure ? DONE : UNSURE_DONE}${loss.epoch}`;
    await registry.put(MARK_KEY, done, { ttlMs: WORD_MS, announce: false });
  }

  async #pause(ms: number, spreadMs = 0): Promise<void> {
    const options = { signal: this.#signal, ref: false };
    await sleep(ms + Math.random() * spreadMs, undefined, options).catch(() => {});
  }
}

/** Where somebody has written meanwhile, that is what holds. */
async function put({ loss, ban, isOutdated }: Restored, key: string, before: string | undefined): Promise<void> {
  const held = ban(key);
  const leftMs = (held?.untilMs ?? 0) - Date.now();
  if (!held || leftMs <= 0 || (before !== undefined && !isOutdated(key, before))) return;
  const ttl = leftMs === Number.POSITIVE_INFINITY ? {} : { ttlMs: leftMs };
  await loss.swap(key, { before, value: banValue(held), ...ttl });
}
