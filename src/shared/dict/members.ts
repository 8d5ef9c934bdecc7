import process from "node:process";
import { MAX_MEMBERS, MEMBER_WORDS, MEMBERS, SERIAL } from "./layout.ts";
import { startOf } from "./process-state.ts";

// Of a member: its serial number, process number, and when the process began (a double).
const PID = 1;
const START_DOUBLE = 1;

/**
 * The processes that use a dictionary. Each has a serial number that no other ever had, and locks hold that number: what
 * looks like the holder is the holder. Its place in the table tells which process that is, and when it began.
 */
export class Members {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor(words: Int32Array, doubles: Float64Array) {
    this.#words = words;
    this.#doubles = doubles;
  }

  /** Makes this process a member, and answers its serial number. */
  join(): number {
    const start = startOf(process.pid) ?? 0;
    for (let tries = 0; tries < MAX_MEMBERS; tries++) {
      const serial = Atomics.add(this.#words, SERIAL, 1) + 1;
      if (this.#take(serial, start)) return serial;
    }
    throw new Error(`more than ${MAX_MEMBERS} processes use this dictionary`);
  }

  /** Whether the process of that number runs no more. Only then is its place in the table given to another. */
  hasEnded(serial: number): boolean {
    const at = placeOf(serial);
    if (Atomics.load(this.#words, at) !== serial) return true;
    return this.#isFree(at);
  }

  #take(serial: number, start: number): boolean {
    const at = placeOf(serial);
    if (Atomics.load(this.#words, at) !== 0 && !this.#isFree(at)) return false;
    Atomics.store(this.#words, at, 0);
    this.#words[at + PID] = process.pid;
    this.#doubles[at / 2 + START_DOUBLE] = start;
    Atomics.store(this.#words, at, serial);
    return true;
  }

  #isFree(at: number): boolean {
    const pid = this.#words[at + PID] ?? 0;
    const start = this.#doubles[at / 2 + START_DOUBLE];
    try {
      return startOf(pid) !== start;
    } catch {
      return false; // it cannot be told now, for example because too many files are open: not a reason to take anything
    }
  }
}

function placeOf(serial: number): number {
  return MEMBERS + (serial % MAX_MEMBERS) * MEMBER_WORDS;
}
