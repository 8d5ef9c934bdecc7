import { type Dicts, openDicts } from "../../shared/dict/open-dicts.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import { Worker } from "../worker.ts";
import { LocalWorker } from "./local-worker.ts";
import type { RunningGateway } from "./running-gateway.ts";
import { workersOf } from "./workers-of.ts";

const IDS = { number: 0, masterId: 0 };

/** A gateway that is one process: its worker serves where it was started. */
export class Single implements RunningGateway {
  readonly #worker: Worker;
  readonly #calls: LocalWorker;
  readonly #log: OpenLog;
  /** Those of the generation that was built last. */
  #dicts: Dicts;
  #generations = 1;
  #isTried = false;

  private constructor(worker: Worker, dicts: Dicts, log: OpenLog) {
    this.#worker = worker;
    this.#dicts = dicts;
    this.#calls = new LocalWorker(worker, { ids: IDS, log, dicts });
    this.#log = log;
  }

  /** @throws BindError when a port cannot be opened; TypeError for what only shows when the configuration is built */
  static async start({ config, loaded }: LoadedGateway, log: OpenLog): Promise<Single> {
    const dicts = openDicts(config.shared ?? {});
    return new Single(await Worker.start(config, { baseDir: loaded.baseDir, log, ids: IDS, dicts }), dicts, log);
  }

  get listening(): RunningGateway["listening"] {
    return this.#worker.listening;
  }

  get generation(): number {
    return this.#worker.generation;
  }

  async reload(next: LoadedGateway): Promise<void> {
    await this.#prepare(next);
    await this.#calls.commit();
    if (workersOf(next.config) !== 1) this.#log.warn("workers: one process can only become several by a new start");
  }

  async tryOut(next: LoadedGateway, share: number): Promise<void> {
    await this.#prepare(next);
    await this.#calls.tryOut(share);
    this.#isTried = true;
  }

  async promote(): Promise<boolean> {
    if (!this.#isTried) return false;
    this.#isTried = false;
    await this.#calls.commit();
    return true;
  }

  async rollback(): Promise<boolean> {
    if (!this.#isTried) return this.#worker.rollback();
    this.#isTried = false;
    await this.#calls.abandon();
    return true;
  }

  async #prepare({ config }: LoadedGateway): Promise<void> {
    this.#isTried = false;
    await this.#calls.abandon();
    const dicts = openDicts(config.shared ?? {}, { keep: this.#dicts });
    await this.#calls.prepareConfig(config, ++this.#generations, dicts);
    this.#dicts = dicts;
  }

  async replace(): Promise<void> {
    throw new Error("one process cannot replace itself: set workers to 2 or more");
  }

  sessions(): ReturnType<RunningGateway["sessions"]> {
    return this.#calls.sessions();
  }

  kill(session: string): Promise<boolean> {
    return this.#calls.kill(session);
  }

  async status(): ReturnType<RunningGateway["status"]> {
    return [await this.#calls.status()];
  }

  reopen(): Promise<void> {
    return this.#calls.reopen();
  }

  close(how: "quick" | "drain", overMs?: number): Promise<void> {
    return this.#worker.close(how, overMs);
  }
}
