import type { Log } from "../../stream/log.ts";
import type { WorkerIds } from "../identity.ts";
import type { Source } from "./calls.ts";
import type { Share } from "./listening-sockets.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A worker that has served for so long was no failure of the start: the next pause is the first again. */
const HEALTHY_MS = 60_000;

/** Pauses before a worker that has ended is started anew: the first at once, then longer, so that a broken one does not spin. */
const PAUSES_MS = [0, 1_000, 2_000, 5_000, 10_000, 30_000];

/** Ends of a worker that say nothing of its code. */
const FROM_OUTSIDE: ReadonlySet<number | NodeJS.Signals> = new Set([0, "SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"]);

/** What a slot asks its master. */
export interface SlotHost {
  readonly log: Log;
  /** What a worker that starts now is to serve. */
  readonly source: Source;
  /** For what survives the gateway, if there is a place. */
  readonly stateDir: string | undefined;
  shareOf(number: number): Share;
  /** Numbers for a worker that starts now. */
  idsOf(number: number): WorkerIds;
  /** It has those numbers until it ends. */
  started(process: WorkerProcess): void;
  /** It serves, and is to have what the others have besides. Never rejects. */
  joins(process: WorkerProcess): Promise<void>;
  /** A worker has gone down by itself: its code is broken. */
  crashed(): void;
}

/** The place of one worker, by its number: whoever has it dies, another takes it. */
export class Slot {
  readonly number: number;
  readonly #host: SlotHost;
  /** Those that end: crashed, or replaced. */
  readonly #leaving = new Set<WorkerProcess>();
  #process: WorkerProcess | undefined;
  #startedAt = 0;
  #failures = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(number: number, host: SlotHost) {
    this.number = number;
    this.#host = host;
  }

  /** Who serves; undefined while nobody does. */
  get process(): WorkerProcess | undefined {
    return this.#process;
  }

  /** Those that end, and still have sessions. */
  get leaving(): ReadonlySet<WorkerProcess> {
    return this.#leaving;
  }

  /** Starts a worker, and resolves when it serves; the one before it, if any, serves until then and is drained. */
  async start(): Promise<void> {
    const { source, stateDir } = this.#host;
    const ids = this.#host.idsOf(this.number);
    const process = new WorkerProcess({ source, ids, stateDir }, this.#host.shareOf(this.number));
    this.#host.started(process);
    try {
      await process.ready;
    } catch (cause) {
      void process.close("quick");
      throw cause;
    }
    const before = this.#process;
    this.#process = process;
    this.#startedAt = performance.now();
    process.onCrash = () => this.#leave(process);
    void process.ended.then((how) => this.#onEnded(process, how));
    if (before) await this.#drain(before);
    await this.#host.joins(process);
    if (this.#isClosed) await process.close("quick");
  }

  /** Ends all of its workers. */
  async close(how: "quick" | "drain", overMs?: number): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    const all = [...this.#leaving, ...(this.#process ? [this.#process] : [])];
    for (const process of all) void process.close(how, overMs);
    await Promise.all(all.map(({ ended }) => ended));
  }

  /** Resolves when it accepts no more. */
  #drain(process: WorkerProcess): Promise<void> {
    this.#setAside(process);
    return process.close("drain");
  }

  /** It ends by itself, when its sessions have: its place is free now. */
  #leave(process: WorkerProcess): void {
    if (this.#process !== process) return;
    this.#host.crashed();
    this.#setAside(process);
    this.#replace();
  }

  #setAside(process: WorkerProcess): void {
    this.#leaving.add(process);
    void process.ended.then(() => this.#leaving.delete(process));
  }

  #onEnded(process: WorkerProcess, how: number | NodeJS.Signals): void {
    if (this.#process !== process) return;
    if (!FROM_OUTSIDE.has(how)) this.#host.crashed();
    if (!this.#isClosed) this.#host.log.error("worker ended", { worker: this.number, pid: process.pid, how });
    this.#replace();
  }

  #replace(): void {
    this.#process = undefined;
    if (this.#isClosed) return;
    if (performance.now() - this.#startedAt > HEALTHY_MS) this.#failures = 0;
    const pauseMs = PAUSES_MS[Math.min(this.#failures++, PAUSES_MS.length - 1)] ?? 0;
    this.#retry = setTimeout(() => this.#restart(), pauseMs);
  }

  #restart(): void {
    this.start().then(
      () => this.#host.log.info("worker replaced", { worker: this.number, pid: this.#process?.pid }),
      (cause: unknown) => {
        this.#host.log.error("worker not started", { worker: this.number, err: cause });
        if (!this.#process) this.#replace();
      },
    );
  }
}
