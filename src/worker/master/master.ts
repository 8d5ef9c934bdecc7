import type { WorkerFacts } from "../../registry/worker-entry.ts";
import { EventRelay } from "../../shared/events/relay.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import { BindError } from "../../stream/port.ts";
import type { CanaryFault } from "../canary-judge.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import { Accepters, type Shares } from "./accepters.ts";
import type { Source, WorkerCalls, WorkerStatus } from "./calls.ts";
import { Crew } from "./crew.ts";
import type { Former } from "./former.ts";
import type { ListeningSocket } from "./given-sockets.ts";
import { Leases, type TakenIds } from "./leases.ts";
import { startLimitMs } from "./limits.ts";
import { ListeningSockets, type SocketChange } from "./listening-sockets.ts";
import { type Plan, planOf } from "./plan.ts";
import type { RunningGateway, StartOptions } from "./running-gateway.ts";
import type { SlotHost } from "./slot.ts";
import { Staged } from "./staged.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** The one process that served before leaves when workers accept at all of its sockets; after so long also where one waits for its number alone. */
const FORMER_MS = 2_000;

/** A gateway of several processes: the master opens the ports, keeps its workers alive, and serves nothing itself. */
export class Master implements RunningGateway, SlotHost {
  readonly log: OpenLog;
  readonly stateDir: string | undefined;
  readonly servesHere = false;
  readonly #leases: Leases;
  readonly #events: EventRelay;
  readonly #sockets = new ListeningSockets();
  readonly #crew: Crew;
  readonly #accepters: Accepters;
  readonly #destroy = (): void => this.#crew.destroy();
  #current: Plan;
  #previous: Plan | undefined;
  /** What has a share of the new sessions. */
  #tried: Staged | undefined;
  /** What is about to serve, all or some. */
  #staged: Staged | undefined;
  #generations = 1;
  #startLimitMs: number | undefined;
  /** Who has served before there were workers, as long as it has sessions. */
  #former: Former | undefined;
  #isClosed = false;

  private constructor(first: Plan, leases: Leases, { log, stateDir }: StartOptions, former?: Former) {
    this.#current = first;
    this.#leases = leases;
    this.#events = former?.events ?? new EventRelay({ cluster: leases.cluster });
    if (former) this.#keep(former);
    this.log = log;
    this.stateDir = stateDir;
    this.#crew = new Crew(this);
    this.#accepters = new Accepters({
      log,
      shares: () => this.#shares(),
      onSettled: () => this.#release(),
    });
    process.on("exit", this.#destroy); // however this process ends: nobody else could end them
  }

  /** Resolves when all workers serve. @throws BindError, and what a worker failed with; nothing is left then */
  static async start(loaded: LoadedGateway, options: StartOptions): Promise<Master> {
    const { log, ending } = options;
    const plan = planOf(loaded, 1);
    const leases = await Leases.open(loaded.config, plan.workers, { baseDir: loaded.loaded.baseDir, log });
    const master = new Master(plan, leases, options);
    ending.addEventListener("abort", () => void master.close("quick"), { once: true }); // else its unix sockets stay
    try {
      master.#sockets.commit(await master.#sockets.prepare(plan.wanted, plan.workers));
      const beganMs = performance.now();
      const workers = await master.#crew.hire(plan.workers, { source: plan.source });
      const tookMs = performance.now() - beganMs;
      await master.#sockets.check();
      await master.#crew.add(workers);
      if (!(await master.settle())) throw new BindError("workers cannot accept");
      master.#startLimitMs = startLimitMs(tookMs);
    } catch (cause) {
      await master.close("quick");
      throw cause;
    }
    return master;
  }

  /** For a gateway that is one process, in that process, which stays for as long as it has sessions: see {@link begin}. */
  static after(former: Former, options: StartOptions): Master {
    return new Master(planOf(former.loaded, former.generation, former.dicts), former.leases, options, former);
  }

  /** Has workers take the place of that process. What fails leaves it as it was, and nothing else. Rejects as {@link reload} does. */
  async begin(next: LoadedGateway, unless: AbortSignal): Promise<Master> {
    const former = this.#former;
    try {
      this.#sockets.adopt(former?.served ?? []);
      await this.reload(next, unless);
    } catch (cause) {
      this.#sockets.release();
      await this.#end("quick");
      throw cause;
    }
    void former?.ended.then(() => {
      this.#former = undefined;
    });
    return this;
  }

  get source(): Source {
    return this.#current.source;
  }

  get startLimitMs(): number | undefined {
    return this.#startLimitMs;
  }

  takeIds(number: number, isPlanned: boolean): Promise<TakenIds> {
    const { config, workers } = this.#current;
    return this.#leases.take(number, { config, workers, isPlanned });
  }

  started(process: WorkerProcess): void {
    const member = this.#events.join(process.ids.number, { send: (delivery, done) => process.deliver(delivery, done) });
    process.onEvents = (messages) => member.receive(messages);
    process.onFaulty = (generation, reason) => {
      for (const staged of [this.#tried, this.#staged]) if (staged?.generation === generation) staged.fault ??= reason;
    };
    process.onAgain = (name) => process.giveAgain(name, this.#sockets.find(name));
    void process.ended.then(() => member.leave());
  }

  async update(process: WorkerProcess): Promise<void> {
    while (process.generation !== this.generation) {
      const { source } = this;
      await process.prepare(source);
      await process.commit(source.generation);
    }
  }

  /** The number of the one process is had when that has left: nobody waits for others for ever who may not come. */
  async handOver(process: WorkerProcess): Promise<void> {
    const late = setTimeout(() => this.#former?.leave(), FORMER_MS);
    await this.#leases.handOver(process);
    clearTimeout(late);
  }

  settle(): Promise<boolean> {
    return this.#accepters.settle();
  }

  /** A worker that begins while a configuration is tried out takes part, unless it is that which others have died of. */
  async joins(worker: WorkerProcess): Promise<void> {
    const tried = this.#tried;
    if (!tried || tried.crashes > 0) return;
    try {
      await tried.prepareAt(worker, this.#crew.serving);
      if (this.#tried === tried) await tried.tryOut(worker);
      else await worker.abandon(tried.generation);
      await this.settle();
    } catch (cause) {
      if (this.#tried !== tried) return; // it was dropped meanwhile
      this.log.error("worker takes no part in what is tried out", { worker: worker.ids.number, err: cause });
    }
  }

  crashed(): void {
    if (this.#tried) this.#tried.crashes++;
  }

  killed(): void {
    this.#tried?.killed();
  }

  get listening(): RunningGateway["listening"] {
    return this.#sockets.listening;
  }

  get generation(): number {
    return this.source.generation;
  }

  get canaryFault(): CanaryFault | undefined {
    return this.#tried?.trouble;
  }

  async reload(loaded: LoadedGateway, unless: AbortSignal): Promise<Master> {
    const staged = await this.#stage(loaded, unless);
    try {
      await this.#serve(staged, unless);
    } catch (cause) {
      await staged.drop(this.#crew.serving);
      throw cause;
    }
    return this;
  }

  async tryOut(loaded: LoadedGateway, share: number, unless: AbortSignal): Promise<void> {
    const staged = await this.#stage(loaded, unless);
    const before = this.#tried;
    staged.share = share;
    this.#tried = staged;
    await Promise.allSettled(this.#crew.serving.map((worker) => staged.tryOut(worker)));
    before?.close(this.#crew.serving); // the workers have dropped it
    await this.settle();
  }

  async promote(unless: AbortSignal): Promise<Master | undefined> {
    if (!this.#tried) return undefined;
    await this.#serve(this.#tried, unless);
    return this;
  }

  async rollback(): Promise<boolean> {
    const tried = this.#tried;
    if (tried) {
      this.#tried = undefined;
      await tried.drop(this.#crew.serving);
      return true;
    }
    const back = this.#previous;
    if (!back) return false;
    const change = await this.#sockets.prepare(back.wanted, back.workers);
    this.#previous = undefined;
    await this.#adopt(back, change, (worker) => worker.rollback(back.source.generation));
    await this.#resize();
    return true;
  }

  /** nginx upgrades its binary by `USR2`; here new processes run the code that is on disk now. */
  replace(): Promise<void> {
    return this.#crew.replace();
  }

  async sessions(): ReturnType<RunningGateway["sessions"]> {
    const lists = await this.#ask((worker) => worker.sessions());
    return lists.flat();
  }

  async kill(session: string): Promise<boolean> {
    const answers = await this.#ask((worker) => worker.kill(session));
    return answers.includes(true) || (await this.#askOne((worker) => worker.kick(session)));
  }

  ban(whom: string, options: BanOptions): Promise<Ban> {
    return this.#askOne((worker) => worker.ban(whom, options));
  }

  unban(whom: string): Promise<boolean> {
    return this.#askOne((worker) => worker.unban(whom));
  }

  bans(): Promise<readonly Ban[]> {
    return this.#askOne((worker) => worker.bans());
  }

  registered(): Promise<readonly WorkerFacts[]> {
    return this.#askOne((worker) => worker.registered());
  }

  status(): Promise<readonly WorkerStatus[]> {
    return this.#ask((worker) => worker.status());
  }

  async reopen(): Promise<void> {
    this.log.reopen();
    await Promise.allSettled([...this.#crew.all, ...this.#crew.starting].map((worker) => worker.reopen()));
  }

  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    await Promise.all([this.#end(how, overMs), this.#former?.end(how, overMs)]);
    await this.#leases[Symbol.asyncDispose]();
  }

  async #end(how: "quick" | "drain", overMs?: number): Promise<void> {
    this.#isClosed = true;
    this.#accepters.stop();
    this.#sockets.close();
    await this.#crew.close(how, overMs);
    process.off("exit", this.#destroy);
  }

  #keep(former: Former): void {
    this.#former = former;
    this.#generations = former.generations;
    this.#startLimitMs = startLimitMs(0);
  }

  /** Others accept at all sockets. Nobody leaves while there is no worker. */
  #release(): void {
    if (this.#crew.serving.length === 0) return;
    this.#crew.releaseSurplus();
    this.#former?.leave();
  }

  /** Asks any worker: what all of them know, or can do for all. */
  async #askOne<Value>(question: (worker: WorkerProcess) => Promise<Value>): Promise<Value> {
    const [worker] = this.#crew.serving;
    if (!worker) throw new Error("no worker serves at this moment");
    return question(worker);
  }

  /** Asks all workers, those that end included; one that ends meanwhile has nothing to say. */
  async #ask<Value>(question: (worker: WorkerCalls) => Promise<Value>): Promise<Value[]> {
    const all = [...this.#crew.all, ...(this.#former ? [this.#former.calls] : [])];
    const answers = await Promise.allSettled(all.map(question));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  #shares(): Shares {
    const { serving } = this.#crew;
    const now = this.#sockets.shares(serving.map(({ ids }) => ids.number));
    const tried = this.#tried?.sharesOf(serving);
    return new Map(serving.map((worker) => [worker, sharesAt(worker, now, tried)]));
  }

  /** Prepares all workers, or none. What is tried out goes on meanwhile. */
  async #stage(loaded: LoadedGateway, unless: AbortSignal): Promise<Staged> {
    const plan = planOf(loaded, ++this.#generations, this.#current.dicts);
    const staged = await Staged.open(plan, this.#sockets);
    this.#staged = staged;
    try {
      await staged.prepare(() => this.#crew.serving, unless);
      if (this.#isClosed) throw new Error("the gateway is ending");
    } catch (cause) {
      await staged.drop(this.#crew.serving);
      throw cause;
    }
    return staged;
  }

  /** Workers that lack are ready before the first session: what fails leaves everything as it was. */
  async #serve(staged: Staged, unless: AbortSignal): Promise<void> {
    const { plan, change } = staged;
    const hired = await this.#crew.hire(plan.workers, { source: plan.source, isPlanned: true }, unless);
    if (unless.aborted || this.#isClosed || staged.fault) {
      this.#crew.dismiss(hired);
      throw unless.reason ?? staged.fault ?? new Error("the gateway is ending");
    }
    const tried = this.#tried;
    this.#tried = undefined;
    this.#previous = this.#current;
    await this.#adopt(plan, change, (worker) => worker.commit(plan.source.generation));
    if (tried && tried !== staged) tried.close(this.#crew.serving);
    await this.#crew.add(hired);
    await this.#resize();
  }

  /** Workers that are too many go; those that lack come as soon as they can. */
  async #resize(): Promise<void> {
    this.#crew.resize(this.#current.workers);
    await this.settle();
  }

  /** Whoever dies from here on comes back with this plan. What was decided is not taken back. */
  async #adopt(plan: Plan, change: SocketChange, tell: (worker: WorkerProcess) => Promise<unknown>): Promise<void> {
    this.#current = plan;
    this.#sockets.commit(change);
    this.#former?.joinedBy(plan.workers);
    await Promise.allSettled(this.#crew.serving.map(tell));
    await this.#crew.follow((worker) => this.update(worker));
  }
}

type SharesByNumber = ReadonlyMap<number, readonly ListeningSocket[]>;

function sharesAt({ ids }: WorkerProcess, ...all: readonly (SharesByNumber | undefined)[]): readonly ListeningSocket[] {
  return all.flatMap((shares) => shares?.get(ids.number) ?? []);
}
