import type { Members } from "./members.ts";

/** Nobody holds it. */
const OPEN = 0;
/** Nobody holds it, but its holder was thrown out half-way: what it guards must be put in order first. */
const SPOILED = -1;
/** Looks at the lock before sleeping: some microseconds, longer than a call takes. */
const LOOKS = 200;
/** The first sleep and the longest: the holder is off its core, whose turns are of milliseconds. */
const MIN_SLEEP_MS = 0.02;
const MAX_SLEEP_MS = 1;
/** Sleeps before asking whether the holder lives, which costs a read of /proc. */
const SLEEPS_BEFORE_DOUBT = 4;

/**
 * Lets one process at a time into a shard. It holds the serial number of its holder, so that the lock of a killed process
 * is taken over by the next that wants it. Nothing of JavaScript's own runs while it is held: no hook, no callback.
 */
export class Lock {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #serial: number;
  readonly #members: Members | undefined;

  /** `members` is undefined where no other process sees the memory. */
  constructor(words: Int32Array, at: number, serial: number, members: Members | undefined) {
    this.#words = words;
    this.#at = at;
    this.#serial = serial;
    this.#members = members;
  }

  /** Waits until this process holds it; true: what it guards may be half done, its last holder did not leave by itself. */
  enter(): boolean {
    return Atomics.compareExchange(this.#words, this.#at, OPEN, this.#serial) === OPEN ? false : this.#wait();
  }

  leave(): void {
    Atomics.store(this.#words, this.#at, OPEN);
  }

  /** Leaves what it guards to be put in order by the next one. */
  spoil(): void {
    Atomics.store(this.#words, this.#at, SPOILED);
  }

  #wait(): boolean {
    for (let sleeps = 0, ms = MIN_SLEEP_MS; ; sleeps++, ms = Math.min(ms * 2, MAX_SLEEP_MS)) {
      if (this.#spin()) return false;
      const holder = Atomics.load(this.#words, this.#at);
      if (this.#isAbandoned(holder, sleeps) && this.#takeFrom(holder)) return true;
      pause(ms);
    }
  }

  #spin(): boolean {
    for (let looks = 0; looks < LOOKS; looks++) {
      if (Atomics.load(this.#words, this.#at) === OPEN && this.#takeFrom(OPEN)) return true;
    }
    return false;
  }

  #takeFrom(holder: number): boolean {
    return Atomics.compareExchange(this.#words, this.#at, holder, this.#serial) === holder;
  }

  /** Calls do not nest, so a lock that this process already holds is one that it was torn away from (`vm`'s time limit does that). */
  #isAbandoned(holder: number, sleeps: number): boolean {
    if (holder === SPOILED || holder === this.#serial) return true;
    if (holder === OPEN || sleeps < SLEEPS_BEFORE_DOUBT) return false;
    return this.#members?.hasEnded(holder) ?? false;
  }
}

/** Memory between processes cannot wake a thread of JavaScript, so it sleeps on memory of its own. */
const bed = new Int32Array(new SharedArrayBuffer(4));

function pause(ms: number): void {
  Atomics.wait(bed, 0, 0, ms);
}
