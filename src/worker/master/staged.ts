import type { CanaryFault } from "../canary-judge.ts";
import { unlessAborted } from "./give-up.ts";
import type { ListeningSocket } from "./given-sockets.ts";
import type { ListeningSockets, SocketChange } from "./listening-sockets.ts";
import type { Plan } from "./plan.ts";
import type { SocketHandle } from "./socket-handle.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A configuration that workers are getting ready for, beside the one that serves. */
export class Staged {
  readonly plan: Plan;
  readonly change: SocketChange;
  readonly #sockets: ListeningSockets;
  readonly #ready = new Set<WorkerProcess>();
  /** Of the new sessions, from 0 to 1; undefined: it has none. */
  share: number | undefined;
  /** What its code has thrown where nobody caught it. */
  fault: Error | undefined;
  /** Workers that have gone down by themselves since it has. */
  crashes = 0;
  #kills = 0;

  /** Opens what is new. @throws BindError */
  static async open(plan: Plan, sockets: ListeningSockets): Promise<Staged> {
    try {
      return new Staged(plan, await sockets.prepare(plan.wanted, plan.workers), sockets);
    } catch (cause) {
      plan.dicts.letGo();
      throw cause;
    }
  }

  private constructor(plan: Plan, change: SocketChange, sockets: ListeningSockets) {
    this.plan = plan;
    this.change = change;
    this.#sockets = sockets;
  }

  get generation(): number {
    return this.plan.source.generation;
  }

  /** Why it had better not serve; undefined: nothing is known against it. */
  get trouble(): CanaryFault | undefined {
    if (this.fault) return { reason: this.fault.message };
    return this.crashes > 0 ? { crashes: this.crashes } : undefined;
  }

  /** Prepares all workers, those included that come meanwhile. Rejects when one of them cannot, or it is not wanted any more. */
  async prepare(workers: () => readonly WorkerProcess[], unless: AbortSignal): Promise<void> {
    const giveUp = (): void => this.#tellUnwanted(workers());
    await unlessAborted(unless, giveUp, async () => {
      for (let lacking = workers(); lacking.length > 0; lacking = this.#lacking(workers())) {
        unless.throwIfAborted();
        await Promise.all(lacking.map((worker) => this.prepareAt(worker, workers())));
      }
    });
  }

  async prepareAt(worker: WorkerProcess, workers: readonly WorkerProcess[]): Promise<void> {
    worker.sockets.give(this.#shares(workers).get(worker.ids.number) ?? []);
    await worker.prepare(this.plan.source);
    this.#ready.add(worker);
  }

  /** The new addresses are open at those that are ready. */
  sharesOf(serving: readonly WorkerProcess[]): ReadonlyMap<number, readonly ListeningSocket[]> {
    return this.#shares(serving.filter((worker) => this.#ready.has(worker)));
  }

  /** Has a worker that is ready give it a share of its sessions. */
  async tryOut(worker: WorkerProcess): Promise<void> {
    if (this.share !== undefined) await worker.tryOut(this.generation, this.share);
  }

  /** A worker was killed, by whomever. The first time that is an operator, or another process's hunger for memory; after that it is no accident. */
  killed(): void {
    if (++this.#kills > 1) this.crashes++;
  }

  /** Workers forget it, and what it alone has opened is closed. */
  async drop(workers: readonly WorkerProcess[]): Promise<void> {
    await Promise.allSettled(workers.map((worker) => worker.abandon(this.generation)));
    this.close(workers);
  }

  /** The same where the workers have forgotten it already. */
  close(workers: readonly WorkerProcess[]): void {
    const handles: SocketHandle[] = [...this.change.added.values()].flatMap((address) => address.handles);
    for (const { sockets } of workers) sockets.forget(handles);
    this.#sockets.abandon(this.change);
    this.plan.dicts.letGo();
  }

  #shares(workers: readonly WorkerProcess[]): ReadonlyMap<number, readonly ListeningSocket[]> {
    return this.#sockets.sharesOf(
      this.change,
      workers.map(({ ids }) => ids.number),
    );
  }

  #lacking(workers: readonly WorkerProcess[]): readonly WorkerProcess[] {
    return workers.filter((worker) => !this.#ready.has(worker));
  }

  #tellUnwanted(workers: readonly WorkerProcess[]): void {
    for (const worker of workers) void worker.abandon(this.generation).catch(() => {});
  }
}
