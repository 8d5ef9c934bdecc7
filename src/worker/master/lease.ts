import type { GatewayConfig } from "../../gateway.ts";
import { leaseMasterIds, type MasterIds, masterIdsFor } from "../../registry/master-ids.ts";
import { openRedis } from "../../registry/redis/open-redis.ts";
import type { RedisLink } from "../../registry/redis/redis-link.ts";
import type { Log } from "../../stream/log.ts";
import { NUMBERS_PER_MASTER } from "../identity.ts";

/** Who is told of the master's number. */
interface LeaseHost {
  readonly log: Log;
  /** Ids may be made by this number until then, in milliseconds since 1970. */
  onHeld(masterId: number, untilMs: number): void;
  /** The number may be another master's now. */
  onLost(why: string): void;
}

/** A master's number: from Redis for as long as its lease is renewed, else from the configuration. */
export class Lease implements AsyncDisposable {
  /** The first of the numbers; one that Redis has not given yet makes no ids. */
  masterId: number;
  /** Until when it is sure. Undefined: for ever. */
  untilMs: number | undefined;
  /** Worker numbers below this one have an id by it. */
  readonly capacity: number;
  #ids: MasterIds | undefined;

  private constructor(masterId: number, untilMs: number | undefined, capacity: number) {
    this.masterId = masterId;
    this.untilMs = untilMs;
    this.capacity = capacity;
  }

  /** Why the number is not had; undefined: it is. */
  get trouble(): string | undefined {
    return this.#ids?.error?.message;
  }

  /** For so many workers. Resolves when the number is had, or Redis has not answered: then it comes later. */
  static async take(
    redis: RedisLink | undefined,
    config: GatewayConfig,
    { workers, host }: { workers: number; host: LeaseHost },
  ): Promise<Lease> {
    const own = config.masterId ?? 0;
    if (!redis) return new Lease(own, undefined, Number.POSITIVE_INFINITY);
    const count = masterIdsFor(workers);
    const lease = new Lease(own, 0, count * NUMBERS_PER_MASTER);
    lease.#ids = await leaseMasterIds(redis, count, {
      ...(config.machineBits !== undefined && { machineBits: config.machineBits }),
      onHeld: (masterId, untilMs) => {
        lease.masterId = masterId;
        lease.untilMs = untilMs;
        host.onHeld(masterId, untilMs);
      },
      onLost: ({ message }) => {
        lease.untilMs = 0;
        host.log.error("lease of ids lost", { reason: message });
        host.onLost(message);
      },
      onBack: (masterId) => host.log.info("lease of ids is back", { master: masterId }),
    });
    if (lease.#ids.error) host.log.warn("no lease of ids yet", { reason: lease.#ids.error.message });
    return lease;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ids?.release();
  }
}

/** The connection by which a master leases its numbers; undefined: the configuration names no Redis. `isAway`: others have waited for it in vain. */
export async function redisOf(
  { redis }: GatewayConfig,
  baseDir: string,
  log: Log,
  isAway?: boolean,
): Promise<RedisLink | undefined> {
  return redis === undefined ? undefined : openRedis(redis, { log, baseDir, isAway });
}
