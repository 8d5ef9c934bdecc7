import type { GatewayConfig } from "../gateway.ts";
import type { Heartbeat } from "../registry/heartbeat.ts";
import { openRegistry } from "../registry/open-registry.ts";
import type { RedisLink } from "../registry/redis/redis-link.ts";
import type { Registry } from "../registry/registry.ts";
import { registerWorker, type WorkerFacts } from "../registry/worker-entry.ts";
import { WorkerEvents } from "../shared/events/events.ts";
import type { EventTransport } from "../shared/events/message.ts";
import { BAN_KEYS } from "../stream/bans/ban.ts";
import { LimitStore } from "../stream/limits/limit-store.ts";
import type { Log } from "../stream/log.ts";
import { LivePeers } from "../upstream/live-peers.ts";
import { Resolver } from "../upstream/resolve.ts";
import { bansRegistry } from "./bans/bans-registry.ts";
import { type BansHost, WorkerBans } from "./bans/worker-bans.ts";
import { livingWorkers } from "./everywhere/living-workers.ts";
import { Everywhere } from "./everywhere/sessions-everywhere.ts";
import { Identity, type WorkerIds } from "./identity.ts";
import type { LinkSessions } from "./link/link-sessions.ts";
import { Links } from "./link/links.ts";
import { redisOf } from "./master/lease.ts";
import { workersOf } from "./master/workers-of.ts";
import { hasHooks } from "./slow-hooks/has-hooks.ts";
import { SlowHooks } from "./slow-hooks/slow-hooks.ts";

interface LastingOptions {
  readonly ids: WorkerIds;
  readonly baseDir: string;
  /** For snapshots of the registry. */
  readonly stateDir: string | undefined;
  readonly log: Log;
  /** To the other workers. */
  readonly events: EventTransport;
  /** The gateway is this one process. */
  readonly isAlone: boolean;
  /** A connection that the process has already. */
  readonly redis: RedisLink | undefined;
}

/** What is open before a worker is. */
interface Sources {
  readonly registry: Registry;
  readonly bans: WorkerBans;
  /** The worker's own connection to Redis. */
  readonly own: RedisLink | undefined;
}

/** What a worker shows of itself, once it serves. */
interface Shown extends BansHost {
  readonly sessions: LinkSessions;
  /** Where the gateway can be reached. */
  address(): string;
}

/** What outlives the generations of a worker: who it is, what it knows of peers, the registry, limits, and its links to game servers. */
export class Lasting implements AsyncDisposable {
  readonly live: LivePeers = new LivePeers();
  readonly resolver: Resolver = new Resolver();
  readonly registry: Registry;
  readonly identity: Identity;
  readonly links: Links;
  readonly events: WorkerEvents;
  readonly bans: WorkerBans;
  /** The sessions of all workers. */
  readonly sessions: Everywhere;
  /** What limits have counted. */
  readonly limits: LimitStore;
  /** Where this worker has opened it itself. */
  readonly #redis: RedisLink | undefined;
  readonly #isShared: boolean;
  readonly #log: Log;
  /** How many processes the gateway has. */
  #workers = 1;
  #isAlone: boolean;
  #shown: Shown | undefined;
  #entry: Heartbeat | undefined;
  /** Made for the first generation that has hooks. */
  #slowHooks: Promise<SlowHooks | undefined> | undefined;

  private constructor(config: GatewayConfig, { registry, bans, own }: Sources, options: LastingOptions) {
    const { resolver } = this;
    const { ids, log, events } = options;
    this.registry = registry;
    this.bans = bans;
    this.limits = new LimitStore({ log, redis: options.redis ?? own });
    this.#redis = own;
    this.identity = new Identity(ids, config.machineBits);
    this.#isShared = isShared(config);
    this.#isAlone = options.isAlone;
    this.#log = log;
    const { identity } = this;
    const sessions: LinkSessions = {
      find: (id) => this.#shown?.sessions.find(id),
      list: () => this.#shown?.sessions.list() ?? [],
      kill: (id) => this.#shown?.sessions.kill(id) ?? false,
    };
    let hadNumbers = false; // they stay known by them while a lease that was lost may come back
    const announce = (): { worker: number; master: number; address: string } | undefined => {
      hadNumbers ||= identity.snowflake.isHeld;
      if (!hadNumbers) return undefined;
      return { worker: identity.id, master: identity.masterId, address: this.#shown?.address() ?? "" };
    };
    this.events = new WorkerEvents({
      transport: events,
      number: ids.number,
      onTrouble: (topic, cause) => log.error("event handler failed", { topic, err: cause }),
    });
    this.links = new Links({ registry, announce, sessions, bans, log, resolver, codec: config.links?.codec });
    const siblings = {
      count: () => (this.#isAlone ? 1 : this.#workers),
      firstId: () => identity.id - identity.number,
    };
    const workers = livingWorkers(config.redis === undefined ? undefined : registry, siblings);
    this.sessions = new Everywhere({ events: this.events, identity, sessions, workers });
  }

  /** Opens the registry that the configuration names. Rejects when files cannot be read; a Redis that is away is waited for later. */
  static async open(config: GatewayConfig, options: LastingOptions): Promise<Lasting> {
    const { log, baseDir, stateDir, redis } = options;
    const own = redis ? undefined : await redisOf(config, baseDir, log, options.ids.isRedisAway);
    let bans: WorkerBans | undefined;
    const registry = await openRegistry(config, {
      ...{ log, baseDir, stateDir, link: redis ?? own },
      onLost: (prefix, loss) => void (prefix === BAN_KEYS && bans?.restore(loss)),
    });
    bans = await WorkerBans.open(await bansRegistry(registry, { isShared: isShared(config), stateDir, log }), log);
    return new Lasting(config, { registry, bans, own }, options);
  }

  /** The worker serves: links and the registry may tell of it. */
  show(shown: Shown, facts: () => Omit<WorkerFacts, "id" | "address" | "pid">): void {
    this.#shown = shown;
    this.bans.serves(shown);
    if (!this.#isShared) return;
    const { identity } = this;
    const entry = (): WorkerFacts | undefined => {
      if (!identity.snowflake.isHeld) return undefined; // the number may be another worker's
      return { ...facts(), id: identity.id, address: shown.address(), pid: process.pid };
    };
    this.#entry = registerWorker(this.registry, entry, { warn: (text) => this.#log.warn(text) });
  }

  /** Links lead to the game servers that the upstreams of the configuration read from the registry. */
  follow(config: GatewayConfig): void {
    const { upstreams = {} } = config;
    this.#workers = workersOf(config);
    this.links.follow(Object.values(upstreams).flatMap(({ peers }) => ("kind" in peers ? [peers.service] : [])));
  }

  /** The gateway is not this one process any more. */
  joinedBy(workers: number): void {
    this.#isAlone = false;
    this.#workers = workers;
  }

  /** Who watches over the hooks of a configuration, if it has any. */
  watchFor(config: GatewayConfig): Promise<SlowHooks | undefined> {
    if (hasHooks(config)) this.#slowHooks ??= SlowHooks.start(this.#log);
    return this.#slowHooks ?? Promise.resolve(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.sessions[Symbol.dispose]();
    await this.links.stop();
    await this.#entry?.[Symbol.asyncDispose]();
    await (await this.#slowHooks)?.close();
    await this.bans[Symbol.asyncDispose]();
    await this.registry[Symbol.asyncDispose]();
    await this.#redis?.[Symbol.asyncDispose]();
  }
}

/** Others have the registry, too. */
function isShared({ redis, registry }: GatewayConfig): boolean {
  return redis !== undefined || registry !== undefined;
}
