import type { Socket } from "node:net";
import { Alarm } from "./alarm.ts";
import { type Bucket, type BucketWay, NodeBucket, type Ways } from "./bucket.ts";

/** Bytes per second of the two directions; undefined: as many as there are. */
export interface RelayRates {
  /** From the client. */
  readonly up?: number | undefined;
  /** To the client. */
  readonly down?: number | undefined;
  /** Rates that the relay shares with others; it takes from those of its own carrier. All of them hold, besides its own. */
  readonly buckets?: readonly Bucket[] | undefined;
}

/** What holds for one direction of a relay in JavaScript. */
export interface Pace {
  /** Bytes per second; 0: as many as there are. */
  readonly rate: number;
  readonly shared: readonly BucketWay[];
}

/** The bucket holds what may move in a tenth of a second, and at least this much. As in native/limit.c. */
const BURST_PARTS = 10;
const MIN_BURST_BYTES = 4_096;

/** Less than this part of a bucket is not worth waking up for: a slow direction would move byte by byte. */
const WAKE_PARTS = 4;

/** A second at most: then a very slow direction moves what it may, and nobody takes it for dead. */
const MAX_WAIT_MS = 1_000;

/** Bytes that may go at once at a rate. */
export function burstOf(rate: number): number {
  return Math.max(rate / BURST_PARTS, MIN_BURST_BYTES);
}

/** Checks rates that somebody asks for; 0 stands for none. @throws RangeError for one that is not above 0 */
export function ratesOf({ up, down }: RelayRates = {}): { readonly up: number; readonly down: number } {
  return { up: rateOf(up, "up"), down: rateOf(down, "down") };
}

/** {@link ratesOf}, for a relay in JavaScript. */
export function pacesOf(rates: RelayRates | undefined): Ways<Pace> {
  const { up, down } = ratesOf(rates);
  const buckets = rates?.buckets?.filter((bucket) => bucket instanceof NodeBucket) ?? [];
  return {
    up: { rate: up, shared: buckets.map((bucket) => bucket.up) },
    down: { rate: down, shared: buckets.map((bucket) => bucket.down) },
  };
}

/** Whether there is anything to hold. */
export function isPaced({ rate, shared }: Pace): boolean {
  return rate > 0 || shared.some((way) => way.isLimited);
}

function rateOf(rate: number | undefined, what: string): number {
  if (rate === undefined || rate === Number.POSITIVE_INFINITY) return 0;
  if (!(rate > 0)) throw new RangeError(`${what}: expected bytes per second above 0, got ${rate}`);
  return rate;
}

/**
 * What one direction may move: a bucket of tokens that fills as time goes by, and those that it shares with others. Who finds too
 * little stops reading, and is called when it is worth going on: one timer per pause, none per read.
 */
export class Throttle {
  readonly #alarm: Alarm;
  #rate = 0;
  #tokens = 0;
  #filledAt = Number.NEGATIVE_INFINITY;
  #shared: readonly BucketWay[] = [];
  /** Bytes that the shared buckets have promised, and what must have come into each of them first. */
  #promised = 0;
  #promises: readonly number[] = [];
  #isWaiting = false;

  /** `goOn`: called once after each wait, and when the rate changes during one. */
  constructor(goOn: () => void) {
    this.#alarm = new Alarm(() => {
      this.#isWaiting = false;
      goOn();
    });
  }

  /** Nothing may move until `goOn` is called. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** From now on. */
  set({ rate, shared }: Pace): void {
    this.#rate = rate;
    this.#settle();
    this.#shared = shared;
    if (this.#isWaiting) this.#alarm.set(performance.now());
  }

  /** How many of these bytes may move now. If that is not all of them, it is waited for the rest. */
  take(wanted: number): number {
    const own = this.#rate === 0 ? wanted : Math.min(wanted, this.#own());
    const taken = own > 0 && this.#shared.length > 0 ? this.#takeShared(own) : own;
    if (this.#rate > 0) this.#tokens -= taken;
    if (taken < wanted) this.#wait();
    return taken;
  }

  /** What may move of a chunk that a stream has just handed out; the rest goes back, and the stream stands still. */
  admit(stream: Socket, chunk: Buffer): Buffer {
    const allowed = this.take(chunk.length);
    if (allowed === chunk.length) return chunk;
    stream.pause();
    stream.unshift(chunk.subarray(allowed));
    return chunk.subarray(0, allowed);
  }

  /** Nothing is limited any more, and nobody called. */
  stop(): void {
    this.#rate = 0;
    this.#settle();
    this.#shared = [];
    this.#isWaiting = false;
    this.#alarm.stop();
  }

  #own(): number {
    const now = performance.now();
    const gained = ((now - this.#filledAt) * this.#rate) / 1_000;
    this.#tokens = Math.min(this.#tokens + gained, burstOf(this.#rate));
    this.#filledAt = now;
    return Math.floor(this.#tokens);
  }

  /** First what was promised; then what is there. Where that is too little, so much is promised as is worth waiting for. */
  #takeShared(wanted: number): number {
    if (this.#promised > 0 && this.#promiseMs() > 0) return 0;
    const kept = Math.min(this.#promised, wanted);
    this.#promised -= kept;
    this.#settle();
    const rest = wanted - kept;
    if (rest === 0) return kept;
    const available = this.#shared.reduce((least, way) => Math.min(least, way.available(least)), rest);
    for (const way of this.#shared) way.take(available);
    if (available < rest) this.#promise(rest - available);
    return kept + available;
  }

  #promise(wanted: number): void {
    this.#promised = this.#shared.reduce((least, way) => Math.min(least, way.promiseBytes), wanted);
    this.#promises = this.#shared.map((way) => way.promise(this.#promised));
  }

  /** What is left of a promise goes back. */
  #settle(): void {
    for (const [at, promised] of this.#promises.entries()) this.#shared[at]?.settle(promised, this.#promised);
    this.#promises = [];
    this.#promised = 0;
  }

  #promiseMs(): number {
    return this.#promises.reduce((most, promise, at) => Math.max(most, this.#shared[at]?.waitMs(promise) ?? 0), 0);
  }

  #wait(): void {
    const waitMs = this.#promised > 0 ? this.#promiseMs() : this.#ownMs();
    this.#isWaiting = true;
    this.#alarm.set(performance.now() + waitMs);
  }

  #ownMs(): number {
    const missing = burstOf(this.#rate) / WAKE_PARTS - this.#tokens;
    return Math.min(Math.max((missing * 1_000) / this.#rate, 1), MAX_WAIT_MS);
  }
}
