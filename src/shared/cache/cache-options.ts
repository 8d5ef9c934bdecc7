import type { SharedDict } from "../dict/shared-dict.ts";
import type { Events } from "../events/events.ts";
import { LOCK_EXPTIME_MS, LOCK_TIMEOUT_MS, type LockOptions } from "../lock/lock.ts";

/** What may be chosen for a cache, and again for one `get`. Times in milliseconds. */
export interface CacheTimes {
  /** How long a value is good; 0: for ever. Default 30,000. */
  readonly ttlMs?: number | undefined;
  /** How long it holds that there is no value; 0: for ever. Default 5,000. */
  readonly negTtlMs?: number | undefined;
  /** When the callback fails, the old value is good for so long again. Absent: the failure is the answer. */
  readonly resurrectTtlMs?: number | undefined;
  /** An old value is handed out for so long after its time, while a new one is fetched. Default 0: `get` waits for the new one. */
  readonly staleTtlMs?: number | undefined;
}

/** How a cache is made. In brackets: the names of lua-resty-mlcache. */
export interface CacheOptions<Stored, Value> extends CacheTimes {
  /** The second level, for all workers (`shm`). */
  readonly dict: SharedDict;
  /** For keys without a value, so that they cannot drive out those that have one (`shm_miss`). Default: `dict`. */
  readonly missDict?: SharedDict | undefined;
  /** For the locks of callbacks (`shm_locks`). Default: `dict`. */
  readonly lockDict?: SharedDict | undefined;
  /**
   * How a callback's lock is taken (`resty_lock_opts`). Who waits for a callback waits for `timeoutMs` at most, also in the worker that
   * runs it; one that takes longer than `exptimeMs` is not believed in any more, and the next `get` calls anew.
   */
  readonly lock?: Pick<LockOptions, "timeoutMs" | "exptimeMs"> | undefined;
  /** Tells other workers of `set`, `delete` and `purge` (`ipc`). Mostly `worker.events`. */
  readonly events?: Pick<Events, "publish" | "subscribe" | "onLost"> | undefined;
  /** Values that a worker keeps for itself (`lru_size`). Default 100. */
  readonly lruSize?: number | undefined;
  /** How often a value is offered to a dictionary that is short of memory: each try evicts others (`shm_set_tries`). Default 3. */
  readonly setTries?: number | undefined;
  /**
   * Makes of a value what a worker keeps of it: a compiled template, a parsed key (`l1_serializer`). Once for each worker; with another
   * function, as after a reload, workers begin anew.
   */
  readonly l1Serializer?: ((stored: Stored) => Value) | undefined;
}

/** lua-resty-mlcache's defaults. */
const DEFAULTS = { ttlMs: 30_000, negTtlMs: 5_000, staleTtlMs: 0 };
const LRU_SIZE = 100;
const SET_TRIES = 3;

/** Times with none missing. */
export interface Times {
  readonly ttlMs: number;
  readonly negTtlMs: number;
  readonly staleTtlMs: number;
  readonly resurrectTtlMs: number | undefined;
}

/** @throws TypeError in the words of lua-resty-mlcache */
export function timesOf(options: CacheTimes, defaults: CacheTimes = {}): Times {
  const times = {
    ttlMs: options.ttlMs ?? defaults.ttlMs ?? DEFAULTS.ttlMs,
    negTtlMs: options.negTtlMs ?? defaults.negTtlMs ?? DEFAULTS.negTtlMs,
    staleTtlMs: options.staleTtlMs ?? defaults.staleTtlMs ?? DEFAULTS.staleTtlMs,
    resurrectTtlMs: options.resurrectTtlMs ?? defaults.resurrectTtlMs,
  };
  for (const [name, ms] of Object.entries(times)) {
    if (ms !== undefined && !(ms >= 0)) throw new TypeError(`options.${name} must be >= 0`);
  }
  return times;
}

/** Options with none missing. @throws TypeError in the words of lua-resty-mlcache */
export function checkedCache<Stored, Value>(name: string, options: CacheOptions<Stored, Value>) {
  if (typeof name !== "string" || name === "") throw new TypeError("name must be a string");
  const { dict, missDict = dict, lockDict = dict, lruSize = LRU_SIZE, setTries = SET_TRIES } = options;
  const { timeoutMs = LOCK_TIMEOUT_MS, exptimeMs = LOCK_EXPTIME_MS } = options.lock ?? {};
  const lock = { timeoutMs, exptimeMs };
  if (dict === undefined) throw new TypeError("no such shared dictionary: options.dict is required");
  if (!(Number.isInteger(setTries) && setTries >= 1)) throw new TypeError("options.setTries must be >= 1");
  if (!(Number.isInteger(lruSize) && lruSize >= 1)) throw new TypeError("options.lruSize must be >= 1");
  return { ...options, name, dict, missDict, lockDict, lock, lruSize, setTries, times: timesOf(options) };
}
