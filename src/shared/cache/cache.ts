import { GatewayError, messageOf } from "../../errors.ts";
import { machineClock } from "../dict/clock.ts";
import { type Lease, lock } from "../lock/lock.ts";
import type { CacheAnswer, HitLevel } from "./cache-answer.ts";
import { type CacheOptions, type CacheTimes, checkedCache, type Times, timesOf } from "./cache-options.ts";
import { type Entry, entryOf, payloadOf, readPayload } from "./entry.ts";
import { type Level1, level1Of } from "./level1.ts";
import { Level2 } from "./level2.ts";
import { Loading } from "./loading.ts";

/** What a callback is handed. */
export interface CacheCall {
  readonly key: string;
  /** Keeps the value for so long, in the place of `ttlMs` or `negTtlMs`; 0: for ever; negative: not at all. */
  keepFor(ttlMs: number): void;
}

/** Fetches what is not in the cache; undefined or null: there is no value. What it throws is the answer's `err`. */
export type CacheCallback<Stored> = (call: CacheCall) => Stored | undefined | null | Promise<Stored | undefined | null>;

/** What `set`, `delete` and `purge` answer. */
export type CacheChanged =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "no memory" | "queue full" | "payload too large" };

/** What this worker's cache has done, for metrics. */
export interface CacheCounts {
  /** Answers of this worker, of the dictionary, with old values, and with nothing. */
  readonly l1: number;
  readonly l2: number;
  readonly stale: number;
  readonly miss: number;
  /** Callbacks that were called, and those that failed. */
  readonly callback: number;
  readonly failed: number;
  /** Values for which the dictionary had no room. */
  readonly unstored: number;
}

/** Values of any kind that all workers share, and that are fetched by one of them when they are missing. */
export interface Cache<Stored, Value = Stored> {
  /**
   * The value of a key: from this worker, from the dictionary, or from the callback, which only one of all workers runs at a
   * time. Never rejects for what the callback throws; waits for it as long as it takes, and for another session's no longer than
   * `lock.timeoutMs`. Do not change the value: other sessions have the same. Any phase that may await.
   */
  get(key: string, callback?: CacheCallback<Stored>, times?: CacheTimes): Promise<CacheAnswer<Value>>;
  /** What the dictionary has, which this worker does not keep for itself; `ttlMs` is negative when it is too old, and told only with `stale`. */
  peek(
    key: string,
    options?: { readonly stale?: boolean },
  ): { readonly value: Stored | undefined; readonly ttlMs: number } | undefined;
  /** Stores, in all workers. Callbacks that run meanwhile do not undo it. @throws TypeError without `events` */
  set(key: string, value: Stored | undefined, times?: Pick<CacheTimes, "ttlMs" | "negTtlMs">): CacheChanged;
  /** Forgets, in all workers. @throws TypeError without `events` */
  delete(key: string): CacheChanged;
  /** Forgets everything, in all workers; resolves when the memory is free. @throws TypeError without `events` */
  purge(): Promise<CacheChanged>;
  counts(): CacheCounts;
}

/**
 * Opens the cache of that name in three levels: an lru in this worker, a dictionary for all workers, and a callback that fetches.
 * Caches of one name and dictionary are one. Any phase. OpenResty: `resty.mlcache`. @throws TypeError for wrong options
 */
export function cache<Stored, Value = Stored>(
  name: string,
  options: CacheOptions<Stored, Value>,
): Cache<Stored, Value> {
  return new LayeredCache(name, options);
}

/** One `get`. */
interface Ask<Stored> {
  readonly key: string;
  readonly callback: CacheCallback<Stored> | undefined;
  readonly times: Times;
  /** When it has waited long enough for others. */
  readonly deadline: number;
}
interface Fetch<Stored> extends Ask<Stored> {
  readonly callback: CacheCallback<Stored>;
}

class LayeredCache<Stored, Value> implements Cache<Stored, Value> {
  readonly #options: ReturnType<typeof checkedCache<Stored, Value>>;
  readonly #topic: string;
  readonly #level1: Level1<Value>;
  readonly #level2: Level2;
  readonly #counts = { l1: 0, l2: 0, callback: 0, stale: 0, miss: 0, failed: 0, unstored: 0 };

  constructor(name: string, options: CacheOptions<Stored, Value>) {
    this.#options = checkedCache(name, options);
    this.#topic = `cache:${name}`;
    this.#level1 = level1Of(options.dict, name, this.#options);
    this.#level2 = new Level2(this.#options);
    if (options.events) this.#level1.follow(this.#topic, options.events);
  }

  async get(key: string, callback?: CacheCallback<Stored>, times: CacheTimes = {}): Promise<CacheAnswer<Value>> {
    checkKey(key);
    const kept = this.#level1.find(key);
    if (kept) return this.#counted({ value: kept.value, hitLevel: 1 });
    const deadline = performance.now() + this.#options.lock.timeoutMs;
    return this.#counted(await this.#further({ key, callback, times: timesOf(times, this.#options.times), deadline }));
  }

  peek(key: string, { stale = false }: { readonly stale?: boolean } = {}) {
    checkKey(key);
    const entry = this.#level2.find(key);
    if (!entry || (!stale && isOld(entry))) return undefined;
    const value = entry.payload && readPayload<Stored>(entry.payload);
    return { value, ttlMs: entry.expiresAt - machineClock() };
  }

  set(key: string, value: Stored | undefined, times: Pick<CacheTimes, "ttlMs" | "negTtlMs"> = {}): CacheChanged {
    checkKey(key);
    const events = this.#eventsFor("set");
    const payload = payloadOf(value);
    const entry = this.#entryOf(payload, timesOf(times, this.#options.times));
    const stored = this.#level2.set(key, entry);
    this.#level1.forget(key);
    const told = events.publish("others", this.#topic, key);
    return stored === "no memory" ? { err: stored } : told;
  }

  delete(key: string): CacheChanged {
    checkKey(key);
    const events = this.#eventsFor("delete");
    this.#level2.delete(key);
    this.#level1.forget(key);
    return events.publish("others", this.#topic, key);
  }

  async purge(): Promise<CacheChanged> {
    const events = this.#eventsFor("purge");
    const purged = this.#level2.purge();
    this.#level1.forgetAll();
    const told = events.publish("others", this.#topic);
    await purged;
    return told;
  }

  counts(): CacheCounts {
    return { ...this.#counts };
  }

  /** The levels behind the first. */
  async #further(ask: Ask<Stored>): Promise<CacheAnswer<Value>> {
    const { key, callback } = ask;
    try {
      const found = this.#level2.find(key);
      if (found && !isOld(found)) return this.#promoted(key, found);
      if (!callback) return { value: undefined, hitLevel: -1 };
      const loading = this.#level1.loadingOf(key);
      if (found && machineClock() < found.staleUntil) {
        if (!loading) void this.#begin({ ...ask, callback });
        return this.#outOf(found, 4);
      }
      return await (loading ? this.#wait(loading, ask) : this.#begin({ ...ask, callback }));
    } catch (cause) {
      return { err: messageOf(cause), cause };
    }
  }

  /** Waits for what another session of this worker is fetching, as those of other workers wait for its lock. */
  async #wait(loading: Loading<Value>, ask: Ask<Stored>): Promise<CacheAnswer<Value>> {
    const told = await loading.wait(Math.max(ask.deadline - performance.now(), 0));
    if (told === "dropped") return await this.#further(ask);
    if (told === "late") return this.#afterNoLock(ask.key, new GatewayError("RC_LOCK_TIMEOUT", ask.key), ask.times);
    return asFound(told);
  }

  async #begin(fetch: Fetch<Stored>): Promise<CacheAnswer<Value>> {
    const { key } = fetch;
    const loading = new Loading<Value>();
    this.#level1.begin(key, loading);
    const answer = await this.#load(fetch, loading).catch((cause) => ({ err: messageOf(cause), cause }));
    this.#level1.end(key, loading);
    loading.tell(answer);
    return answer;
  }

  /** One worker at a time; the others find what it has brought. */
  async #load(fetch: Fetch<Stored>, loading: Loading<Value>): Promise<CacheAnswer<Value>> {
    const { key, times } = fetch;
    const { lockDict, lock: options } = this.#options;
    let lease: Lease;
    try {
      lease = await lock(lockDict, `${this.#topic}:${key}`, options);
    } catch (cause) {
      return this.#afterNoLock(key, cause, times);
    }
    const overdue = setTimeout(() => this.#drop(key, loading), options.exptimeMs);
    try {
      const found = this.#level2.find(key);
      if (found && !isOld(found)) return this.#promoted(key, found);
      return await this.#fetch(fetch, loading);
    } finally {
      clearTimeout(overdue);
      lease.unlock();
    }
  }

  /** The lock's time is over, and the callback is still at it: it may hang, and others are to have their turn. */
  #drop(key: string, loading: Loading<Value>): void {
    this.#level1.end(key, loading);
    loading.tell("dropped");
  }

  async #fetch({ key, callback, times }: Fetch<Stored>, loading: Loading<Value>): Promise<CacheAnswer<Value>> {
    const before = this.#level2.before(key);
    let ownTtlMs: number | undefined;
    const keepFor = (ttlMs: number): void => {
      ownTtlMs = ttlMs;
    };
    let payload: Uint8Array | undefined;
    this.#counts.callback++;
    try {
      payload = payloadOf(await callback({ key, keepFor }));
    } catch (cause) {
      this.#counts.failed++;
      return this.#resurrected(key, cause, times);
    }
    const entry = this.#entryOf(payload, times, ownTtlMs);
    if (ownTtlMs !== undefined && ownTtlMs < 0) return this.#outOf(entry, 3);
    const stored = this.#level2.replace(before, entry);
    if (stored === "no memory") this.#counts.unstored++;
    const answer = this.#outOf(entry, 3);
    if (stored !== "outdated" && this.#level1.end(key, loading)) this.#keep(key, entry, answer);
    return answer;
  }

  /** Somebody else is at it, and will bring a new value or renew the old one. */
  #afterNoLock(key: string, cause: unknown, { resurrectTtlMs }: Times): CacheAnswer<Value> {
    const old = this.#level2.find(key);
    if (old && resurrectTtlMs !== undefined) return this.#outOf(old, 4);
    const isLate = cause instanceof GatewayError && cause.code === "RC_LOCK_TIMEOUT";
    return { err: `could not acquire callback lock: ${isLate ? "timeout" : messageOf(cause)}`, cause };
  }

  /** An old value is better than a failure, where the user says so. */
  #resurrected(key: string, cause: unknown, times: Times): CacheAnswer<Value> {
    const { resurrectTtlMs } = times;
    const old = this.#level2.find(key);
    if (!old || resurrectTtlMs === undefined) return { err: messageOf(cause), cause };
    const entry = entryOf(old.payload, { ttlMs: resurrectTtlMs, staleTtlMs: times.staleTtlMs });
    const answer = this.#outOf(entry, 4);
    if (this.#level2.replace(this.#level2.before(key), entry) !== "outdated") this.#keep(key, entry, answer);
    return answer;
  }

  #promoted(key: string, entry: Entry): CacheAnswer<Value> {
    const answer = this.#outOf(entry, 2);
    this.#keep(key, entry, answer);
    return answer;
  }

  #keep(key: string, { expiresAt }: Entry, { value }: CacheAnswer<Value>): void {
    this.#level1.keep(key, { value, expiresAt });
  }

  #entryOf(payload: Uint8Array | undefined, times: Times, ownTtlMs?: number): Entry {
    const ttlMs = ownTtlMs ?? (payload ? times.ttlMs : times.negTtlMs);
    return entryOf(payload, { ttlMs, staleTtlMs: times.staleTtlMs });
  }

  #outOf({ payload }: Entry, hitLevel: HitLevel): CacheAnswer<Value> {
    if (!payload) return { value: undefined, hitLevel };
    const { l1Serializer } = this.#options;
    if (!l1Serializer) return { value: readPayload<Value>(payload), hitLevel };
    const value = l1Serializer(readPayload<Stored>(payload));
    if (value === undefined || value === null) throw new TypeError("l1_serializer returned a nil value");
    return { value, hitLevel };
  }

  #eventsFor(what: string) {
    const { events } = this.#options;
    if (events) return events;
    throw new TypeError(`no events to propagate ${what}, specify options.events`);
  }

  #counted(answer: CacheAnswer<Value>): CacheAnswer<Value> {
    const { hitLevel } = answer;
    if (hitLevel !== undefined && hitLevel !== 3) this.#counts[COUNTED_AS[hitLevel]]++;
    return answer;
  }
}

const COUNTED_AS = { 1: "l1", 2: "l2", 4: "stale", [-1]: "miss" } as const;

/** Who waited for what another session fetched has found it, as those of other workers do. */
function asFound<Value>(answer: CacheAnswer<Value>): CacheAnswer<Value> {
  return answer.hitLevel === 3 ? { ...answer, hitLevel: 2 } : answer;
}

function isOld({ expiresAt }: Entry): boolean {
  return expiresAt <= machineClock();
}

function checkKey(key: unknown): void {
  if (typeof key !== "string") throw new TypeError("key must be a string");
  if (key === "") throw new TypeError("empty key");
}
