import type { Log } from "../../stream/log.ts";
import type { Source } from "./calls.ts";
import type { TakenIds } from "./leases.ts";
import { type LeftBy, WorkerProcess } from "./worker-process.ts";

/** A worker that has served for so long was no failure of the start: the next pause is the first again. */
const HEALTHY_MS = 60_000;

/** Pauses before a worker that has ended is started anew: the first at once, then longer, so that a broken one does not spin. */
const PAUSES_MS = [0, 1_000, 2_000, 5_000, 10_000, 30_000];

/** What a slot asks of those whose worker it is. */
export interface SlotHost {
  readonly log: Log;
  /** What a worker that starts now is to serve. */
  readonly source: Source;
  /** For what survives the gateway, if there is a place. */
  readonly stateDir: string | undefined;
  /** How long a worker may take to start; undefined: as long as it likes, since nobody serves yet. */
  readonly startLimitMs: number | undefined;
  /** Numbers that it may have. */
  takeIds(number: number, isPlanned: boolean): Promise<TakenIds>;
  /** It lives. */
  started(process: WorkerProcess): void;
  /** Has it serve what the others do. Rejects when it cannot. */
  update(process: WorkerProcess): Promise<void>;
  /** Resolves when the ids of its number are its own. */
  handOver(process: WorkerProcess): Promise<void>;
  /** Somebody serves, or does no more: resolves when each listening socket has its accepter again; false: that takes longer. */
  settle(): Promise<boolean>;
  /** It serves, and is to have what the others have besides. Never rejects. */
  joins(process: WorkerProcess): Promise<void>;
  /** A worker has gone down by itself: its code is broken. */
  crashed(): void;
  /** Somebody has killed a worker: it may have done so itself. */
  killed(): void;
}

/** How a worker is started. */
export interface SlotStart {
  /** Default: what serves. */
  readonly source?: Source;
  /** Somebody wishes it, and does without it if something lacks. */
  readonly isPlanned?: boolean;
}

/** The place of one worker, by its number: whoever has it dies, another takes it. */
export class Slot {
  readonly number: number;
  readonly #host: SlotHost;
  /** Those that end: crashed, replaced, or told to. */
  readonly #leaving = new Set<WorkerProcess>();
  /** It does not serve yet. */
  #next: WorkerProcess | undefined;
  #process: WorkerProcess | undefined;
  #servesSince = 0;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #starts = 0;
  #isClosed = false;

  constructor(number: number, host: SlotHost) {
    this.number = number;
    this.#host = host;
  }

  /** Who serves; undefined while nobody does. */
  get process(): WorkerProcess | undefined {
    return this.#process;
  }

  /** Who starts. */
  get next(): WorkerProcess | undefined {
    return this.#next;
  }

  /** Those that end, and still have sessions. */
  get leaving(): ReadonlySet<WorkerProcess> {
    return this.#leaving;
  }

  /** Starts a worker, and resolves when it serves; the one before it, if any, serves until then and is drained. */
  start(how: SlotStart = {}): Promise<void> {
    clearTimeout(this.#retry);
    this.#starts++;
    const started = this.#turn.then(() => this.#start(how));
    this.#turn = started.then(
      () => this.#onStarted(),
      () => this.#onStarted(),
    );
    return started;
  }

  /** Starts one that is ready to serve, and does not yet: see {@link serve}. Rejects when there is none. */
  async hire(how: SlotStart): Promise<void> {
    await this.#begin(how);
  }

  /** The one that was hired serves, or another when it has died since. */
  async serve(): Promise<void> {
    const hired = this.#next;
    const isServing = hired && (await this.#takeOver(hired).then(isDone, isNotDone));
    if (!isServing) await this.renew();
  }

  /** Starts one until it succeeds; what goes wrong is in the log. Resolves after the first try. */
  async renew(): Promise<void> {
    try {
      await this.start();
      this.#host.log.info("worker replaced", { worker: this.number, pid: this.#process?.pid });
    } catch (cause) {
      if (!this.#isClosed) this.#host.log.error("worker not started", { worker: this.number, err: cause });
      if (this.#process) this.#plan(); // it serves something else than the others
    }
  }

  /** Whoever is here goes on until {@link close}, and nobody comes after it. */
  retire(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  /** Ends all of its workers, and resolves when they have ended. `isLast`: no other gets the number. */
  async close(
    how: "quick" | "drain",
    { overMs, isLast }: { overMs?: number | undefined; isLast: boolean },
  ): Promise<void> {
    this.retire();
    const all = [...this.#leaving, this.#process, this.#next].filter((process) => process !== undefined);
    for (const process of all) process.close({ how: process === this.#next ? "quick" : how, overMs, isLast });
    await Promise.all(all.map(({ ended }) => ended));
  }

  async #start(how: SlotStart): Promise<void> {
    await this.#takeOver(await this.#begin(how));
  }

  /** A worker that could serve, and does not accept yet. */
  async #begin({ source = this.#host.source, isPlanned = false }: SlotStart): Promise<WorkerProcess> {
    const { log, stateDir, startLimitMs: limitMs } = this.#host;
    const { ids, hasLease, holdBy } = await this.#host.takeIds(this.number, isPlanned);
    if (this.#isClosed) throw new Error("the gateway is ending");
    const process = new WorkerProcess({ source, ids, hasLease, stateDir, log, limitMs });
    holdBy(process);
    this.#next = process;
    void process.ended.then(() => this.#forget(process));
    this.#host.started(process);
    try {
      await process.ready;
      return process;
    } catch (cause) {
      process.close({ how: "quick", overMs: undefined, isLast: false });
      throw cause;
    }
  }

  /** The one before accepts no more, and makes no more ids, before this one begins. Meanwhile others stand in for both. */
  async #takeOver(process: WorkerProcess): Promise<void> {
    await this.#update(process);
    const before = this.#process;
    if (before) await this.#drain(before);
    await this.#host.handOver(process);
    await this.#update(process); // there may have been a reload meanwhile
    if (this.#isClosed) throw new Error("the gateway is ending");
    this.#next = undefined;
    this.#process = process;
    this.#servesSince = performance.now();
    void process.left.then((by) => this.#onLeft(process, by));
    void process.ended.then((how) => this.#onEnded(process, how));
    await this.#host.settle();
    await this.#host.joins(process);
  }

  async #update(process: WorkerProcess): Promise<void> {
    try {
      await this.#host.update(process);
    } catch (cause) {
      process.close({ how: "quick", overMs: undefined, isLast: false });
      throw cause;
    }
  }

  async #drain(process: WorkerProcess): Promise<void> {
    this.#setAside(process);
    await this.#host.settle();
    process.close({ how: "drain", overMs: undefined, isLast: false });
    await process.left;
  }

  #setAside(process: WorkerProcess): void {
    if (this.#process === process) this.#process = undefined;
    if (process.hasEnded) return;
    this.#leaving.add(process);
    void process.ended.then(() => this.#leaving.delete(process));
  }

  #onLeft(process: WorkerProcess, by: LeftBy): void {
    if (this.#process !== process) return;
    if (by === "fault") this.#host.crashed();
    else if (by === "kill") this.#host.killed();
    this.#setAside(process);
    void this.#host.settle();
    this.#plan();
  }

  #onEnded(process: WorkerProcess, how: number | NodeJS.Signals): void {
    if (this.#process !== process || this.#isClosed) return;
    this.#host.log.error("worker ended", { worker: this.number, pid: process.pid, how });
  }

  #onStarted(): void {
    this.#starts--;
    if (!this.#process) this.#plan();
  }

  #forget(process: WorkerProcess): void {
    if (this.#next === process) this.#next = undefined;
  }

  /** Another one starts soon, unless one does already. */
  #plan(): void {
    if (this.#isClosed || this.#starts > 0) return;
    clearTimeout(this.#retry);
    if (performance.now() - this.#servesSince > HEALTHY_MS) this.#failures = 0;
    const pauseMs = PAUSES_MS[Math.min(this.#failures++, PAUSES_MS.length - 1)] ?? 0;
    this.#retry = setTimeout(() => void this.renew(), pauseMs);
  }
}

const isDone = (): boolean => true;
const isNotDone = (): boolean => false;
