import type { GatewayConfig } from "../../gateway.ts";
import type { RedisLink } from "../../registry/redis/redis-link.ts";
import { type RedisEvents, redisEvents } from "../../shared/events/redis-events.ts";
import { Turns } from "../../shared/turns.ts";
import type { Log } from "../../stream/log.ts";
import type { WorkerIds } from "../identity.ts";
import { Lease, redisOf } from "./lease.ts";

/** A worker, as far as its numbers are concerned. */
export interface Holder {
  readonly ids: WorkerIds;
  /** Resolves when it makes no more ids by a number that is not leased. */
  readonly left: Promise<unknown>;
  readonly ended: Promise<unknown>;
  /** Its numbers are sure until then, in milliseconds since 1970; infinity: for ever. */
  held(masterId: number, untilMs: number): void;
  lost(why: string): void;
}

/** Numbers for a worker that is about to start. */
export interface TakenIds {
  readonly ids: WorkerIds;
  /** Nobody else gets them while it lives. */
  readonly hasLease: boolean;
  /** Who has them from here on, until it ends. */
  holdBy(process: Holder): void;
}

/** For whom numbers are. */
export interface IdsWanted {
  readonly config: GatewayConfig;
  readonly workers: number;
  /** Nothing but a wish brings it about: without a lease it had better not. */
  readonly isPlanned: boolean;
}

/**
 * The numbers of a gateway's workers. A process that starts beside a living one never makes ids by its number: with Redis it has
 * another, by a lease that is shared by all for whom it is free; without, the other one gives it up first.
 */
export class Leases implements AsyncDisposable {
  /** The connection for all of it; undefined: the configuration names no Redis. */
  readonly redis: RedisLink | undefined;
  readonly #log: Log;
  /** To other gateways; undefined as well. */
  readonly cluster: RedisEvents | undefined;
  /** Who lives, by the lease of its numbers. */
  readonly #holders = new Map<Lease, Set<Holder>>();
  /** Taken last. */
  #current: Lease | undefined;
  readonly #turns = new Turns();

  private constructor(redis: RedisLink | undefined, log: Log) {
    this.redis = redis;
    this.#log = log;
    this.cluster = redis && redisEvents(redis, { warn: (text) => log.warn(text) });
  }

  static async open(
    config: GatewayConfig,
    workers: number,
    { baseDir, log }: { baseDir: string; log: Log },
  ): Promise<Leases> {
    const leases = new Leases(await redisOf(config, baseDir, log), log);
    await leases.#lease(config, workers);
    return leases;
  }

  /** Numbers for a worker that starts now. @throws Error when it is planned and there is no lease to be had; all is as it was then */
  take(number: number, wanted: IdsWanted): Promise<TakenIds> {
    return this.#turns.take(() => this.#take(number, wanted));
  }

  /** Resolves when nobody else makes ids by the numbers of a worker; it does from then on. */
  async handOver(process: Holder): Promise<void> {
    if (this.redis) return; // they are leased: it has had them from its start
    await Promise.all(this.#rivals(process.ids.number, process).map(({ left }) => left));
    process.held(process.ids.masterId, Number.POSITIVE_INFINITY);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cluster?.close();
    for (const lease of this.#holders.keys()) await lease[Symbol.asyncDispose]();
    await this.redis?.[Symbol.asyncDispose]();
  }

  async #take(number: number, { config, workers, isPlanned }: IdsWanted): Promise<TakenIds> {
    const before = this.#current;
    const lease = this.#free(number) ?? (await this.#lease(config, Math.max(workers, number + 1)));
    if (isPlanned && lease.trouble !== undefined) {
      this.#current = before;
      this.#releaseUnused(lease);
      throw new Error(`no lease of ids: ${lease.trouble}`);
    }
    if (before) this.#releaseUnused(before);
    const { masterId } = lease;
    const untilMs = this.redis || this.#rivals(number).length === 0 ? lease.untilMs : 0;
    return {
      ids: { number, masterId, untilMs, isRedisAway: this.redis?.isReady === false },
      hasLease: this.redis !== undefined,
      holdBy: (process) => this.#hold(lease, process),
    };
  }

  /** A lease by which no living worker has the number. Without Redis there is but one. */
  #free(number: number): Lease | undefined {
    if (!this.redis) return this.#current;
    const all = [...(this.#current ? [this.#current] : []), ...this.#holders.keys()];
    const free = all.filter((lease) => lease.capacity > number && !this.#isTaken(lease, number));
    return free.find(({ trouble }) => trouble === undefined) ?? free[0];
  }

  #isTaken(lease: Lease, number: number): boolean {
    return [...(this.#holders.get(lease) ?? [])].some(({ ids }) => ids.number === number);
  }

  #rivals(number: number, self?: Holder): readonly Holder[] {
    const all = [...this.#holders.values()].flatMap((processes) => [...processes]);
    return all.filter((process) => process !== self && process.ids.number === number);
  }

  async #lease(config: GatewayConfig, workers: number): Promise<Lease> {
    const holders = new Set<Holder>();
    const host = {
      log: this.#log,
      onHeld: (masterId: number, untilMs: number): void => {
        for (const process of holders) process.held(masterId, untilMs);
      },
      onLost: (why: string): void => {
        for (const process of holders) process.lost(why);
      },
    };
    const lease = await Lease.take(this.redis, config, { workers, host });
    this.#holders.set(lease, holders);
    this.#current = lease;
    return lease;
  }

  #hold(lease: Lease, process: Holder): void {
    this.#holders.get(lease)?.add(process);
    void process.ended.then(() => {
      this.#holders.get(lease)?.delete(process);
      this.#releaseUnused(lease);
    });
  }

  #releaseUnused(lease: Lease): void {
    if (lease === this.#current || this.#holders.get(lease)?.size !== 0) return;
    this.#holders.delete(lease);
    void lease[Symbol.asyncDispose]();
  }
}
