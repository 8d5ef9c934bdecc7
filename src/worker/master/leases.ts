import type { GatewayConfig } from "../../gateway.ts";
import type { RedisLink } from "../../registry/redis/redis-link.ts";
import { type RedisEvents, redisEvents } from "../../shared/events/redis-events.ts";
import type { Log } from "../../stream/log.ts";
import type { WorkerIds } from "../identity.ts";
import { Lease, redisOf } from "./lease.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** The numbers of a gateway's workers: new ones each time that new workers start beside old ones, so that no two that live share an id. */
export class Leases implements AsyncDisposable {
  readonly #redis: RedisLink | undefined;
  readonly #log: Log;
  /** To other gateways; undefined: the configuration names no Redis. */
  readonly cluster: RedisEvents | undefined;
  readonly #holders = new Map<Lease, Set<WorkerProcess>>();
  #current: Lease | undefined;

  private constructor(redis: RedisLink | undefined, log: Log) {
    this.#redis = redis;
    this.#log = log;
    this.cluster = redis && redisEvents(redis, { warn: (text) => log.warn(text) });
  }

  static async open(
    config: GatewayConfig,
    workers: number,
    { baseDir, log }: { baseDir: string; log: Log },
  ): Promise<Leases> {
    const leases = new Leases(await redisOf(config, baseDir, log), log);
    await leases.renumber(config, workers);
    return leases;
  }

  /** Workers that start from here on have other numbers. Without Redis there are none to be had. */
  async renumber(config: GatewayConfig, workers: number): Promise<void> {
    const before = this.#current;
    if (before && !this.#redis) return;
    const holders = new Set<WorkerProcess>();
    const host = {
      log: this.#log,
      onHeld: (masterId: number, untilMs: number): void => {
        for (const process of holders) process.held(masterId, untilMs);
      },
      onLost: (why: string): void => {
        for (const process of holders) process.lost(why);
      },
    };
    this.#current = await Lease.take(this.#redis, config, { workers, host });
    this.#holders.set(this.#current, holders);
    if (before) this.#releaseUnused(before);
  }

  idsOf(number: number): WorkerIds {
    return { number, masterId: this.#current?.masterId ?? 0, untilMs: this.#current?.untilMs };
  }

  started(process: WorkerProcess): void {
    const lease = this.#current;
    if (!lease) return;
    this.#holders.get(lease)?.add(process);
    void process.ended.then(() => {
      this.#holders.get(lease)?.delete(process);
      this.#releaseUnused(lease);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cluster?.close();
    for (const lease of this.#holders.keys()) await lease[Symbol.asyncDispose]();
    await this.#redis?.[Symbol.asyncDispose]();
  }

  #releaseUnused(lease: Lease): void {
    if (lease === this.#current || this.#holders.get(lease)?.size !== 0) return;
    this.#holders.delete(lease);
    void lease[Symbol.asyncDispose]();
  }
}
