import { extname } from "node:path";
import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { Worker } from "node:worker_threads";
import { messageOf } from "../../errors.ts";
import type { HookWatch } from "../../stream/hook-watch.ts";
import type { Log } from "../../stream/log.ts";
import { placeOf } from "./place.ts";
import { BEAT_MS, type ThreadInput, type ThreadMessage, WORDS_BYTES, words } from "./words.ts";

/** While the process does next to nothing, signs of life are rarer: they would be all that it does. */
const IDLE_BEAT_MS = 250;

/** After so many signs of life it is asked how busy the process is. */
const BEATS_PER_LOOK = 40;

/** Below this share of its time the event loop counts as idle. */
const IDLE_SHARE = 0.01;

/** The same place is not told of again before this time. */
const REPORT_EVERY_MS = 60_000;

/** Places that are remembered for that, at most: there are not more in any configuration. */
const MAX_PLACES = 1_000;

/** More than the maps of a large configuration need; a thread that wants more has a fault. */
const HEAP_MB = 128;

type Debugged = () => boolean;

/**
 * Reports hooks that hold the event loop for more than 50 ms, with the place in the user's code. A thread beside the event loop
 * sees that it does not move on, and looks at its stack by the inspector. Calls cost a few stores in memory; the thread sleeps
 * when no hook runs, and keeps no process alive.
 */
export class SlowHooks implements HookWatch {
  readonly #log: Log;
  readonly #isDebugged: Debugged;
  readonly #thread: Worker;
  readonly #words: Int32Array;
  readonly #phases = new Map<string, number>();
  readonly #reported = new Map<string, number>();
  #depth = 0;
  #calls = 0;
  #waiting = 0;
  #beats = 0;
  #timer: NodeJS.Timeout | undefined;
  #beatMs = BEAT_MS;
  #untilLook = BEATS_PER_LOOK;
  #looked: EventLoopUtilization | undefined;

  /** Resolves when the thread watches; undefined where this Node has no inspector, or no thread can be started. */
  static async start(log: Log): Promise<SlowHooks | undefined> {
    if (!process.features.inspector) return undefined;
    const { url } = await import("node:inspector");
    const hooks = new SlowHooks(log, () => url() !== undefined);
    try {
      await hooks.#started();
      return hooks;
    } catch (cause) {
      log.warn("slow hooks are not watched", { reason: messageOf(cause) });
      return undefined;
    }
  }

  private constructor(log: Log, isDebugged: Debugged) {
    const memory = new SharedArrayBuffer(WORDS_BYTES);
    this.#log = log;
    this.#isDebugged = isDebugged;
    this.#words = new Int32Array(memory);
    this.#noteDebugger();
    this.#thread = new Worker(new URL(`thread${extname(import.meta.url)}`, import.meta.url), {
      name: "slow hooks",
      workerData: { memory } satisfies ThreadInput,
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    });
  }

  enter(phase: string): void {
    if (this.#depth++ > 0) return;
    this.#words[words.phase] = this.#phases.get(phase) ?? this.#newPhase(phase);
    this.#calls = (this.#calls + 1) | 0;
    Atomics.store(this.#words, words.calls, this.#calls);
    if (Atomics.load(this.#words, words.isAsleep) === 1) this.#wake();
  }

  leave(): void {
    if (--this.#depth > 0) return;
    this.#calls = (this.#calls + 1) | 0;
    Atomics.store(this.#words, words.calls, this.#calls);
  }

  begin(): void {
    this.#waiting++;
    if (!this.#timer) this.#beat();
  }

  end(): void {
    this.#waiting--;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#thread.terminate();
  }

  #started(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#thread.on("message", (message: ThreadMessage) => {
        if (message.kind !== "ready") return this.#report(message);
        this.#thread.unref();
        resolve();
      });
      this.#thread.on("error", reject);
      this.#thread.on("exit", () => {
        this.#words[words.isAsleep] = 0; // nobody is left to be woken
        reject(new Error("the thread has ended"));
      });
    });
  }

  #newPhase(phase: string): number {
    const number = this.#phases.size;
    this.#phases.set(phase, number);
    return number;
  }

  #noteDebugger(): void {
    this.#words[words.isDebugged] = this.#isDebugged() ? 1 : 0;
  }

  #wake(): void {
    this.#noteDebugger();
    Atomics.store(this.#words, words.isAsleep, 0);
    Atomics.add(this.#words, words.wake, 1);
    Atomics.notify(this.#words, words.wake);
  }

  /** Goes on for as long as hooks wait. Stopping at once would cost each hook a timer. */
  readonly #beat = (): void => {
    this.#noteDebugger();
    Atomics.store(this.#words, words.beats, ++this.#beats | 0);
    if (this.#waiting === 0) {
      this.#timer = undefined;
      Atomics.store(this.#words, words.beatDueMs, 0);
      return;
    }
    this.#beatMs = this.#pace();
    Atomics.store(this.#words, words.beatDueMs, this.#beatMs);
    this.#timer = setTimeout(this.#beat, this.#beatMs).unref();
  };

  #pace(): number {
    if (this.#beatMs === BEAT_MS && --this.#untilLook > 0) return BEAT_MS;
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#looked);
    this.#looked = now;
    this.#untilLook = BEATS_PER_LOOK;
    return utilization < IDLE_SHARE ? IDLE_BEAT_MS : BEAT_MS;
  }

  #report({ phase, heldMs, frames }: Extract<ThreadMessage, { kind: "held" }>): void {
    const place = placeOf(frames);
    if (phase === undefined && !place) return; // not a hook's doing
    const name = phase === undefined ? undefined : [...this.#phases.keys()][phase];
    const lines = [name, place?.at, place?.from].map((text) => text?.replace(/:\d+(?=\)?$)/, "")); // without columns
    if (!this.#isNew(lines.join(" "))) return;
    this.#log.warn("slow hook", { phase: name, ms: heldMs, ...place });
  }

  #isNew(place: string): boolean {
    const now = performance.now();
    if (now - (this.#reported.get(place) ?? Number.NEGATIVE_INFINITY) < REPORT_EVERY_MS) return false;
    if (this.#reported.size >= MAX_PLACES) this.#reported.clear();
    this.#reported.set(place, now);
    return true;
  }
}
