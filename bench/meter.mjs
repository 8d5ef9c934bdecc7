// CPU time of a window, also of threads that begin or end in it.
import { cpuTimes } from "./cpu.mjs";

const LOOK_MS = 50; // a thread that ends takes with it at most what it did since the last look

/** Against its own clock: the news of a window's end comes a moment late, and the load goes on meanwhile. */
export class Meter {
  #pids;
  /** @type {import("./cpu.mjs").CpuTimes} */
  #before = new Map();
  /** @type {import("./cpu.mjs").CpuTimes} */
  #latest = new Map();
  #began = 0;
  /** @type {NodeJS.Timeout | undefined} */
  #timer;
  cpuNs = 0;
  cpuNsPerS = 0;

  /** @param {readonly number[]} pids */
  constructor(pids) {
    this.#pids = pids;
  }

  begin() {
    this.#before = cpuTimes(this.#pids);
    this.#latest = new Map(this.#before);
    this.#began = performance.now();
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  end() {
    clearInterval(this.#timer);
    this.#look();
    const seconds = (performance.now() - this.#began) / 1_000;
    this.cpuNs = spentBetween(this.#before, this.#latest);
    this.cpuNsPerS = this.cpuNs / seconds;
  }

  /** Ends it where no window's end comes. */
  stop() {
    clearInterval(this.#timer);
  }

  #look() {
    for (const [thread, ns] of cpuTimes(this.#pids)) {
      // A thread that ends while it is looked at reads as 0.
      this.#latest.set(thread, Math.max(ns, this.#latest.get(thread) ?? 0));
    }
  }
}

/**
 * A thread that is new has spent all of its time in between.
 * @param {import("./cpu.mjs").CpuTimes} before
 * @param {import("./cpu.mjs").CpuTimes} latest
 */
export function spentBetween(before, latest) {
  let sum = 0;
  for (const [thread, ns] of latest) sum += ns - (before.get(thread) ?? 0);
  return sum;
}
