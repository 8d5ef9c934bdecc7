import { type Bucket, type Buckets, bothWays, type Filling, type Level, type Ways } from "../bucket.ts";
import type { Engine } from "./addon.ts";

/** Numbers that the engine tells of one direction. */
const LEVEL_FIELDS = 5;

/** A bucket that the sessions of an engine take from, without JavaScript. */
export class NativeBucket implements Bucket {
  /** The engine's name for it. */
  readonly number: number;
  readonly #engine: Engine;
  readonly #told: Float64Array;

  /** `told`: where the engine puts its answers. @throws Error with ENOMEM */
  constructor(engine: Engine, told: Float64Array) {
    this.number = engine.bucket();
    this.#engine = engine;
    this.#told = told;
  }

  fill({ up, down }: Ways<Filling>): void {
    this.#engine.fill(this.number, up.rate, up.burst, up.add, down.rate, down.burst, down.add);
  }

  look(): Ways<Level> {
    const isKnown = this.#engine.levels(this.number);
    return bothWays((way) => this.#level(isKnown ? this.#told : NOTHING, way === "up" ? 0 : LEVEL_FIELDS));
  }

  /** Each in its place: no array is made for a question that is asked so often. */
  #level(told: Float64Array, at: number): Level {
    const [served, taken, used] = [told[at] ?? 0, told[at + 1] ?? 0, told[at + 2] ?? 0];
    return { served, taken, used, waiting: told[at + 3] ?? 0, rate: told[at + 4] ?? 0 };
  }

  pay(bytesUp: number): void {
    this.#engine.pay(this.number, bytesUp);
  }

  close(): void {
    this.#engine.drop(this.number);
  }
}

const NOTHING = new Float64Array(2 * LEVEL_FIELDS);

/** The buckets of an engine. */
export function nativeBuckets(engine: Engine, told: Float64Array): Buckets {
  return { open: () => new NativeBucket(engine, told) };
}
