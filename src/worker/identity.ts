import { Snowflake } from "../shared/snowflake.ts";

/** Numbers of one worker, as its master gives them. */
export interface WorkerIds {
  /** Which of the master's workers, from 0. */
  readonly number: number;
  readonly masterId: number;
  /** Until when nobody else has the numbers, in milliseconds since 1970. Absent: for ever, since the configuration says so. */
  readonly untilMs?: number | undefined;
}

/** Worker id = master id × this + number. With more workers the master has as many consecutive ids as it needs. */
const NUMBERS_PER_MASTER = 10;

/** Which worker this is, and the ids that it makes. The master's number may change, when its lease was lost and another is had. */
export class Identity {
  readonly number: number;
  readonly snowflake: Snowflake;
  #masterId: number;

  /** @throws TypeError for numbers that do not fit into the ids */
  constructor({ number, masterId, untilMs }: WorkerIds) {
    this.number = number;
    this.#masterId = masterId;
    this.snowflake = new Snowflake({ machineId: this.id });
    this.snowflake.hold(this.id, untilMs);
  }

  get masterId(): number {
    return this.#masterId;
  }

  get id(): number {
    return this.#masterId * NUMBERS_PER_MASTER + this.number;
  }

  /** The lease was renewed, or another was had. */
  hold(masterId: number, untilMs: number): void {
    this.#masterId = masterId;
    this.snowflake.hold(this.id, untilMs);
  }

  /** The numbers may be another worker's now: no ids until {@link hold}. */
  lose(why: string): void {
    this.snowflake.stop(why);
  }
}
