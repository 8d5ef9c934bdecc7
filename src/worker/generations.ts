import type { GatewayConfig } from "../gateway.ts";
import type { Dicts } from "../shared/dict/open-dicts.ts";
import type { Log } from "../stream/log.ts";
import type { Server } from "../stream/server.ts";
import { type Built, endBuilt, endTimers, type Preparation } from "./built.ts";
import type { PortChange, Ports } from "./ports.ts";
import type { Ends, Sessions } from "./sessions.ts";
import { Trial } from "./trial.ts";
import { initWorker, inTime, settled } from "./worker-hooks.ts";

/** What a worker's generations need of it. */
interface GenerationsParts {
  readonly build: (config: GatewayConfig, like: Preparation) => Promise<Built>;
  readonly ports: Ports;
  readonly sessions: Sessions;
  readonly log: Log;
  /** Another configuration serves new sessions. */
  readonly onServes: (config: GatewayConfig) => void;
}

/** A configuration that is ready to take over. */
interface Candidate {
  readonly built: Built;
  readonly ports: PortChange;
}

/** Which configuration serves whom: new sessions, a canary's share of them, those that began with an older one; and which could serve next, or again. */
export class Generations {
  readonly #parts: GenerationsParts;
  /** By the number of the generation, as are those that are ready. */
  readonly #preparing = new Map<number, AbortController>();
  readonly #candidates = new Map<number, Candidate>();
  /** They serve no new session; the last sessions of them still run. */
  readonly #retired = new Map<number, Built>();
  #current: Built;
  /** The candidate that serves a share of the new sessions. */
  #canary: { readonly built: Built; readonly share: number } | undefined;
  /** The one before, kept whole for a rollback. */
  #previous: Built | undefined;

  constructor(first: Built, parts: GenerationsParts) {
    this.#current = first;
    this.#parts = parts;
  }

  /** Runs the first one's `initWorker` and opens its ports. Rejects with what the hook throws, and with BindError. */
  async begin(): Promise<void> {
    const { generation } = this.#current;
    await initWorker(generation);
    const { ports } = this.#parts;
    ports.commit(await ports.prepare(generation.servers));
  }

  /** Number of that which serves new sessions. */
  get serving(): number {
    return this.#current.generation.number;
  }

  /** What serves new sessions. */
  get config(): GatewayConfig {
    return this.#current.generation.config;
  }

  /** The dictionaries of what serves: another generation keeps those that it has, too. */
  get dicts(): Dicts | undefined {
    return this.#current.dicts;
  }

  /** Number of the one before, if there is one to go back to. */
  get previous(): number | undefined {
    return this.#previous?.generation.number;
  }

  /** How the sessions of a canary end, and those of the current generation since it began. */
  get canary(): { readonly generation: number; readonly own: Ends; readonly others: Ends } | undefined {
    const { sessions } = this.#parts;
    const number = this.#canary?.built.generation.number;
    if (number === undefined) return undefined;
    return { generation: number, own: sessions.endsOf(number), others: sessions.endsOf(this.serving) };
  }

  /** Whose a new session is that comes by a port of this server. */
  serverFor(server: Server): Server {
    if (!this.#canary || Math.random() >= this.#canary.share) return server;
    return this.#canary.built.generation.servers.find(({ name }) => name === server.name) ?? server;
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
    const { ports, sessions } = this.#parts;
    const built = await this.#parts.build(config, like);
    const { generation } = built;
    if (unless.aborted) await generation.close();
    unless.throwIfAborted();
    if (Trial.current) sessions.blame(like.number, Trial.current);
    const hook = initWorker(generation);
    try {
      await inTime(hook, unless);
      const change = await ports.prepare(generation.servers);
      if (unless.aborted) ports.abandon(change);
      unless.throwIfAborted();
      this.#candidates.set(like.number, { built, ports: change });
    } catch (cause) {
      endTimers(built);
      void settled(hook).then(() => this.#end(built)); // what the hook opens last is closed, too, and hears of the end
      throw cause;
    }
  }

  /** Lets a candidate serve a share of the new sessions, from 0 to 1, at the addresses that it has in common with the current one. Another one that did is dropped. */
  async tryOut(number: number, share: number): Promise<void> {
    const { built, ports } = this.#candidate(number);
    const before = this.#canary?.built.generation.number;
    this.#parts.ports.tryOut(ports);
    this.#canary = { built, share };
    if (before !== undefined && before !== number) await this.abandon(before);
  }

  /** New sessions belong to the candidate from here on; the others keep the generation that they began with. All other candidates are dropped. */
  async commit(number: number): Promise<void> {
    const { built, ports } = this.#candidate(number);
    this.#candidates.delete(number);
    this.#canary = undefined;
    const before = this.#previous;
    this.#previous = this.#current;
    this.#previous.timers.rest();
    this.#serve(built, ports);
    if (before) this.#retire(before);
    for (const other of this.#candidates.keys()) await this.abandon(other);
  }

  /** Forgets a candidate, also one that is being prepared: that fails then. */
  async abandon(number: number): Promise<void> {
    this.#preparing.get(number)?.abort(new Error("it was given up"));
    const candidate = this.#candidates.get(number);
    if (!candidate) return;
    this.#candidates.delete(number);
    if (this.#canary?.built === candidate.built) this.#canary = undefined;
    this.#parts.ports.abandon(candidate.ports);
    this.#retire(candidate.built); // a new port may have had its first client already
  }

  /** Goes back to the generation before, at once. False: there is none. @throws BindError where a port of it was closed and is taken now */
  async rollback(): Promise<boolean> {
    const built = this.#previous;
    if (!built) return false;
    const ports = await this.#parts.ports.prepare(built.generation.servers);
    this.#previous = undefined;
    const failed = this.#current;
    this.#serve(built, ports);
    built.timers.goOn();
    this.#retire(failed);
    return true;
  }

  /** A session of a generation has left, or a port: perhaps its last. */
  left(number: number): void {
    const built = this.#retired.get(number);
    const { sessions, ports } = this.#parts;
    if (!built || sessions.ofGeneration(number) > 0 || ports.isAwaited(number)) return;
    this.#retired.delete(number);
    void this.#end(built);
  }

  /** Other processes serve what is new: nothing of these comes back, and their sessions go on. */
  leave(): void {
    for (const built of this.#eligible) endTimers(built);
  }

  /** Those that are being prepared fail. */
  giveUp(why: Error): void {
    for (const unwanted of this.#preparing.values()) unwanted.abort(why);
  }

  /** Ends all of them, one after the other. */
  async close(): Promise<void> {
    const all = [...this.#eligible, ...this.#retired.values()];
    this.#retired.clear();
    for (const built of all) await this.#end(built);
  }

  /** What serves new sessions, or may do so yet. */
  get #eligible(): readonly Built[] {
    const candidates = [...this.#candidates.values()].map(({ built }) => built);
    return [this.#current, ...(this.#previous ? [this.#previous] : []), ...candidates];
  }

  #candidate(number: number): Candidate {
    const candidate = this.#candidates.get(number);
    if (candidate) return candidate;
    throw new Error(`generation ${number} is not ready to serve`);
  }

  #serve(built: Built, ports: PortChange): void {
    this.#current = built;
    this.#parts.ports.commit(ports);
    this.#parts.onServes(built.generation.config);
  }

  #retire(built: Built): void {
    const { number } = built.generation;
    endTimers(built);
    this.#retired.set(number, built);
    this.left(number);
  }

  async #end(built: Built): Promise<void> {
    this.#parts.sessions.forget(built.generation.number);
    await endBuilt(built, this.#parts.log);
  }
}
