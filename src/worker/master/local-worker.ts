import type { GatewayConfig } from "../../gateway.ts";
import { attachDicts, type Dicts } from "../../shared/dict/open-dicts.ts";
import type { OpenLog } from "../log.ts";
import type { Candidate, Worker } from "../worker.ts";
import type { Source, WorkerCalls, WorkerStatus } from "./calls.ts";
import { loadSource } from "./load-source.ts";

/** A worker as the master sees it, in the worker's own process. */
export class LocalWorker implements WorkerCalls {
  readonly #worker: Worker;
  readonly #log: OpenLog;
  readonly #startedAt: string = new Date().toISOString();
  #candidate: Candidate | undefined;
  /** Of the generation that was built last. */
  #dicts: Dicts;

  constructor(worker: Worker, { log, dicts }: { log: OpenLog; dicts: Dicts }) {
    this.#worker = worker;
    this.#dicts = dicts;
    this.#log = log;
  }

  async prepare(source: Source): Promise<void> {
    const { config } = await loadSource(source);
    const dicts = attachDicts(source.dicts, { keep: this.#dicts });
    await this.prepareConfig(config, source.generation, dicts);
  }

  /** The same for a configuration that this process has loaded itself. */
  async prepareConfig(config: GatewayConfig, generation: number, dicts: Dicts): Promise<void> {
    this.#candidate = await this.#worker.prepare(config, generation, dicts);
    this.#dicts = dicts;
  }

  async commit(): Promise<void> {
    const candidate = this.#candidate;
    if (!candidate) throw new TypeError("commit: nothing was prepared");
    this.#candidate = undefined;
    this.#worker.commit(candidate);
  }

  async tryOut(share: number): Promise<void> {
    if (!this.#candidate) throw new TypeError("tryOut: nothing was prepared");
    this.#worker.tryOut(this.#candidate, share);
  }

  async abandon(): Promise<void> {
    const candidate = this.#candidate;
    this.#candidate = undefined;
    if (candidate) await this.#worker.abandon(candidate);
  }

  acceptMore(): Promise<void> {
    return this.#worker.acceptMore();
  }

  rollback(): Promise<boolean> {
    return this.#worker.rollback();
  }

  async sessions(): Promise<ReturnType<Worker["sessions"]>> {
    return this.#worker.sessions();
  }

  async kill(session: string): Promise<boolean> {
    return this.#worker.kill(session);
  }

  async status(): Promise<WorkerStatus> {
    const { generation, size: sessions, carrier, canary, identity } = this.#worker;
    const { number, masterId } = identity;
    return { number, masterId, pid: process.pid, generation, sessions, startedAt: this.#startedAt, carrier, canary };
  }

  async reopen(): Promise<void> {
    this.#log.reopen();
  }
}
