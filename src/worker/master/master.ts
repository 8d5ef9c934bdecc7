import type { GatewayConfig } from "../../gateway.ts";
import type { WorkerFacts } from "../../registry/worker-entry.ts";
import { type Dicts, openDicts } from "../../shared/dict/open-dicts.ts";
import { EventRelay } from "../../shared/events/relay.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import { dictSizesOf } from "../dict-sizes.ts";
import { endpointsOf } from "../generation.ts";
import type { WorkerIds } from "../identity.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import { type WantedPort, wantedPorts } from "../ports.ts";
import type { Source, WorkerStatus } from "./calls.ts";
import { Leases } from "./leases.ts";
import { ListeningSockets, type Share, type SocketChange } from "./listening-sockets.ts";
import type { RunningGateway, StartOptions } from "./running-gateway.ts";
import { Slot, type SlotHost } from "./slot.ts";
import type { WorkerProcess } from "./worker-process.ts";
import { workersOf } from "./workers-of.ts";

/** A configuration with what the master itself needs of it. */
interface Plan {
  readonly config: GatewayConfig;
  readonly source: Source;
  /** Kept for as long as the plan: workers attach to them. */
  readonly dicts: Dicts;
  readonly wanted: readonly WantedPort[];
  readonly workers: number;
}

/** A configuration that all workers are ready to serve. */
interface Staged {
  readonly plan: Plan;
  readonly change: SocketChange;
}

/** One that has a share of the new sessions. */
interface Tried extends Staged {
  readonly share: number;
  /** Workers that have gone down by themselves since. */
  crashes: number;
}

/** A gateway of several processes: the master opens the ports, keeps its workers alive, and serves nothing itself. */
export class Master implements RunningGateway, SlotHost {
  readonly log: OpenLog;
  readonly stateDir: string | undefined;
  readonly servesHere = false;
  readonly #leases: Leases;
  readonly #events: EventRelay;
  readonly #sockets = new ListeningSockets();
  #slots: Slot[] = [];
  #current: Plan;
  #previous: Plan | undefined;
  #tried: Tried | undefined;
  #generations = 1;
  #isClosed = false;

  private constructor(first: Plan, leases: Leases, { log, stateDir }: StartOptions) {
    this.#current = first;
    this.#leases = leases;
    this.#events = new EventRelay({ cluster: leases.cluster });
    this.log = log;
    this.stateDir = stateDir;
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
      await master.#resize(plan.workers);
    } catch (cause) {
      await master.close("quick");
      throw cause;
    }
    return master;
  }

  get source(): Source {
    return this.#current.source;
  }

  shareOf(number: number): Share {
    return this.#sockets.shareOf(number);
  }

  idsOf(number: number): WorkerIds {
    return this.#leases.idsOf(number);
  }

  started(process: WorkerProcess): void {
    this.#leases.started(process);
    const member = this.#events.join(process.ids.number, { send: (delivery, done) => process.deliver(delivery, done) });
    process.onEvents = (messages) => member.receive(messages);
    void process.ended.then(() => member.leave());
  }

  get listening(): RunningGateway["listening"] {
    return this.#sockets.listening;
  }

  get generation(): number {
    return this.source.generation;
  }

  get canaryCrashes(): number {
    return this.#tried?.crashes ?? 0;
  }

  crashed(): void {
    if (this.#tried) this.#tried.crashes++;
  }

  async reload(loaded: LoadedGateway, unless: AbortSignal): Promise<void> {
    await this.#serve(await this.#stage(loaded, unless));
  }

  async tryOut(loaded: LoadedGateway, share: number, unless: AbortSignal): Promise<void> {
    const staged = await this.#stage(loaded, unless);
    const before = this.#tried;
    this.#tried = { ...staged, share, crashes: 0 };
    const { generation } = staged.plan.source;
    await Promise.allSettled(this.#workers.map((worker) => worker.tryOut(generation, share)));
    if (before) this.#sockets.abandon(before.change); // the workers have dropped it
  }

  async promote(): Promise<boolean> {
    if (!this.#tried) return false;
    await this.#serve(this.#tried);
    return true;
  }

  async rollback(): Promise<boolean> {
    const tried = this.#tried;
    if (tried) {
      this.#tried = undefined;
      await this.#drop(tried);
      return true;
    }
    const back = this.#previous;
    if (!back) return false;
    const change = await this.#sockets.prepare(back.wanted, back.workers);
    this.#previous = undefined;
    await this.#adopt(back, change, () =>
      this.#workers.map((worker) => {
        worker.giveSockets(this.#sockets.newTo(worker.ids.number, change));
        return worker.rollback();
      }),
    );
    return true;
  }

  /** nginx upgrades its binary by `USR2`; here new processes run the code that is on disk now. */
  async replace(): Promise<void> {
    await this.#leases.renumber(this.#current.config, this.#current.workers);
    for (const slot of this.#slots) await slot.start();
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
    await this.#ask((worker) => worker.reopen());
  }

  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    this.#isClosed = true;
    this.#sockets.close();
    await Promise.all(this.#slots.map((slot) => slot.close(how, overMs)));
    await this.#leases[Symbol.asyncDispose]();
  }

  /** Who serves now. */
  get #workers(): readonly WorkerProcess[] {
    return this.#slots.flatMap(({ process }) => (process ? [process] : []));
  }

  /** Asks any worker: what all of them know, or can do for all. */
  async #askOne<Value>(question: (worker: WorkerProcess) => Promise<Value>): Promise<Value> {
    const [worker] = this.#workers;
    if (!worker) throw new Error("no worker serves at this moment");
    return question(worker);
  }

  /** Asks all workers, those that end included; one that ends meanwhile has nothing to say. */
  async #ask<Value>(question: (worker: WorkerProcess) => Promise<Value>): Promise<Value[]> {
    const all = this.#slots.flatMap((slot) => [...(slot.process ? [slot.process] : []), ...slot.leaving]);
    const answers = await Promise.allSettled(all.map(question));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  /** Prepares all workers, or none. What is tried out goes on meanwhile. */
  async #stage(loaded: LoadedGateway, unless: AbortSignal): Promise<Staged> {
    const plan = planOf(loaded, ++this.#generations, this.#current.dicts);
    const staged = { plan, change: await this.#sockets.prepare(plan.wanted, plan.workers) };
    try {
      await Promise.all(this.#workers.map((worker) => this.#prepareAt(worker, staged)));
      unless.throwIfAborted();
      if (this.#isClosed) throw new Error("the gateway is ending");
    } catch (cause) {
      await this.#drop(staged);
      throw cause;
    }
    return staged;
  }

  async #drop({ plan, change }: Staged): Promise<void> {
    await Promise.allSettled(this.#workers.map((worker) => worker.abandon(plan.source.generation)));
    this.#sockets.abandon(change);
  }

  async #serve({ plan, change }: Staged): Promise<void> {
    const tried = this.#tried;
    this.#tried = undefined;
    this.#previous = this.#current;
    await this.#adopt(plan, change, () => this.#workers.map((worker) => worker.commit(plan.source.generation)));
    if (tried && tried.change !== change) this.#sockets.abandon(tried.change);
  }

  /** A worker that begins while a configuration is tried out takes part, unless it is that which others have died of. */
  async joins(worker: WorkerProcess): Promise<void> {
    const tried = this.#tried;
    if (!tried || tried.crashes > 0) return;
    const { generation } = tried.plan.source;
    try {
      await this.#prepareAt(worker, tried);
      if (this.#tried === tried) await worker.tryOut(generation, tried.share);
      else await worker.abandon(generation);
    } catch (cause) {
      this.log.error("worker takes no part in what is tried out", { worker: worker.ids.number, err: cause });
    }
  }

  /** Whoever dies from here on comes back with this plan. */
  async #adopt(plan: Plan, change: SocketChange, tell: () => readonly Promise<unknown>[]): Promise<void> {
    this.#current = plan;
    this.#sockets.commit(change);
    await Promise.allSettled(tell());
    await this.#follow();
    await this.#resize(plan.workers);
  }

  /** A worker that could not follow is replaced: all serve the same, and what was decided is not taken back. */
  async #follow(): Promise<void> {
    for (const slot of this.#slots) {
      const { process } = slot;
      const status = await process?.status().catch(() => undefined);
      if (process && status?.generation !== this.generation) await slot.start();
    }
  }

  async #prepareAt(worker: WorkerProcess, { plan, change }: Staged): Promise<void> {
    worker.giveSockets(this.#sockets.newTo(worker.ids.number, change));
    await worker.prepare(plan.source);
  }

  /** The first worker accepts at the sockets of those that go, before they do: nobody waits in a queue that no one looks at. */
  async #shrink(workers: number): Promise<void> {
    const leaving = this.#slots.splice(workers);
    const heir = this.#slots[0]?.process;
    if (leaving.length === 0 || !heir) return;
    heir.giveSockets(this.#sockets.shareOf(0));
    await heir.acceptMore();
    for (const slot of leaving) void slot.close("drain");
  }

  /** A worker too many ends with its sessions; its number is free for the next one. */
  async #resize(workers: number): Promise<void> {
    await this.#shrink(workers);
    const added = Array.from({ length: Math.max(0, workers - this.#slots.length) }, (_, index) => {
      return new Slot(this.#slots.length + index, this);
    });
    this.#slots.push(...added);
    await Promise.all(added.map((slot) => slot.start()));
    if (this.#isClosed) await Promise.all(added.map((slot) => slot.close("quick")));
  }
}

function planOf({ config, loaded, snapshot }: LoadedGateway, generation: number, keep?: Dicts): Plan {
  const dicts = openDicts(dictSizesOf(config), { isShared: true, keep });
  const source = { generation, path: loaded.path, files: Object.fromEntries(snapshot), dicts: dicts.handles };
  return { config, source, dicts, wanted: wantedPorts(serversOf(config)), workers: workersOf(config) };
}

function serversOf(config: GatewayConfig): Parameters<typeof wantedPorts>[0] {
  return Object.entries(config.servers).map(([name, { listen }]) => ({ name, listen: endpointsOf(listen) }));
}
