import type { GatewayConfig } from "../gateway.ts";
import { registeredWorkers, type WorkerFacts } from "../registry/worker-entry.ts";
import type { Dicts } from "../shared/dict/open-dicts.ts";
import { localTransport } from "../shared/events/local-transport.ts";
import { EventRelay } from "../shared/events/relay.ts";
import { timers } from "../shared/timer.ts";
import type { BanTable } from "../stream/bans/ban-table.ts";
import type { Carrier } from "../stream/carrier/carrier.ts";
import type { Server } from "../stream/server.ts";
import type { Bans } from "../stream/worker-context.ts";
import { advertisedAddress } from "./advertised.ts";
import { chooseCarrier } from "./choose-carrier.ts";
import { contextOf } from "./context-of.ts";
import { sessionLimit } from "./fd-limit.ts";
import { compileGeneration, type Generation } from "./generation.ts";
import type { Identity, WorkerIds } from "./identity.ts";
import { Lasting } from "./lasting.ts";
import type { LiveSession } from "./live-session.ts";
import type { SocketName } from "./master/inherited-sockets.ts";
import { portOpener } from "./port-opener.ts";
import { type PortChange, Ports, type ServedPort } from "./ports.ts";
import { type Ends, Sessions } from "./sessions.ts";
import { logTimers } from "./timer-log.ts";
import { Trial } from "./trial.ts";
import { exitWorker, initWorker, inTime, settled } from "./worker-hooks.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** So long may callbacks of timers take that a stop has called early. */
const TIMERS_END_MS = 5_000;

/** A gateway of one process, without Redis. */
const FIRST: WorkerIds = { number: 0, masterId: 0 };

/** What a generation is built with, besides its configuration. */
export interface Preparation {
  readonly number: number;
  readonly dicts: Dicts;
  /** With which TLS sessions are resumed. */
  readonly ticketKeys: Buffer;
}

/** A configuration that is ready to take over. */
interface Candidate {
  readonly generation: Generation;
  readonly ports: PortChange;
}

/** The process that serves: its ports, its sessions, and the generations that they belong to. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #lasting: Lasting;
  readonly #carrier: Carrier | undefined;
  readonly #ports: Ports;
  readonly #sessions: Sessions;
  readonly #ends = new Map<number, AbortController>();
  /** Generations that serve no new session; the last sessions of them still run. */
  readonly #retired = new Map<number, Generation>();
  /** What each generation has, for as long as it may serve. */
  readonly #dicts = new Map<number, Dicts>();
  /** By the number of the generation, as are those that are ready. */
  readonly #preparing = new Map<number, AbortController>();
  readonly #candidates = new Map<number, Candidate>();
  #current: Generation;
  /** The candidate that serves a share of the new sessions. */
  #canary: { readonly generation: Generation; readonly share: number } | undefined;
  /** The one before, kept whole for a rollback. */
  #previous: Generation | undefined;
  #closing: Promise<void> | undefined;
  /** The process ends with it. */
  #endsProcess = true;
  #isShown = false;

  private constructor(first: Generation, end: AbortController, lasting: Lasting, options: WorkerOptions) {
    const { sessions: max, openFiles } = sessionLimit(first.servers.flatMap(({ listen }) => listen).length);
    const { log } = options;
    log.info("session limit", { sessions: max, open_files: openFiles });
    this.#options = options;
    this.#lasting = lasting;
    this.#current = first;
    this.#ends.set(first.number, end);
    if (options.dicts) this.#dicts.set(first.number, options.dicts);
    this.#carrier = chooseCarrier(process.env["RESTYCONF_CARRIER"], process.env["RESTYCONF_ENGINE"], max, log);
    this.#sessions = new Sessions({ max, carrier: this.#carrier, onUnused: (number) => this.#unused(number) });
    this.#ports = new Ports({
      log,
      open: portOpener(this.#carrier, options.sockets),
      hasRoom: (server) => this.#sessions.hasRoom(server),
      serve: (incoming, server) => this.#sessions.serve(incoming, this.#serverFor(server)),
    });
  }

  /** Opens all ports of a checked configuration whose `init` has run, or none. @throws BindError, and TypeError for what only shows when it is built. */
  static async start(config: GatewayConfig, options: WorkerOptions): Promise<Worker> {
    const { ids = FIRST, generation: number = 1, stateDir, dicts, ticketKeys, baseDir, log, redis } = options;
    const { events = localTransport(new EventRelay(), ids.number) } = options;
    const isAlone = options.sockets === undefined;
    const lasting = await Lasting.open(config, { ids, baseDir, stateDir, log, events, redis, isAlone });
    const worker = await Worker.#build(config, {
      number,
      dicts,
      ticketKeys,
      end: new AbortController(),
      lasting,
      options,
    });
    logTimers(log);
    try {
      await initWorker(worker.#current);
      worker.#ports.commit(await worker.#ports.prepare(worker.#current.servers));
    } catch (cause) {
      await worker.close("quick");
      throw cause;
    }
    if (!options.sockets) worker.#show();
    return worker;
  }

  static async #build(config: GatewayConfig, parts: GenerationParts): Promise<Worker> {
    const { end, lasting, options } = parts;
    let first: Generation | undefined;
    try {
      first = await compile(config, parts);
      return new Worker(first, end, lasting, options);
    } catch (cause) {
      await first?.close();
      await lasting[Symbol.asyncDispose]();
      throw cause;
    }
  }

  get identity(): Identity {
    return this.#lasting.identity;
  }

  /** The lease of its numbers was renewed, or another was had: then game servers are told. */
  hold(masterId: number, untilMs: number): void {
    const { identity, links } = this.#lasting;
    identity.hold(masterId, untilMs);
    links.announce();
  }

  #show(): void {
    if (this.#isShown) return;
    this.#isShown = true;
    const startedAt = new Date().toISOString();
    const address = (): string => advertisedAddress(this.#current.config.advertise, this.listening[0]?.address);
    const facts = (): { startedAt: string; sessions: number; generation: number } => {
      return { startedAt, sessions: this.size, generation: this.generation };
    };
    const killBanned = (bans: BanTable): Promise<number> => this.#sessions.killBanned(bans);
    const killSilent = (bans: BanTable): void => this.#sessions.killSilent(bans);
    this.#lasting.show({ sessions: this.#sessions.forLinks, address, killBanned, killSilent }, facts);
    this.#lasting.follow(this.#current.config);
  }

  /** Open ports, as the command line prints them. */
  get listening(): readonly { readonly address: string; readonly server: string }[] {
    return this.#ports.listening;
  }

  /** Where it listens, for others who are to do so as well. */
  get served(): readonly ServedPort[] {
    return this.#ports.served;
  }

  /** So many other processes are the gateway's workers now. */
  joinedBy(workers: number): void {
    this.#endsProcess = false;
    this.#lasting.joinedBy(workers);
  }

  /** Sessions that live, or whose socket still lingers. */
  get size(): number {
    return this.#sessions.size;
  }

  get carrier(): "native" | "node" {
    return this.#carrier ? "native" : "node";
  }

  /** Number of the generation that serves new sessions. */
  get generation(): number {
    return this.#current.number;
  }

  /**
   * What lives at this moment. A client of the native carrier that has said nothing yet is listed as `silent-…`; a session that
   * has been ended is not, though its socket may still linger.
   */
  sessions(): LiveSession[] {
    return this.#sessions.list();
  }

  /** Ends one session at once; its end cause is `killed`. False: no such session lives. */
  kill(session: string): boolean {
    return this.#sessions.kill(session);
  }

  /** The same for a session of any worker of any gateway. */
  async kick(session: string): Promise<boolean> {
    return (await this.#lasting.sessions.kick(session)).ok === true;
  }

  get bans(): Bans {
    return this.#lasting.bans;
  }

  /** The workers that the registry knows. Rejects with RC_REGISTRY where it cannot be asked. */
  registered(): Promise<readonly WorkerFacts[]> {
    return registeredWorkers(this.#lasting.registry);
  }

  /** The dictionaries of what serves: another generation keeps those that it has, too. */
  get dicts(): Dicts | undefined {
    return this.#dicts.get(this.generation);
  }

  /** Builds a generation off to the side and opens its new ports, as a candidate. What fails leaves everything as it was. */
  async prepare(config: GatewayConfig, like: Preparation): Promise<void> {
    const unwanted = new AbortController();
    this.#preparing.set(like.number, unwanted);
    try {
      await this.#prepare(config, like, unwanted.signal);
    } finally {
      this.#preparing.delete(like.number);
    }
  }

  async #prepare(config: GatewayConfig, like: Preparation, unless: AbortSignal): Promise<void> {
    const { number, dicts } = like;
    const end = new AbortController();
    const generation = await compile(config, { ...like, end, lasting: this.#lasting, options: this.#options });
    this.#ends.set(number, end);
    this.#dicts.set(number, dicts);
    if (Trial.current) this.#sessions.blame(number, Trial.current);
    const hook = initWorker(generation);
    try {
      await inTime(hook, unless);
      const ports = await this.#ports.prepare(generation.servers);
      if (unless.aborted) this.#ports.abandon(ports);
      unless.throwIfAborted();
      this.#candidates.set(number, { generation, ports });
    } catch (cause) {
      void settled(hook).then(() => this.#end(generation)); // what the hook opens last is closed, too
      throw cause;
    }
  }

  /** Lets a candidate serve a share of the new sessions, from 0 to 1, at the addresses that it has in common with the current one. Another one that did is dropped. */
  async tryOut(number: number, share: number): Promise<void> {
    const { generation, ports } = this.#candidate(number);
    const before = this.#canary?.generation.number;
    this.#ports.tryOut(ports);
    this.#canary = { generation, share };
    if (before !== undefined && before !== number) await this.abandon(before);
  }

  /** How the sessions of a canary end, and those of the current generation since it began. */
  get canary(): { readonly generation: number; readonly own: Ends; readonly others: Ends } | undefined {
    const number = this.#canary?.generation.number;
    if (number === undefined) return undefined;
    return { generation: number, own: this.#sessions.endsOf(number), others: this.#sessions.endsOf(this.generation) };
  }

  #serverFor(server: Server): Server {
    if (!this.#canary || Math.random() >= this.#canary.share) return server;
    return this.#canary.generation.servers.find(({ name }) => name === server.name) ?? server;
  }

  #candidate(number: number): Candidate {
    const candidate = this.#candidates.get(number);
    if (candidate) return candidate;
    throw new Error(`generation ${number} is not ready to serve`);
  }

  /** New sessions belong to the candidate from here on; the others keep the generation that they began with. All other candidates are dropped. */
  async commit(number: number): Promise<void> {
    const { generation, ports } = this.#candidate(number);
    this.#candidates.delete(number);
    this.#canary = undefined;
    this.#ports.commit(ports);
    const before = this.#previous;
    this.#previous = this.#current;
    this.#current = generation;
    this.#lasting.follow(generation.config);
    if (before) this.#retire(before);
    for (const other of this.#candidates.keys()) await this.abandon(other);
  }

  /** Forgets a candidate, also one that is being prepared: that fails then. */
  async abandon(number: number): Promise<void> {
    this.#preparing.get(number)?.abort(new Error("it was given up"));
    const candidate = this.#candidates.get(number);
    if (!candidate) return;
    this.#candidates.delete(number);
    if (this.#canary?.generation === candidate.generation) this.#canary = undefined;
    this.#ports.abandon(candidate.ports);
    this.#retire(candidate.generation); // a new port may have had its first client already
  }

  /** Number of the generation before, if there is one to go back to. */
  get previous(): number | undefined {
    return this.#previous?.number;
  }

  /** Goes back to the generation before, at once. False: there is none. @throws BindError where a port of it was closed and is taken now */
  async rollback(): Promise<boolean> {
    const generation = this.#previous;
    if (!generation) return false;
    const ports = await this.#ports.prepare(generation.servers);
    this.#previous = undefined;
    const failed = this.#current;
    this.#current = generation;
    this.#ports.commit(ports);
    this.#lasting.follow(generation.config);
    this.#retire(failed);
    return true;
  }

  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end, or ends them over a time, and says so to them where their protocol has words for it. May be told more than once. */
  close(how: "quick" | "drain", overMs?: number): Promise<void> {
    for (const unwanted of this.#preparing.values()) unwanted.abort(new Error("the worker is ending"));
    this.#closing ??= this.#close();
    if (how === "quick") this.#sessions.stop();
    else this.#sessions.drain(overMs);
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#endsProcess) timers.expire();
    else timers.callAll();
    this.#lasting.links.drain();
    this.#ports.close();
    await this.#sessions.empty();
    this.#carrier?.stop();
    const candidates = [...this.#candidates.values()].map(({ generation }) => generation);
    for (const generation of [this.#current, this.#previous, ...candidates, ...this.#retired.values()])
      if (generation) await this.#end(generation);
    if (this.#endsProcess) await timers.finish(TIMERS_END_MS);
    await this.#lasting[Symbol.asyncDispose]();
  }

  /** Accepts besides at sockets that the master has sent. From the first time on the worker is there for everybody. */
  async accept(sockets: readonly SocketName[]): Promise<void> {
    await this.#ports.accept(sockets);
    this.#show();
  }

  /** Accepts there no more: another process does. */
  leave(sockets: readonly SocketName[]): void {
    this.#ports.leave(sockets);
  }

  #retire(generation: Generation): void {
    this.#retired.set(generation.number, generation);
    if (this.#sessions.ofGeneration(generation.number) === 0) this.#unused(generation.number);
  }

  #unused(number: number): void {
    const generation = this.#retired.get(number);
    if (!generation) return;
    this.#retired.delete(number);
    void this.#end(generation);
  }

  /** Ends what a generation has open; what its hook does not manage in its time, nobody waits for. */
  async #end(generation: Generation): Promise<void> {
    const { log } = this.#options;
    const ends = this.#ends.get(generation.number);
    this.#ends.delete(generation.number);
    this.#dicts.delete(generation.number);
    this.#sessions.forget(generation.number);
    await Trial.atEnd(async () => {
      ends?.abort();
      await exitWorker(generation, log);
      await generation.close().catch((cause: unknown) => log.error("generation not closed", { err: cause }));
    });
  }
}

interface GenerationParts {
  readonly number: number;
  readonly dicts: Dicts | undefined;
  readonly ticketKeys: Buffer | undefined;
  readonly end: AbortController;
  readonly lasting: Lasting;
  readonly options: WorkerOptions;
}

async function compile(config: GatewayConfig, parts: GenerationParts): Promise<Generation> {
  const { number, dicts, ticketKeys, end, lasting, options } = parts;
  const { live, resolver, limits, bans } = lasting;
  const { baseDir, log } = options;
  const isAlone = options.sockets === undefined;
  const worker = contextOf(lasting, { number, dicts, signal: end.signal, isAlone });
  const hookWatch = await lasting.watchFor(config);
  const lastingParts = { live, resolver, limits, bans: bans.table };
  return compileGeneration(config, { number, baseDir, log, hookWatch, worker, ticketKeys, ...lastingParts });
}
