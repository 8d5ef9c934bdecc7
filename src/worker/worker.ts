import type { GatewayConfig } from "../gateway.ts";
import { registeredWorkers, type WorkerFacts } from "../registry/worker-entry.ts";
import { localTransport } from "../shared/events/local-transport.ts";
import { EventRelay } from "../shared/events/relay.ts";
import { timers } from "../shared/timer.ts";
import type { BanTable } from "../stream/bans/ban-table.ts";
import type { Carrier } from "../stream/carrier/carrier.ts";
import type { Bans } from "../stream/worker-context.ts";
import { advertisedAddress } from "./advertised.ts";
import { type Built, build } from "./built.ts";
import { chooseCarrier } from "./choose-carrier.ts";
import { sessionLimit } from "./fd-limit.ts";
import { Generations } from "./generations.ts";
import type { Identity, WorkerIds } from "./identity.ts";
import { Lasting } from "./lasting.ts";
import type { LiveSession } from "./live-session.ts";
import type { SocketName } from "./master/inherited-sockets.ts";
import { portOpener } from "./port-opener.ts";
import { Ports, type ServedPort } from "./ports.ts";
import { Sessions } from "./sessions.ts";
import { logTimers } from "./timer-log.ts";
import type { WorkerOptions } from "./worker-options.ts";

/** So long may callbacks of timers take that a stop has called early. */
const TIMERS_END_MS = 5_000;

/** A gateway of one process, without Redis. */
const FIRST: WorkerIds = { number: 0, masterId: 0 };

/** The process that serves: its ports, its sessions, and the generations that they belong to. */
export class Worker {
  /** Which configuration serves whom. */
  readonly generations: Generations;
  readonly #lasting: Lasting;
  readonly #carrier: Carrier | undefined;
  readonly #ports: Ports;
  readonly #sessions: Sessions;
  #closing: Promise<void> | undefined;
  /** The process ends with it. */
  #endsProcess = true;
  #isShown = false;

  private constructor(first: Built, lasting: Lasting, options: WorkerOptions) {
    const { log, sockets } = options;
    const { sessions: max, openFiles } = sessionLimit(first.generation.servers.flatMap(({ listen }) => listen).length);
    log.info("session limit", { sessions: max, open_files: openFiles });
    this.#lasting = lasting;
    this.#carrier = chooseCarrier(process.env["RESTYCONF_CARRIER"], process.env["RESTYCONF_ENGINE"], max, log);
    this.#sessions = new Sessions({
      max,
      carrier: this.#carrier,
      onUnused: (number) => this.generations.left(number),
    });
    this.#ports = new Ports({
      log,
      open: portOpener(this.#carrier, sockets),
      hasRoom: (server) => this.#sessions.hasRoom(server),
      serve: (incoming, server) => this.#sessions.serve(incoming, this.generations.serverFor(server)),
      onClosed: (number) => this.generations.left(number),
    });
    this.generations = new Generations(first, {
      build: (config, like) => build(config, like, lasting, options),
      ports: this.#ports,
      sessions: this.#sessions,
      log,
      onServes: (config) => lasting.follow(config),
    });
  }

  /** Opens all ports of a checked configuration whose `init` has run, or none. @throws BindError, and TypeError for what only shows when it is built. */
  static async start(config: GatewayConfig, options: WorkerOptions): Promise<Worker> {
    const { ids = FIRST, stateDir, baseDir, log, redis } = options;
    const { events = localTransport(new EventRelay(), ids.number) } = options;
    const isAlone = options.sockets === undefined;
    const lasting = await Lasting.open(config, { ids, baseDir, stateDir, log, events, redis, isAlone });
    const worker = await Worker.#build(config, lasting, options);
    logTimers(log);
    try {
      await worker.generations.begin();
    } catch (cause) {
      await worker.close("quick");
      throw cause;
    }
    if (!options.sockets) worker.#show();
    return worker;
  }

  static async #build(config: GatewayConfig, lasting: Lasting, options: WorkerOptions): Promise<Worker> {
    const { generation: number = 1, dicts, ticketKeys } = options;
    let first: Built | undefined;
    try {
      first = await build(config, { number, dicts, ticketKeys }, lasting, options);
      return new Worker(first, lasting, options);
    } catch (cause) {
      await first?.generation.close();
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
    const { generations } = this;
    const address = (): string => advertisedAddress(generations.config.advertise, this.listening[0]?.address);
    const facts = (): { startedAt: string; sessions: number; generation: number } => {
      return { startedAt, sessions: this.size, generation: generations.serving };
    };
    const killBanned = (bans: BanTable): Promise<number> => this.#sessions.killBanned(bans);
    const killSilent = (bans: BanTable): void => this.#sessions.killSilent(bans);
    this.#lasting.show({ sessions: this.#sessions.forLinks, address, killBanned, killSilent }, facts);
    this.#lasting.follow(generations.config);
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

  /** Stops accepting; `quick` ends sessions at once, `drain` waits for their own end, or ends them over a time, and says so to them where their protocol has words for it. May be told more than once. */
  close(how: "quick" | "drain", overMs?: number): Promise<void> {
    this.generations.giveUp(new Error("the worker is ending"));
    this.#closing ??= this.#close();
    if (how === "quick") this.#sessions.stop();
    else this.#sessions.drain(overMs);
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#endsProcess) timers.expire();
    else this.generations.leave();
    this.#lasting.links.drain();
    this.#ports.close();
    await this.#sessions.empty();
    this.#carrier?.stop();
    await this.generations.close();
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
}
