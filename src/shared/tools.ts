import { type Cache, cache } from "./cache/cache.ts";
import type { CacheOptions } from "./cache/cache-options.ts";
import { openDicts } from "./dict/open-dicts.ts";
import type { SharedDict } from "./dict/shared-dict.ts";
import type { Events } from "./events/events.ts";
import { limitConn } from "./limits/limit-conn.ts";
import { limitCount } from "./limits/limit-count.ts";
import { limitRate } from "./limits/limit-rate.ts";
import { limitReq } from "./limits/limit-req.ts";
import { type Lease, type LockOptions, lock } from "./lock/lock.ts";
import { type Lru, lru } from "./lru.ts";
import { type Semaphore, semaphore } from "./semaphore.ts";

/** What a worker offers besides its dictionaries: the imported functions of the same names, told which dictionary is meant. */
export interface SharedTools {
  /**
   * Holds `key` across all workers, in the dictionary `locks` if there is one, else in the first of `shared`. Any phase.
   * @throws GatewayError RC_LOCK_TIMEOUT; TypeError where several workers share no dictionary
   */
  lock(key: string, options?: LockOptions): Promise<Lease>;
  semaphore(n?: number): Semaphore;
  lru<Value>(maxItems: number): Lru<Value>;
  /** A cache in three levels, by default in the dictionary of its name, else in the first of `shared`; pushed to all workers. */
  cache<Stored, Value = Stored>(name: string, options?: Partial<CacheOptions<Stored, Value>>): Cache<Stored, Value>;
  readonly limitReq: typeof limitReq;
  readonly limitConn: typeof limitConn;
  readonly limitCount: typeof limitCount;
  readonly limitRate: typeof limitRate;
}

/** Of a process that shares nothing, when somebody asks. */
const OWN_SIZE = "1m";

/** `isAlone`: there is one process, whose memory will do where no dictionary is configured. */
export function sharedTools(
  shared: Readonly<Record<string, SharedDict>>,
  { events, isAlone }: { readonly events: Events; readonly isAlone: boolean },
): SharedTools {
  let own: SharedDict | undefined;
  const dictFor = (name: string): SharedDict => {
    const given = Object.hasOwn(shared, name) ? shared[name] : Object.values(shared)[0];
    if (given) return given;
    own ??= isAlone ? openDicts({ own: OWN_SIZE }).dicts["own"] : undefined;
    if (own) return own;
    throw new TypeError(`no shared dictionary: name one in the configuration, like shared: { ${name}: "${OWN_SIZE}" }`);
  };
  return {
    lock: async (key, options) => lock(dictFor("locks"), key, options),
    semaphore,
    lru,
    cache: (name, options) => cache(name, { dict: dictFor(name), events, ...options }),
    limitReq,
    limitConn,
    limitCount,
    limitRate,
  };
}
