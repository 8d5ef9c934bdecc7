import type { WorkerFacts } from "../../registry/worker-entry.ts";
import { type Dicts, openDicts } from "../../shared/dict/open-dicts.ts";
import { canShareMemory } from "../../shared/dict/shared-memory.ts";
import { type LocalTransport, localTransport } from "../../shared/events/local-transport.ts";
import { EventRelay } from "../../shared/events/relay.ts";
import { ticketKeysNow } from "../../ssl/context.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import { dictSizesOf } from "../dict-sizes.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { ServedPort } from "../ports.ts";
import { keepProcess } from "../trial.ts";
import { Worker } from "../worker.ts";
import type { Former } from "./former.ts";
import { unlessAborted } from "./give-up.ts";
import { closeKeeping } from "./kept-paths.ts";
import { Leases } from "./leases.ts";
import { LocalWorker } from "./local-worker.ts";
import { Master } from "./master.ts";
import { OwnNumbers } from "./own-numbers.ts";
import type { RunningGateway, StartOptions } from "./running-gateway.ts";
import { canCopy } from "./socket-handle.ts";
import { isOneProcess } from "./workers-of.ts";

interface SingleParts {
  readonly options: StartOptions;
  readonly loaded: LoadedGateway;
  readonly leases: Leases;
  readonly numbers: OwnNumbers;
  readonly events: EventRelay;
  readonly transport: LocalTransport;
}

/** A configuration that is tried out. */
interface Tried {
  readonly generation: number;
  readonly loaded: LoadedGateway;
}

/** A gateway that is one process: its worker serves where it was started. It may become several: then it keeps its sessions, beside them. */
export class Single implements RunningGateway, Former {
  readonly leases: Leases;
  readonly events: EventRelay;
  readonly calls: LocalWorker;
  readonly servesHere = true;
  /** Its trial knows; a crash would be this process's own end. */
  readonly canaryFault = undefined;
  readonly #worker: Worker;
  readonly #options: StartOptions;
  readonly #numbers: OwnNumbers;
  readonly #transport: LocalTransport;
  #loaded: LoadedGateway;
  #loadedBefore: LoadedGateway | undefined;
  #generations = 1;
  #tried: Tried | undefined;
  /** Who takes its place, from the moment that it begins to. */
  #successor: Master | undefined;
  #hasLeft = false;

  private constructor(worker: Worker, { options, loaded, leases, numbers, events, transport }: SingleParts) {
    this.#worker = worker;
    this.#options = options;
    this.#loaded = loaded;
    this.leases = leases;
    this.#numbers = numbers;
    this.events = events;
    this.#transport = transport;
    this.calls = new LocalWorker(worker, options.log);
  }

  /** @throws BindError when a port cannot be opened; TypeError for what only shows when the configuration is built */
  static async start(loaded: LoadedGateway, options: StartOptions): Promise<Single> {
    const { config } = loaded;
    const { baseDir } = loaded.loaded;
    const { log, stateDir } = options;
    const dicts = ownDicts(loaded);
    const leases = await Leases.open(config, 1, { baseDir, log });
    try {
      const { ids, holdBy } = await leases.take(0, { config, workers: 1, isPlanned: false });
      const numbers = new OwnNumbers(ids);
      holdBy(numbers);
      const events = new EventRelay({ cluster: leases.cluster });
      const transport = localTransport(events, 0);
      const { redis } = leases;
      const ticketKeys = ticketKeysNow();
      const parts = { baseDir, log, ids, stateDir, dicts, ticketKeys, events: transport, redis };
      const worker = await Worker.start(config, parts);
      numbers.tell(worker);
      return new Single(worker, { options, loaded, leases, numbers, events, transport });
    } catch (cause) {
      await leases[Symbol.asyncDispose]();
      throw cause;
    }
  }

  get listening(): RunningGateway["listening"] {
    return this.#worker.listening;
  }

  get generation(): number {
    return this.#worker.generations.serving;
  }

  get generations(): number {
    return this.#generations;
  }

  get loaded(): LoadedGateway {
    return this.#loaded;
  }

  get dicts(): Dicts | undefined {
    return this.#worker.generations.dicts;
  }

  get served(): readonly ServedPort[] {
    return this.#worker.served;
  }

  get ended(): Promise<void> {
    return this.#numbers.ended;
  }

  async reload(next: LoadedGateway, unless: AbortSignal): Promise<RunningGateway> {
    if (await this.#mayGrow(next)) return this.#grow(next, unless);
    await this.#serve({ generation: await this.#prepare(next, unless), loaded: next });
    return this;
  }

  async tryOut(next: LoadedGateway, share: number, unless: AbortSignal): Promise<void> {
    const generation = await this.#prepare(next, unless);
    await this.calls.tryOut(generation, share);
    this.#tried = { generation, loaded: next };
  }

  async promote(unless: AbortSignal): Promise<RunningGateway | undefined> {
    const tried = this.#tried;
    if (tried === undefined) return undefined;
    if (await this.#mayGrow(tried.loaded)) return this.#grow(tried.loaded, unless);
    await this.#serve(tried);
    return this;
  }

  async rollback(): Promise<boolean> {
    const tried = this.#tried;
    if (tried === undefined) return this.#goBack();
    this.#tried = undefined;
    await this.calls.abandon(tried.generation);
    return true;
  }

  async #goBack(): Promise<boolean> {
    if (!(await this.#worker.generations.rollback())) return false;
    this.#loaded = this.#loadedBefore ?? this.#loaded;
    this.#loadedBefore = undefined;
    return true;
  }

  async #serve({ generation, loaded }: Tried): Promise<void> {
    await this.calls.commit(generation);
    this.#tried = undefined;
    this.#loadedBefore = this.#loaded;
    this.#loaded = loaded;
  }

  async #mayGrow({ config }: LoadedGateway): Promise<boolean> {
    const { log } = this.#options;
    if (await isOneProcess(config, log)) return false;
    if (canCopy()) return true;
    log.warn("workers: one process can only become several by a new start here");
    return false;
  }

  /** Several take its place: they accept where it does. What fails leaves everything as it was. */
  async #grow(next: LoadedGateway, unless: AbortSignal): Promise<RunningGateway> {
    const master = Master.after(this, this.#options);
    this.#successor = master;
    try {
      return await master.begin(next, unless);
    } catch (cause) {
      this.#successor = undefined;
      throw cause;
    }
  }

  joinedBy(workers: number): void {
    keepProcess();
    this.#worker.joinedBy(workers);
  }

  leave(): void {
    if (this.#hasLeft) return;
    this.#hasLeft = true;
    if (!this.leases.redis) this.#numbers.lost("others have its number");
    const paths = this.served.flatMap(({ endpoint }) => (endpoint.kind === "unix" ? [endpoint.path] : []));
    const { log } = this.#options;
    const end = (): void => void this.end("drain").catch((cause) => log.error("stop failed", { err: cause }));
    closeKeeping(paths, end, (cause) => log.error("a unix socket has lost its path", { err: cause }));
    this.#numbers.leave();
  }

  /** Resolves with the number of the generation. */
  async #prepare(next: LoadedGateway, unless: AbortSignal): Promise<number> {
    const generation = ++this.#generations;
    const dicts = ownDicts(next, this.#worker.generations.dicts);
    const like = { number: generation, dicts, ticketKeys: ticketKeysNow() };
    const giveUp = (): void => void this.calls.abandon(generation).catch(() => {}); // also while a hook still waits
    try {
      await unlessAborted(unless, giveUp, () => this.calls.prepareConfig(next.config, like));
      unless.throwIfAborted();
    } catch (cause) {
      dicts.letGo();
      throw cause;
    }
    return generation;
  }

  async replace(): Promise<void> {
    throw new Error("one process cannot replace itself: set workers to 2 or more");
  }

  sessions(): ReturnType<RunningGateway["sessions"]> {
    return this.calls.sessions();
  }

  kill(session: string): Promise<boolean> {
    return this.calls.kick(session);
  }

  ban(whom: string, options: BanOptions): Promise<Ban> {
    return this.calls.ban(whom, options);
  }

  unban(whom: string): Promise<boolean> {
    return this.calls.unban(whom);
  }

  bans(): Promise<readonly Ban[]> {
    return this.calls.bans();
  }

  registered(): Promise<readonly WorkerFacts[]> {
    return this.calls.registered();
  }

  async status(): ReturnType<RunningGateway["status"]> {
    return [await this.calls.status()];
  }

  async reopen(): Promise<void> {
    await (this.#successor ?? this.calls).reopen();
  }

  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    if (this.#successor) return this.#successor.close(how, overMs);
    await this.end(how, overMs);
    await this.leases[Symbol.asyncDispose]();
  }

  async end(how: "quick" | "drain", overMs?: number): Promise<void> {
    await this.#worker.close(how, overMs);
    this.#transport.leave();
    this.#numbers.end();
  }
}

/** Whether dictionaries are made so that others can come to them later: asked once. */
let isShared: boolean | undefined;

function ownDicts({ config }: LoadedGateway, keep?: Dicts): Dicts {
  const sizes = dictSizesOf(config);
  if (Object.keys(sizes).length > 0) isShared ??= canShareMemory();
  return openDicts(sizes, { keep, isShared });
}
