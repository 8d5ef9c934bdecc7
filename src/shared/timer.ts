import { messageOf } from "../errors.ts";

/** Timers that wait for their time, at most. OpenResty: `lua_max_pending_timers`, with the same default. */
export const MAX_PENDING_TIMERS = 1_024;

/** Callbacks that run at the same time, at most. OpenResty: `lua_max_running_timers`, with the same default. */
export const MAX_RUNNING_TIMERS = 256;

/** The longest delay that Node keeps: a longer one would fire at once. */
const MAX_DELAY_MS = 2_147_483_647;

/** What a timer calls. `premature`: its time has not come, but the process stops, or the configuration is over that it belongs to. */
export type TimerCallback<Args extends readonly unknown[]> = (premature: boolean, ...args: Args) => unknown;

/** A timer that waits or runs again and again. */
export interface Scheduled {
  readonly ok: true;
  readonly err?: undefined;
  /** Name of the callback, as it shows in the log. */
  readonly name: string;
  /** Takes the timer back; false: it has fired, or was taken back before. A callback that runs goes on. */
  cancel(): boolean;
}

/** Why no timer was made, in OpenResty's words. There is nothing to cancel: `cancel` answers false. */
export interface NotScheduled {
  readonly ok?: undefined;
  readonly err: "process exiting" | "too many pending timers";
  cancel(): boolean;
}

/** How many timers there are. */
export interface TimerCounts {
  readonly pending: number;
  readonly running: number;
  /** Callbacks that were not called because too many ran, since the process began. */
  readonly dropped: number;
  /** Callbacks that threw or rejected, since the process began. */
  readonly failed: number;
}

/** Something that an operator should know of: a callback that was not called, or that threw. */
export type TimerTrouble =
  | { readonly kind: "dropped"; readonly name: string; readonly maxRunning: number }
  | { readonly kind: "failed"; readonly name: string; readonly cause: unknown };

interface TimerLimits {
  readonly maxPending?: number;
  readonly maxRunning?: number;
}

/** What timers have in common that rest, and end, together. */
export interface TimerGroup {
  readonly rests: boolean;
  /** It takes no timers any more, but with a delay of 0. */
  readonly isOver: boolean;
}

/** A timer that is wanted. */
interface Wanted<Args extends readonly unknown[]> {
  readonly kind: "at" | "every";
  readonly delayMs: number;
  readonly callback: TimerCallback<Args>;
  readonly args: Args;
  readonly group?: TimerGroup | undefined;
}

interface Entry {
  readonly name: string;
  readonly call: (premature: boolean) => unknown;
  readonly isRepeated: boolean;
  readonly group: TimerGroup | undefined;
  readonly timeout: NodeJS.Timeout;
  isRunning: boolean;
  /** Its time has come while its group rested. */
  isDue: boolean;
}

/** The timers of one process. They never keep it alive. */
export class Timers {
  readonly #maxPending: number;
  readonly #maxRunning: number;
  readonly #listeners = new Set<(trouble: TimerTrouble) => void>();
  readonly #pending = new Set<Entry>();
  #running = 0;
  #dropped = 0;
  #failed = 0;
  #state: "open" | "exiting" | "closed" = "open";
  #onIdle: (() => void) | undefined;

  constructor({ maxPending = MAX_PENDING_TIMERS, maxRunning = MAX_RUNNING_TIMERS }: TimerLimits = {}) {
    this.#maxPending = maxPending;
    this.#maxRunning = maxRunning;
  }

  /**
   * Calls `callback(premature, ...args)` once, after `delayMs`; 0: as soon as what runs now has ended. While the process
   * stops, only delays of 0 are taken. Any phase. OpenResty: `ngx.timer.at`. @throws TypeError for a wrong argument
   */
  at<Args extends readonly unknown[]>(
    delayMs: number,
    callback: TimerCallback<Args>,
    ...args: Args
  ): Scheduled | NotScheduled {
    return this.schedule({ kind: "at", delayMs, callback, args });
  }

  /**
   * Calls `callback(premature, ...args)` each `delayMs` until it is cancelled, whether it throws or not, never before the
   * last call has ended: a time that comes earlier is left out. Any phase. OpenResty: `ngx.timer.every`.
   * @throws TypeError for a wrong argument: `delay cannot be zero`
   */
  every<Args extends readonly unknown[]>(
    delayMs: number,
    callback: TimerCallback<Args>,
    ...args: Args
  ): Scheduled | NotScheduled {
    return this.schedule({ kind: "every", delayMs, callback, args });
  }

  /** As {@link at} and {@link every}, for a group. @throws as these */
  schedule<Args extends readonly unknown[]>(wanted: Wanted<Args>): Scheduled | NotScheduled {
    const { kind, callback, args, group } = wanted;
    const delay = delayOf(wanted);
    const isOver = this.#state === "closed" || ((this.#state === "exiting" || group?.isOver === true) && delay > 0);
    if (isOver) return refused("process exiting");
    if (this.#pending.size >= this.#maxPending) return refused("too many pending timers");
    const fire = (): void => this.#fire(entry);
    const entry: Entry = {
      name: callback.name || "anonymous",
      call: (premature) => callback(premature, ...args),
      isRepeated: kind === "every",
      group,
      timeout: (kind === "every" ? setInterval(fire, delay) : setTimeout(fire, delay)).unref(),
      isRunning: false,
      isDue: false,
    };
    this.#pending.add(entry);
    return { ok: true, name: entry.name, cancel: () => this.#remove(entry) };
  }

  /** A group rests no more: what was due meanwhile is called now. */
  wake(group: TimerGroup): void {
    for (const entry of [...this.#pending]) if (entry.group === group && entry.isDue) this.#fire(entry);
  }

  /** For metrics and tests. OpenResty: `ngx.timer.pending_count`, `ngx.timer.running_count`. */
  counts(): TimerCounts {
    return { pending: this.#pending.size, running: this.#running, dropped: this.#dropped, failed: this.#failed };
  }

  /** Tells of trouble from now on, until what is returned is called. What nobody listens to becomes a warning of the process. */
  onTrouble(listener: (trouble: TimerTrouble) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Begins a time of which no timer is left when it is disposed of; none of those is called. */
  stretch(): Disposable {
    const before = new Set(this.#pending);
    return {
      [Symbol.dispose]: () => {
        for (const entry of [...this.#pending]) if (!before.has(entry)) this.#remove(entry);
      },
    };
  }

  /** The process stops: all that wait are called now, a last time, with `premature` true. */
  expire(): void {
    if (this.#state !== "open") return;
    this.#state = "exiting";
    this.callAll();
  }

  /** All that wait, or those of a group, are called now, a last time, with `premature` true. */
  callAll(group?: TimerGroup): void {
    for (const entry of [...this.#pending]) {
      if (group && entry.group !== group) continue;
      this.#remove(entry);
      this.#run(entry, true);
    }
  }

  /** Waits until the last callback has ended, but no longer than `waitMs`; from then on no timer is taken. */
  async finish(waitMs: number): Promise<void> {
    this.expire();
    if (!this.#isIdle) {
      await new Promise<void>((resolve) => {
        const patience = setTimeout(resolve, waitMs);
        this.#onIdle = () => {
          clearTimeout(patience);
          resolve();
        };
      });
    }
    this.#state = "closed";
    for (const entry of [...this.#pending]) this.#remove(entry);
  }

  #fire(entry: Entry): void {
    if (entry.isRunning) return;
    if (entry.group?.rests) {
      entry.isDue = !entry.isRepeated; // the next time of the others comes by itself
      return;
    }
    if (!entry.isRepeated) this.#remove(entry);
    if (this.#running < this.#maxRunning) {
      this.#run(entry, false);
      return;
    }
    this.#dropped++;
    this.#report({ kind: "dropped", name: entry.name, maxRunning: this.#maxRunning });
    this.#tellIdle();
  }

  #run(entry: Entry, premature: boolean): void {
    this.#running++;
    entry.isRunning = true;
    const end = (): void => {
      this.#running--;
      entry.isRunning = false;
      this.#tellIdle();
    };
    const fail = (cause: unknown): void => {
      this.#failed++;
      this.#report({ kind: "failed", name: entry.name, cause });
    };
    new Promise((resolve) => resolve(entry.call(premature))).catch(fail).finally(end);
  }

  #remove(entry: Entry): boolean {
    clearTimeout(entry.timeout);
    const wasThere = this.#pending.delete(entry);
    this.#tellIdle();
    return wasThere;
  }

  #report(trouble: TimerTrouble): void {
    for (const listener of this.#listeners) listener(trouble);
    if (this.#listeners.size > 0) return;
    const what = trouble.kind === "failed" ? messageOf(trouble.cause) : `not called, ${trouble.maxRunning} run already`;
    process.emitWarning(`timer ${trouble.name}: ${what}`);
  }

  get #isIdle(): boolean {
    return this.#running === 0 && this.#pending.size === 0;
  }

  #tellIdle(): void {
    if (this.#isIdle) this.#onIdle?.();
  }
}

function refused(err: NotScheduled["err"]): NotScheduled {
  return { err, cancel: () => false };
}

/** Whole milliseconds, as OpenResty counts them. Arguments may come from plain JavaScript. */
function delayOf({ kind: name, delayMs, callback }: { kind: string; delayMs: unknown; callback: unknown }): number {
  if (typeof delayMs !== "number" || Number.isNaN(delayMs)) {
    throw new TypeError(`bad argument #1 to '${name}' (number expected, got ${nameOfType(delayMs)})`);
  }
  if (typeof callback !== "function") {
    throw new TypeError(`bad argument #2 to '${name}' (function expected, got ${nameOfType(callback)})`);
  }
  if (delayMs < 0) throw new TypeError("delay cannot be negative");
  if (name === "every" && Math.floor(delayMs) === 0) throw new TypeError("delay cannot be zero");
  if (delayMs > MAX_DELAY_MS) throw new TypeError(`delay cannot be more than ${MAX_DELAY_MS} ms`);
  return Math.floor(delayMs);
}

function nameOfType(value: unknown): string {
  return Number.isNaN(value) ? "NaN" : value === null ? "null" : typeof value;
}

/** The timers of this process, for whoever ends it. */
export const timers: Timers = new Timers();

/**
 * Calls functions later: the timers of this process. They never keep it alive; any phase. OpenResty: `ngx.timer`.
 * Answers `{ ok: true, name, cancel }`, or `{ err }` with `process exiting` or `too many pending timers`.
 */
export const timer: Pick<Timers, "at" | "every" | "counts"> = {
  at: (delayMs, callback, ...args) => timers.at(delayMs, callback, ...args),
  every: (delayMs, callback, ...args) => timers.every(delayMs, callback, ...args),
  counts: () => timers.counts(),
};
