import { GatewayError } from "../errors.ts";

/** Time zero of the ids: 2025-01-01T00:00:00Z. With 41 bits of milliseconds they last until September 2094. */
export const SNOWFLAKE_EPOCH_MS = 1_735_689_600_000;

/** Bits below the time: the machine's and the sequence's together. */
const LOW_BITS = 22;
const LOW_SIZE = 2 ** LOW_BITS;

/** Bits of an id for the worker's number, where nothing else is said: 1,024 workers, 4,096 ids per millisecond each. */
export const DEFAULT_MACHINE_BITS = 10;

/** 5 bits of sequence are left: 32 ids per millisecond. */
export const MAX_MACHINE_BITS = 17;

const MAX_TIME = 2 ** 41 - 1;

/** So far the clock may step back, or the ids run ahead of it, before a caller waits; and so long it waits then. */
const MAX_AHEAD_MS = 5;

/** Ids are joined from two halves of their decimal digits: many times faster than to print a bigint each time. */
const HALF = 1_000_000_000;
const HALF_DIGITS = 9;

/** What an id is made of. */
export interface SnowflakeParts {
  /** When it was made, in milliseconds since 1970, to be given to `new Date`. */
  readonly timeMs: number;
  readonly machineId: number;
  readonly sequence: number;
}

/** The clock of the ids; tests have one of their own. */
export interface SnowflakeClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Holds this thread. */
  wait(ms: number): void;
}

export interface SnowflakeOptions {
  /** Number of this worker: from 0, below 2 to the power of `machineBits`. */
  readonly machineId: number;
  /** From 1 to 17, default 10. The sequence has the rest of 22 bits: more machines make fewer ids each per millisecond. */
  readonly machineBits?: number;
  readonly clock?: SnowflakeClock;
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

const systemClock: SnowflakeClock = {
  now: Date.now,
  wait: (ms) => void Atomics.wait(sleeper, 0, 0, ms),
};

/**
 * Makes ids that no other worker makes: 41 bits of milliseconds since 2025, 10 bits of the worker's number, 12 bits that
 * count. They are unique and increase, per worker, whatever its clock does. Inside a bigint, outside decimal text, because
 * they are more than a number of JavaScript holds. Any phase.
 */
export class Snowflake {
  readonly #clock: SnowflakeClock;
  readonly #machineBits: number;
  readonly #sequences: number;
  #machineId = 0;
  /** The machine's bits, in their place above the sequence. */
  #machinePart = 0;
  /** Millisecond of the last id, since 1970: of the clock, or a little ahead of it. */
  #lastMs = 0;
  #sequence = 0;
  /** Decimal digits of the last id's time part: the nine lowest, and those above them. */
  #low = 0;
  #high = 0;
  #heldUntilMs = Number.POSITIVE_INFINITY;
  #why = "";

  /** @throws TypeError for a number that does not fit */
  constructor({ machineId, machineBits = DEFAULT_MACHINE_BITS, clock = systemClock }: SnowflakeOptions) {
    if (!Number.isInteger(machineBits) || machineBits < 1 || machineBits > MAX_MACHINE_BITS)
      throw new TypeError(`machineBits: expected a whole number from 1 to ${MAX_MACHINE_BITS}, not ${machineBits}`);
    this.#clock = clock;
    this.#machineBits = machineBits;
    this.#sequences = 2 ** (LOW_BITS - machineBits);
    this.hold(machineId);
  }

  /** Number of the worker that ids have now. */
  get machineId(): number {
    return this.#machineId;
  }

  /** True while `next` makes ids. */
  get isHeld(): boolean {
    return this.#clock.now() < this.#heldUntilMs;
  }

  /**
   * A new id, as decimal text of at most 19 digits. Takes less than a third of a microsecond.
   * @throws GatewayError `RC_ID_LEASE` while the worker's number is not sure to be its own, and `RC_CLOCK` while the clock
   * is more than 5 ms behind the last id
   */
  next(): string {
    const sequence = this.#advance();
    const low = this.#low + this.#machinePart + sequence;
    if (low < HALF) return this.#high + String(low).padStart(HALF_DIGITS, "0");
    return this.#high + 1 + String(low - HALF).padStart(HALF_DIGITS, "0");
  }

  /** Tells time, worker and count of an id that this layout has made. @throws TypeError for text that is no such id */
  decode(id: string | bigint): SnowflakeParts {
    const value = typeof id === "bigint" ? id : /^\d{1,19}$/.test(id) ? BigInt(id) : -1n;
    if (value < 0n || value >> 63n !== 0n) throw new TypeError(`expected an id of 63 bits, not ${String(id)}`);
    const low = Number(value & BigInt(LOW_SIZE - 1));
    return {
      timeMs: Number(value >> BigInt(LOW_BITS)) + SNOWFLAKE_EPOCH_MS,
      machineId: Math.floor(low / this.#sequences),
      sequence: low % this.#sequences,
    };
  }

  /**
   * From now on the worker's number is this one, until `untilMs` (milliseconds since 1970) or the next call. For whoever
   * holds the lease of the number. @throws TypeError for a number that does not fit
   */
  hold(machineId: number, untilMs: number = Number.POSITIVE_INFINITY): void {
    const machines = 2 ** this.#machineBits;
    if (!Number.isInteger(machineId) || machineId < 0 || machineId >= machines)
      throw new TypeError(`machineId: expected a whole number from 0 to ${machines - 1}, not ${machineId}`);
    // Ids of a lower number in the same millisecond would be lower than those before.
    if (machineId !== this.#machineId && this.#lastMs > 0) this.#enter(this.#lastMs + 1);
    this.#machineId = machineId;
    this.#machinePart = machineId * this.#sequences;
    this.#heldUntilMs = untilMs;
    this.#why = "not renewed in time";
  }

  /** No ids until `hold` is called: the number may belong to another worker now. */
  stop(why: string): void {
    this.#heldUntilMs = Number.NEGATIVE_INFINITY;
    this.#why = why;
  }

  /** Finds the time of the next id, and answers its sequence. */
  #advance(): number {
    let now = this.#clock.now();
    if (this.#lastMs - now > MAX_AHEAD_MS) now = this.#waitForClock();
    if (now >= this.#heldUntilMs) throw new GatewayError("RC_ID_LEASE", this.#why);
    if (now > this.#lastMs) this.#enter(now);
    else if (this.#sequence + 1 < this.#sequences) this.#sequence++;
    else this.#enter(this.#lastMs + 1); // goes on ahead of the clock
    return this.#sequence;
  }

  #enter(ms: number): void {
    const time = ms - SNOWFLAKE_EPOCH_MS;
    if (!(time >= 0 && time <= MAX_TIME)) throw new GatewayError("RC_CLOCK", `${ms} ms is outside the time of ids`);
    const base = BigInt(time) * BigInt(LOW_SIZE);
    this.#low = Number(base % BigInt(HALF));
    this.#high = Number(base / BigInt(HALF));
    this.#lastMs = ms;
    this.#sequence = 0;
  }

  /** A burst is over within milliseconds; a clock that was set back is not. */
  #waitForClock(): number {
    for (let waited = 0; waited < MAX_AHEAD_MS; waited++) {
      this.#clock.wait(1);
      const now = this.#clock.now();
      if (this.#lastMs - now <= MAX_AHEAD_MS) return now;
    }
    throw new GatewayError("RC_CLOCK", `${this.#lastMs - this.#clock.now()} ms behind the last id`);
  }
}
