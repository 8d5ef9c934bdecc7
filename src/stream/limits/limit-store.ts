import { openDicts } from "../../shared/dict/open-dicts.ts";
import type { SharedDict } from "../../shared/dict/shared-dict.ts";
import { type ClusterLimits, clusterLimits } from "../../shared/limits/cluster-limits.ts";
import type { RedisScripts } from "../../shared/limits/redis-scripts.ts";
import type { Log } from "../log.ts";
import { SharedBandwidth } from "./bandwidth.ts";

/** The dictionary in which all workers count limits; `shared` may give it another size. */
export const LIMITS_DICT = "limits";

/** Its size unless the configuration says another: enough for some 79,000 keys. */
export const LIMITS_DICT_SIZE = "10m";

/** What limits of sessions count with, besides a generation's own dictionaries. */
export interface LimitStoreOptions {
  readonly log: Log;
  /** Counts for all gateways. Undefined: there is no Redis, and limits of the cluster are limits of this gateway. */
  readonly redis?: RedisScripts | undefined;
}

/** Where limits are counted: it survives new generations, so that a reload lets nobody in twice. */
export class LimitStore {
  readonly #options: LimitStoreOptions;
  readonly #clusters = new WeakMap<SharedDict, ClusterLimits>();
  readonly #bandwidths = new WeakMap<SharedDict, SharedBandwidth>();
  #own: SharedDict | undefined;

  constructor(options: LimitStoreOptions) {
    this.#options = options;
  }

  /** The one place where it is decided which dictionary it is. `shared`: those of the generation. */
  dict(shared: Readonly<Record<string, SharedDict>>): SharedDict {
    const given = Object.hasOwn(shared, LIMITS_DICT) ? shared[LIMITS_DICT] : undefined;
    this.#own ??= given ? undefined : openDicts({ [LIMITS_DICT]: LIMITS_DICT_SIZE }).dicts[LIMITS_DICT];
    const dict = given ?? this.#own;
    if (!dict) throw new TypeError("shared dict not found");
    return dict;
  }

  /** Limiters of all gateways; undefined where there is no Redis. */
  cluster(dict: SharedDict): ClusterLimits | undefined {
    const { redis, log } = this.#options;
    if (!redis) return undefined;
    const known = this.#clusters.get(dict);
    const onState = (isAway: boolean, reason?: string): void => {
      if (isAway) log.warn("limits are counted by this gateway alone: Redis is away", { reason });
      else log.info("limits are counted in Redis again");
    };
    const onRefusal = (reason: string): void => log.error("a limit cannot be counted in Redis", { reason });
    const limits = known ?? clusterLimits({ redis, dict, onState, onRefusal });
    this.#clusters.set(dict, limits);
    return limits;
  }

  bandwidth(dict: SharedDict): SharedBandwidth {
    const bandwidth = this.#bandwidths.get(dict) ?? new SharedBandwidth(dict);
    this.#bandwidths.set(dict, bandwidth);
    return bandwidth;
  }
}
