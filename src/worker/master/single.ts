import type { RedisLink } from "../../registry/redis/redis-link.ts";
import type { WorkerFacts } from "../../registry/worker-entry.ts";
import { openDicts } from "../../shared/dict/open-dicts.ts";
import { localTransport } from "../../shared/events/local-transport.ts";
import { type RedisEvents, redisEvents } from "../../shared/events/redis-events.ts";
import { EventRelay } from "../../shared/events/relay.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import { dictSizesOf } from "../dict-sizes.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import { Worker } from "../worker.ts";
import { Lease, redisOf } from "./lease.ts";
import { LocalWorker } from "./local-worker.ts";
import type { RunningGateway, StartOptions } from "./running-gateway.ts";
import { workersOf } from "./workers-of.ts";

interface SingleParts {
  readonly log: OpenLog;
  readonly lease: Lease;
  readonly redis: RedisLink | undefined;
  readonly cluster: RedisEvents | undefined;
}

/** A gateway that is one process: its worker serves where it was started. */
export class Single implements RunningGateway {
  readonly #worker: Worker;
  readonly #calls: LocalWorker;
  readonly #log: OpenLog;
  readonly #lease: Lease;
  readonly #redis: RedisLink | undefined;
  readonly #cluster: RedisEvents | undefined;
  readonly servesHere = true;
  /** A crash would be this process's own end. */
  readonly canaryCrashes = 0;
  #generations = 1;
  /** Number of the generation that is tried out. */
  #tried: number | undefined;

  private constructor(worker: Worker, { log, lease, redis, cluster }: SingleParts) {
    this.#worker = worker;
    this.#lease = lease;
    this.#redis = redis;
    this.#cluster = cluster;
    this.#calls = new LocalWorker(worker, log);
    this.#log = log;
  }

  /** @throws BindError when a port cannot be opened; TypeError for what only shows when the configuration is built */
  static async start({ config, loaded }: LoadedGateway, { log, stateDir }: StartOptions): Promise<Single> {
    const { baseDir } = loaded;
    const dicts = openDicts(dictSizesOf(config));
    const redis = await redisOf(config, baseDir, log);
    const cluster = redis && redisEvents(redis, { warn: (text) => log.warn(text) });
    let worker: Worker | undefined;
    const host = {
      log,
      onHeld: (masterId: number, untilMs: number) => worker?.hold(masterId, untilMs),
      onLost: (why: string) => worker?.identity.lose(why),
    };
    const lease = await Lease.take(redis, config, { workers: 1, host });
    const { masterId, untilMs } = lease;
    try {
      const ids = { number: 0, masterId, untilMs };
      const events = localTransport(new EventRelay({ cluster }), 0);
      worker = await Worker.start(config, {
        baseDir,
        log,
        ids,
        stateDir,
        dicts,
        events,
        redis,
      });
      return new Single(worker, { log, lease, redis, cluster });
    } catch (cause) {
      cluster?.close();
      await lease[Symbol.asyncDispose]();
      await redis?.[Symbol.asyncDispose]();
      throw cause;
    }
  }

  get listening(): RunningGateway["listening"] {
    return this.#worker.listening;
  }

  get generation(): number {
    return this.#worker.generation;
  }

  async reload(next: LoadedGateway, unless: AbortSignal): Promise<void> {
    await this.#calls.commit(await this.#prepare(next, unless));
    this.#tried = undefined;
    if (workersOf(next.config) !== 1) this.#log.warn("workers: one process can only become several by a new start");
  }

  async tryOut(next: LoadedGateway, share: number, unless: AbortSignal): Promise<void> {
    const generation = await this.#prepare(next, unless);
    await this.#calls.tryOut(generation, share);
    this.#tried = generation;
  }

  async promote(): Promise<boolean> {
    const tried = this.#tried;
    if (tried === undefined) return false;
    this.#tried = undefined;
    await this.#calls.commit(tried);
    return true;
  }

  async rollback(): Promise<boolean> {
    const tried = this.#tried;
    if (tried === undefined) return this.#worker.rollback();
    this.#tried = undefined;
    await this.#calls.abandon(tried);
    return true;
  }

  /** Resolves with the number of the generation. */
  async #prepare({ config }: LoadedGateway, unless: AbortSignal): Promise<number> {
    const generation = ++this.#generations;
    const dicts = openDicts(dictSizesOf(config), { keep: this.#worker.dicts });
    const giveUp = (): void => void this.#calls.abandon(generation).catch(() => {}); // also while a hook still waits
    unless.addEventListener("abort", giveUp);
    try {
      await this.#calls.prepareConfig(config, generation, dicts);
    } catch (cause) {
      throw unless.aborted ? unless.reason : cause;
    } finally {
      unless.removeEventListener("abort", giveUp);
    }
    unless.throwIfAborted();
    return generation;
  }

  async replace(): Promise<void> {
    throw new Error("one process cannot replace itself: set workers to 2 or more");
  }

  sessions(): ReturnType<RunningGateway["sessions"]> {
    return this.#calls.sessions();
  }

  kill(session: string): Promise<boolean> {
    return this.#calls.kick(session);
  }

  ban(whom: string, options: BanOptions): Promise<Ban> {
    return this.#calls.ban(whom, options);
  }

  unban(whom: string): Promise<boolean> {
    return this.#calls.unban(whom);
  }

  bans(): Promise<readonly Ban[]> {
    return this.#calls.bans();
  }

  registered(): Promise<readonly WorkerFacts[]> {
    return this.#calls.registered();
  }

  async status(): ReturnType<RunningGateway["status"]> {
    return [await this.#calls.status()];
  }

  reopen(): Promise<void> {
    return this.#calls.reopen();
  }

  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    await this.#worker.close(how, overMs);
    this.#cluster?.close();
    await this.#lease[Symbol.asyncDispose]();
    await this.#redis?.[Symbol.asyncDispose]();
  }
}
