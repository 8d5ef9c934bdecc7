import { GatewayError, messageOf } from "../../errors.ts";
import { MAX_KEYS, Table } from "../table.ts";
import { jitteredMs } from "./backoff.ts";
import type { Saved } from "./disk-snapshot.ts";
import { changeOf, type Epochs, epochAfter } from "./epochs.ts";
import { Doubt, type Loss, WORD_MS } from "./loss.ts";
import type { RedisLog } from "./open-redis.ts";
import type { RedisLink } from "./redis-link.ts";
import { type Round, SharedSnapshot } from "./shared-snapshot.ts";

/** One late answer is no outage; in so long without any, keys may have lapsed whose owners could not refresh them. */
const OUTAGE_MS = 4_000;

/** Notices of a burst are asked for together; spread over this time, thousands of gateways do not ask in one moment. */
const NOTICE_MS = 20;

/** When Redis comes back, gateways come back to it within this time. */
const RETURN_MS = 250;

/** Notices that wait. More come from somebody who publishes in a loop; the next round finds what changed. */
const MAX_ASKED = 10_000;

/** Where nobody can share what was found, each process looks for itself: less often, or they are too many together. */
const ALONE_ROUNDS = 5;

/** Shared snapshots are at most so many rounds old. */
const SNAPSHOT_ROUNDS = 3;

/** While nothing changes it is kept anew so often, so that a later start knows how old it is. */
const KEEP_MS = 3_600_000;

/** What is known from disk may be so old when Redis comes: word of what became of it stands for longer than it takes to look for that. */
const MAX_AGE_MS = WORD_MS - KEEP_MS;

/** What a prefix is followed with. */
export interface FollowOptions {
  readonly link: RedisLink;
  readonly epochs: Epochs;
  readonly prefix: string;
  /** Of which values is to be known whether their keys are for ever. */
  readonly mayLast: (value: string) => boolean;
  readonly doubted: Pick<Loss, "swap" | "tellOut" | "onOut">;
  /** Time between two full syncs. */
  readonly syncMs: number;
  /** What was known of it when the gateway stopped, for a start without Redis. */
  readonly saved: () => Saved | undefined;
  /** Redis has answered for the first time: what was saved is of no use any more. */
  readonly onHeard: () => void;
  readonly log: RedisLog;
  readonly onChange: () => void;
  /**
   * Redis has lost its data, or has older data: keys without an owner are gone soon, unless somebody puts them back. Called before
   * what it has now is taken over.
   */
  readonly onLost: (loss: Loss) => void;
}

/** How a key was read alone. */
interface Learnt {
  readonly isTold: boolean;
  readonly begun: number;
  readonly isLasting: boolean;
}

/**
 * Keeps a copy of all keys below one prefix: by notices at once, by a full sync each second, and what is known while Redis
 * is away.
 */
export class Follow {
  readonly table: Table = new Table();
  /** Resolves when Redis has answered for the first time, or has failed to. */
  readonly ready: Promise<void>;
  readonly #options: FollowOptions;
  readonly #snapshot: SharedSnapshot;
  /** When a key was written by this process or read alone: a snapshot may be older. */
  readonly #touched = new Map<string, number>();
  /** Keys to be read alone; true: somebody told that they have changed, so that their absence is no accident. */
  readonly #asked = new Map<string, boolean>();
  /** Keys without an end, as far as somebody wants to know. */
  readonly #lasting = new Set<string>();
  readonly #leave: () => void;
  readonly #doubt: Doubt;
  #source: "none" | "disk" | "redis" = "none";
  #version: string | undefined;
  #epoch: string | undefined;
  /** How often the connection was lost, and how often before the last sync began. */
  #outages = 0;
  #seenOutages = 0;
  #syncedAt = Number.NEGATIVE_INFINITY;
  /** The same by the clock of this machine, and when it was kept so. */
  #heardAt = Number.NaN;
  #keptAt = 0;
  #failures = 0;
  #complaint = "";
  /** Keys that there was no room for in the last sync that saw all. */
  #ignored = 0;
  #syncing: Promise<void> | undefined;
  /** Why nothing is known. */
  #failure: unknown;
  #isAsking = false;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #noticeTimer: NodeJS.Timeout | undefined;
  #isReady: () => void = () => {};

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#snapshot = new SharedSnapshot(options);
    this.#doubt = new Doubt(SNAPSHOT_ROUNDS * options.syncMs);
    this.#leave = options.link.onState((isReady) => this.#turn(isReady));
    this.ready = new Promise((resolve) => {
      this.#isReady = resolve;
    });
    void this.#sync();
  }

  /** False: Redis has never answered, and there was nothing on disk. */
  get isKnown(): boolean {
    return this.#source !== "none";
  }

  /** Resolves when something is known, or it was closed. Where nothing is, Redis is asked once more. Rejects with `RC_REGISTRY`. */
  async known(): Promise<void> {
    await this.ready;
    if (!this.isKnown) await this.#sync();
    if (!this.isKnown && !this.#isClosed) throw this.#failure;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** What is worth to be kept, as it has come from Redis; undefined: nothing has. */
  get saved(): Saved | undefined {
    if (this.#source !== "redis") return undefined;
    const keys = this.table.list(this.#options.prefix);
    return { keys, epoch: this.#epoch, lasting: new Set(this.#lasting), heardAt: this.#heardAt };
  }

  /** True: the key is known here, and Redis may have lost it. */
  keeps(key: string): boolean {
    return (this.#wasAway || this.#doubt.isAt(performance.now())) && this.table.get(key) !== undefined;
  }

  /** This process has written a key, which is for ever or not. */
  wrote(key: string, value: string | undefined, isLasting = false): void {
    this.#touched.set(key, performance.now());
    this.#last(key, value, isLasting);
    this.#set(key, value);
  }

  #last(key: string, value: string | undefined, isLasting: boolean): void {
    if (isLasting && value !== undefined && this.#options.mayLast(value)) this.#lasting.add(key);
    else this.#lasting.delete(key);
  }

  /** Somebody says that a key has changed. */
  notice(key: string): void {
    this.#look(key, true);
  }

  #look(key: string, isTold: boolean): void {
    if (this.#isClosed || this.#asked.size >= MAX_ASKED) return;
    this.#asked.set(key, isTold || this.#asked.get(key) === true);
    this.#noticeTimer ??= setTimeout(() => void this.#ask(), Math.random() * NOTICE_MS).unref();
  }

  close(): void {
    this.#isClosed = true;
    this.#leave();
    clearTimeout(this.#timer);
    clearTimeout(this.#noticeTimer);
    this.table.close();
    this.#isReady();
  }

  /** False: there is no room. */
  #set(key: string, value: string | undefined): boolean {
    const isSet = value === undefined ? this.table.delete(key) : this.table.set(key, value);
    this.#options.onChange();
    return isSet || value === undefined;
  }

  #turn(isReady: boolean): void {
    if (isReady) this.#plan(Math.random() * RETURN_MS);
    else this.#outages++;
  }

  /** The connection was lost since. */
  get #wasAway(): boolean {
    return this.#outages > this.#seenOutages;
  }

  #plan(delayMs: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#sync(), delayMs).unref();
  }

  async #sync(): Promise<void> {
    if (this.#isClosed) return;
    this.#syncing ??= this.#syncOnce().finally(() => {
      this.#syncing = undefined;
    });
    await this.#syncing;
  }

  async #syncOnce(): Promise<void> {
    const { syncMs } = this.#options;
    let nextMs = syncMs * (0.8 + Math.random() / 5);
    try {
      if (await this.#round()) nextMs *= ALONE_ROUNDS;
      this.#failures = 0;
      this.#complaint = "";
    } catch (cause) {
      this.#failures++;
      this.#fail(cause);
      nextMs = Math.max(syncMs, jitteredMs(this.#failures));
    }
    this.#isReady();
    if (!this.#isClosed) this.#plan(nextMs);
  }

  /** True: nobody can share. */
  async #round(): Promise<boolean> {
    const outages = this.#outages;
    const seen = { version: this.#version, epoch: this.#epoch, isBack: this.#wasAway };
    const round = await (this.isKnown ? this.#snapshot.read(seen) : this.#snapshot.first());
    if (round.isStale && !this.isKnown) throw new GatewayError("RC_REGISTRY", "redis loses its data again and again");
    if (this.#isClosed || round.isStale) return false;
    const { version, keys } = round;
    const epoch = epochAfter(this.#epoch, round.epoch);
    const now = performance.now();
    const change = this.#changeTo(epoch);
    const hasLost = change !== "none";
    if (change === "emptied") this.#options.log.warn("redis has lost its data", { prefix: this.#options.prefix });
    if (hasLost && epoch !== undefined && keys) this.#tellLoss(epoch, keys, now - this.#syncedAt);
    const wasLong = now - this.#syncedAt > OUTAGE_MS;
    if (this.isKnown && (this.#wasAway || wasLong || hasLost)) this.#doubt.begin(now);
    this.#seenOutages = outages; // one that came meanwhile is the next round's
    this.#syncedAt = now;
    this.#hear(epoch);
    const isWhole = keys === undefined || this.#apply(keys, round.lasting, now);
    this.#version = isWhole ? version : undefined;
    if (this.#source !== "redis") this.#options.onHeard();
    this.#source = "redis";
    return round.isAlone;
  }

  /** Whoever was not there when Redis was restarted cannot know what was taken back since, nor find word of it for ever. */
  #changeTo(epoch: string | undefined): ReturnType<typeof changeOf> {
    const change = changeOf(this.#epoch, epoch);
    if (this.#source !== "disk") return change;
    const ageMs = Date.now() - this.#heardAt;
    return change === "emptied" && ageMs >= 0 && ageMs <= MAX_AGE_MS ? change : "none";
  }

  /** What is known is kept with what Redis is known by, and with when that was. */
  #hear(epoch: string | undefined): void {
    const isOther = epoch !== this.#epoch;
    this.#epoch = epoch;
    this.#heardAt = Date.now();
    if (!isOther && Math.abs(this.#heardAt - this.#keptAt) < KEEP_MS) return;
    this.#keptAt = this.#heardAt;
    this.#options.onChange();
  }

  #tellLoss(epoch: string, found: ReadonlyMap<string, string>, unheardMs: number): void {
    const { link, doubted, onLost } = this.#options;
    const isLasting = among(new Set(this.#lasting));
    const keepUntil = (restored: Promise<unknown>): void => this.#doubt.keepUntil(restored);
    onLost({ epoch, found, unheardMs, isLasting, read: readerOf(link), keepUntil, ...doubted });
  }

  /** False: something is to be looked at again in the next round. */
  #apply(keys: ReadonlyMap<string, string>, lasting: Round["lasting"], now: number): boolean {
    let isWhole = true;
    let ignored = 0;
    const oldest = now - SNAPSHOT_ROUNDS * this.#options.syncMs;
    for (const [key, when] of this.#touched) if (when < oldest) this.#touched.delete(key);
    for (const [key, value] of keys) if (!this.#touched.has(key)) this.#last(key, value, lasting.has(key));
    if (!this.isKnown) this.#load(keys, now);
    const known = [...this.table.entries().keys()];
    for (const key of new Set([...known, ...keys.keys()])) {
      const value = keys.get(key);
      if (this.table.get(key) === value) continue;
      if (this.#touched.has(key)) this.#look(key, false);
      else if (value !== undefined || !this.#doubt.isAt(now)) {
        if (value === undefined) this.#lasting.delete(key);
        if (!this.#set(key, value)) ignored++;
        continue;
      }
      isWhole = false;
    }
    this.#ignore(ignored);
    return isWhole;
  }

  /** What goes makes room in the round that sees it go: known keys are looked at first. */
  #ignore(keys: number): void {
    const { log, prefix } = this.#options;
    if (keys > 0 && this.#ignored === 0) log.warn("keys are ignored: too many", { prefix, keys, max: MAX_KEYS });
    this.#ignored = keys;
  }

  /** The first sight is our own, and newer than what others have shared. */
  #load(keys: ReadonlyMap<string, string>, now: number): void {
    const unread = new Map([...keys].filter(([key]) => !this.#touched.has(key)));
    this.table.load(unread);
    for (const key of unread.keys()) if (this.table.get(key) !== undefined) this.#touched.set(key, now);
  }

  /** Reads noticed keys, whose values are newer than any snapshot. */
  async #ask(): Promise<void> {
    this.#noticeTimer = undefined;
    if (this.#isAsking || this.#isClosed) return;
    this.#isAsking = true;
    await this.ready; // what was there before anybody looked is no change
    const asked = [...this.#asked];
    this.#asked.clear();
    const begun = performance.now();
    try {
      const values = await this.#options.link.getMany(asked.map(([key]) => key));
      const lasting = await this.#snapshot.lastingOf(asked.map(([key], at) => [key, values[at]]));
      if (this.#isClosed) return;
      for (const [index, [key, isTold]] of asked.entries())
        this.#learn(key, values[index], { isTold, begun, isLasting: lasting.has(key) });
    } catch {
      this.#version = undefined; // the next round looks at everything
    } finally {
      this.#isAsking = false;
    }
    for (const [key, isTold] of [...this.#asked]) this.#look(key, isTold);
  }

  #learn(key: string, value: string | undefined, { isTold, begun, isLasting }: Learnt): void {
    if ((this.#touched.get(key) ?? 0) >= begun)
      this.#asked.set(key, isTold); // written while we asked
    else if (value !== undefined || isTold || !this.#doubt.isAt(begun)) this.wrote(key, value, isLasting);
  }

  /** As if it had been heard of Redis then, and not since. */
  #remember({ keys, epoch, lasting, heardAt }: Saved): void {
    this.table.load(keys);
    for (const key of lasting) this.#lasting.add(key);
    this.#epoch = epoch;
    this.#heardAt = heardAt;
    this.#source = "disk";
    this.#outages++;
  }

  #fail(cause: unknown): void {
    if (this.#isClosed) return;
    this.#failure = cause;
    const { log, prefix, link } = this.#options;
    const saved = this.#source === "none" ? this.#options.saved() : undefined;
    if (saved) {
      this.#remember(saved);
      log.warn("registry is the last snapshot from disk", { prefix, keys: saved.keys.size });
    }
    const complaint = messageOf(cause);
    if (link.isReady && complaint !== this.#complaint) log.warn("registry not synced", { prefix, reason: complaint });
    this.#complaint = complaint;
  }
}

// Functions that are made in one place keep together what any of them needs: who keeps the one would keep the other's list.

function among(keys: ReadonlySet<string>): (key: string) => boolean {
  return (key) => keys.has(key);
}

function readerOf(link: RedisLink): Loss["read"] {
  return (keys) => link.getMany(keys);
}
