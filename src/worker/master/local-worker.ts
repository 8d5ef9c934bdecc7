import type { GatewayConfig } from "../../gateway.ts";
import type { WorkerFacts } from "../../registry/worker-entry.ts";
import { attachDicts } from "../../shared/dict/open-dicts.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import type { Preparation } from "../built.ts";
import type { OpenLog } from "../log.ts";
import { Trial } from "../trial.ts";
import type { Worker } from "../worker.ts";
import type { Source, WorkerCalls, WorkerStatus } from "./calls.ts";
import type { SocketName } from "./inherited-sockets.ts";
import { loadSource } from "./load-source.ts";

/** A worker as the master sees it, in the worker's own process. */
export class LocalWorker implements WorkerCalls {
  readonly #worker: Worker;
  readonly #log: OpenLog;
  readonly #startedAt: string = new Date().toISOString();
  readonly #onFault: (generation: number, reason: unknown) => void;
  /** By generations: those that were built here, and do not serve all. */
  readonly #trials = new Map<number, Trial>();

  /** `onFault` is told when code of a generation that was built here, and does not serve all, has thrown what nobody caught. */
  constructor(worker: Worker, log: OpenLog, onFault: (generation: number, reason: unknown) => void = () => {}) {
    this.#worker = worker;
    this.#onFault = onFault;
    this.#log = log;
  }

  /** What its code throws meanwhile is its own failure, and not the worker's. */
  async prepare(source: Source): Promise<void> {
    const { generation } = source;
    const trial = new Trial();
    this.#trials.set(generation, trial);
    trial.ended.addEventListener("abort", () => {
      if (this.#trials.get(generation) === trial) this.#onFault(generation, trial.ended.reason);
    });
    await trial
      .load(() => this.#prepare(source, trial.ended))
      .catch((cause: unknown) => {
        this.#drop(generation);
        throw cause;
      });
  }

  async #prepare(source: Source, unless: AbortSignal): Promise<void> {
    const { config } = await loadSource(source, unless);
    const dicts = attachDicts(source.dicts, { keep: this.#worker.generations.dicts });
    const { generation: number, ticketKeys } = source;
    await this.#worker.generations.prepare(config, { number, dicts, ticketKeys: Buffer.from(ticketKeys) });
  }

  /** The same for a configuration that this process has loaded itself. */
  prepareConfig(config: GatewayConfig, like: Preparation): Promise<void> {
    return this.#worker.generations.prepare(config, like);
  }

  async commit(generation: number): Promise<void> {
    await this.#worker.generations.commit(generation);
    this.#trials.get(generation)?.adopt();
    this.#trials.delete(generation);
    for (const number of this.#trials.keys()) this.#drop(number); // the worker has dropped them
  }

  #drop(generation: number): void {
    const trial = this.#trials.get(generation);
    this.#trials.delete(generation);
    trial?.end(new Error("it was given up"));
  }

  tryOut(generation: number, share: number): Promise<void> {
    return this.#worker.generations.tryOut(generation, share);
  }

  abandon(generation: number): Promise<void> {
    this.#drop(generation);
    return this.#worker.generations.abandon(generation);
  }

  accept(sockets: readonly SocketName[]): Promise<void> {
    return this.#worker.accept(sockets);
  }

  async leave(sockets: readonly SocketName[]): Promise<void> {
    this.#worker.leave(sockets);
  }

  async rollback(generation: number): Promise<boolean> {
    return this.#worker.generations.previous === generation && (await this.#worker.generations.rollback());
  }

  async sessions(): Promise<ReturnType<Worker["sessions"]>> {
    return this.#worker.sessions();
  }

  async kill(session: string): Promise<boolean> {
    return this.#worker.kill(session);
  }

  kick(session: string): Promise<boolean> {
    return this.#worker.kick(session);
  }

  ban(whom: string, options: BanOptions): Promise<Ban> {
    return this.#worker.bans.add(whom, options);
  }

  unban(whom: string): Promise<boolean> {
    return this.#worker.bans.remove(whom);
  }

  async bans(): Promise<readonly Ban[]> {
    return this.#worker.bans.list();
  }

  registered(): Promise<readonly WorkerFacts[]> {
    return this.#worker.registered();
  }

  async status(): Promise<WorkerStatus> {
    const { generations, size: sessions, carrier, identity } = this.#worker;
    const { serving: generation, canary } = generations;
    const { id, number, masterId } = identity;
    return {
      id,
      number,
      masterId,
      pid: process.pid,
      generation,
      sessions,
      startedAt: this.#startedAt,
      carrier,
      canary,
    };
  }

  async reopen(): Promise<void> {
    this.#log.reopen();
  }
}
