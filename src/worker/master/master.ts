import type { GatewayConfig } from "../../gateway.ts";
import { type Dicts, openDicts } from "../../shared/dict/open-dicts.ts";
import { EventRelay } from "../../shared/events/relay.ts";
import { dictSizesOf } from "../dict-sizes.ts";
import { endpointsOf } from "../generation.ts";
import type { WorkerIds } from "../identity.ts";
import type { LoadedGateway } from "../load-gateway.ts";
import type { OpenLog } from "../log.ts";
import { type WantedPort, wantedPorts } from "../ports.ts";
import { makeStateDir } from "../state-dir.ts";
import type { Source, WorkerStatus } from "./calls.ts";
import { Leases } from "./leases.ts";
import { ListeningSockets, type Share, type SocketChange } from "./listening-sockets.ts";
import type { RunningGateway } from "./running-gateway.ts";
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
  readonly workers: readonly WorkerProcess[];
}

/** A gateway of several processes: the master opens the ports, keeps its workers alive, and serves nothing itself. */
export class Master implements RunningGateway, SlotHost {
  readonly log: OpenLog;
  readonly stateDir: string;
  readonly #leases: Leases;
  readonly #events: EventRelay;
  readonly #sockets = new ListeningSockets();
  #slots: Slot[] = [];
  #current: Plan;
  #previous: Plan | undefined;
  #staged: Staged | undefined;
  #generations = 1;
  #isClosed = false;

  private constructor(first: Plan, leases: Leases, { log, stateDir }: { log: OpenLog; stateDir: string }) {
    this.#current = first;
    this.#leases = leases;
    this.#events = new EventRelay({ cluster: leases.cluster });
    this.log = log;
    this.stateDir = stateDir;
  }

  /** Resolves when all workers serve. @throws BindError, and what a worker failed with; nothing is left then */
  static async start(loaded: LoadedGateway, log: OpenLog): Promise<Master> {
    const plan = planOf(loaded, 1);
    const { config } = loaded;
    const stateDir = makeStateDir(config, loaded.loaded);
    const leases = await Leases.open(config, plan.workers, { baseDir: loaded.loaded.baseDir, log });
    const master = new Master(plan, leases, { log, stateDir });
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

  async reload(loaded: LoadedGateway): Promise<void> {
    await this.#stage(loaded);
    await this.promote();
  }

  async tryOut(loaded: LoadedGateway, share: number): Promise<void> {
    const { workers } = await this.#stage(loaded);
    await Promise.allSettled(workers.map((worker) => worker.tryOut(share)));
  }

  async promote(): Promise<boolean> {
    const staged = this.#staged;
    if (!staged) return false;
    this.#staged = undefined;
    this.#previous = this.#current;
    await this.#adopt(staged.plan, staged.change, () => staged.workers.map((worker) => worker.commit()));
    return true;
  }

  async rollback(): Promise<boolean> {
    if (this.#staged) return this.#drop(this.#staged);
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
    return answers.includes(true);
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

  /** Asks all workers, those that end included; one that ends meanwhile has nothing to say. */
  async #ask<Value>(question: (worker: WorkerProcess) => Promise<Value>): Promise<Value[]> {
    const all = this.#slots.flatMap((slot) => [...(slot.process ? [slot.process] : []), ...slot.leaving]);
    const answers = await Promise.allSettled(all.map(question));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  /** Prepares all workers, or none. */
  async #stage(loaded: LoadedGateway): Promise<Staged> {
    if (this.#staged) await this.#drop(this.#staged);
    const plan = planOf(loaded, ++this.#generations, this.#current.dicts);
    const change = await this.#sockets.prepare(plan.wanted, plan.workers);
    const staged = { plan, change, workers: this.#workers };
    try {
      await Promise.all(staged.workers.map((worker) => this.#prepareAt(worker, plan, change)));
    } catch (cause) {
      await this.#drop(staged);
      throw cause;
    }
    this.#staged = staged;
    return staged;
  }

  async #drop({ change, workers }: Staged): Promise<boolean> {
    this.#staged = undefined;
    await Promise.allSettled(workers.map((worker) => worker.abandon()));
    this.#sockets.abandon(change);
    return true;
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

  async #prepareAt(worker: WorkerProcess, { source }: Plan, change: SocketChange): Promise<void> {
    worker.giveSockets(this.#sockets.newTo(worker.ids.number, change));
    await worker.prepare(source);
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
