import { Snowflake, type SnowflakeParts } from "../shared/snowflake.ts";

/** Numbers of one worker, as its master gives them. */
export interface WorkerIds {
  /** Which of the master's workers, from 0. */
  readonly number: number;
  readonly masterId: number;
  /** Until when nobody else has the numbers, in milliseconds since 1970. Absent: for ever, since the configuration says so. */
  readonly untilMs?: number | undefined;
  /** The master has waited for Redis in vain: its workers need not. */
  readonly isRedisAway?: boolean | undefined;
}

/** Worker id = master id × this + number. With more workers the master has as many consecutive ids as it needs. */
export const NUMBERS_PER_MASTER = 10;

/** Which worker this is, and the ids that it makes. The master's number may change, when its lease was lost and another is had. */
export class Identity {
  readonly number: number;
  readonly snowflake: Snowflake;
  #masterId: number;
  /** Ids that this worker has had, each with since when it was surely its own, in milliseconds since 1970. */
  readonly #had = new Map<number, number>();

  /** `machineBits`: of the ids, default 10. @throws TypeError for numbers that do not fit into the ids */
  constructor({ number, masterId, untilMs }: WorkerIds, machineBits?: number) {
    this.number = number;
    this.#masterId = masterId;
    this.snowflake = new Snowflake({ machineId: this.id, ...(machineBits !== undefined && { machineBits }) });
    this.snowflake.hold(this.id, untilMs);
    if (this.snowflake.isHeld) this.#had.set(this.id, Date.now());
  }

  get masterId(): number {
    return this.#masterId;
  }

  get id(): number {
    return this.#masterId * NUMBERS_PER_MASTER + this.number;
  }

  /** The lease was renewed, or another was had. */
  hold(masterId: number, untilMs: number): void {
    const wasHeld = this.snowflake.isHeld && masterId === this.#masterId;
    this.#masterId = masterId;
    this.snowflake.hold(this.id, untilMs);
    if (!wasHeld) this.#had.set(this.id, Date.now()); // it may have been another's meanwhile
  }

  /** The numbers may be another worker's now: no ids until {@link hold}. */
  lose(why: string): void {
    this.snowflake.stop(why);
  }

  /** False: a session of that id cannot be here, since the id names another worker. */
  mayHave(session: string): boolean {
    const made = this.#partsOf(session);
    return made === undefined || this.#had.has(made.machineId);
  }

  /** The id was made here, and nowhere else. */
  hasMade(session: string): boolean {
    const made = this.#partsOf(session);
    if (made === undefined || made.machineId !== this.id || !this.snowflake.isHeld) return false;
    return made.timeMs > (this.#had.get(this.id) ?? Number.POSITIVE_INFINITY);
  }

  /** The id names a worker with this one's master. */
  isOfGateway(session: string): boolean {
    const made = this.#partsOf(session);
    return made !== undefined && Math.floor(made.machineId / NUMBERS_PER_MASTER) === this.#masterId;
  }

  /** Undefined: an id from a time without a number. */
  #partsOf(session: string): SnowflakeParts | undefined {
    try {
      return this.snowflake.decode(session);
    } catch {
      return undefined;
    }
  }
}
