import type { Socket } from "node:net";
import { Alarm } from "./alarm.ts";

/** Bytes per second of the two directions; undefined: as many as there are. */
export interface RelayRates {
  /** From the client. */
  readonly up?: number | undefined;
  /** To the client. */
  readonly down?: number | undefined;
}

/** The bucket holds what may move in a tenth of a second, and at least this much. As in native/limit.c. */
const BURST_PARTS = 10;
const MIN_BURST_BYTES = 4_096;

/** Less than this part of a bucket is not worth waking up for: a slow direction would move byte by byte. */
const WAKE_PARTS = 4;

/** A second at most: then a very slow direction moves what it may, and nobody takes it for dead. */
const MAX_WAIT_MS = 1_000;

/** Checks rates that somebody asks for; 0 stands for none. @throws RangeError for one that is not above 0 */
export function ratesOf({ up, down }: RelayRates = {}): { readonly up: number; readonly down: number } {
  return { up: rateOf(up, "up"), down: rateOf(down, "down") };
}

function rateOf(rate: number | undefined, what: string): number {
  if (rate === undefined || rate === Number.POSITIVE_INFINITY) return 0;
  if (!(rate > 0)) throw new RangeError(`${what}: expected bytes per second above 0, got ${rate}`);
  return rate;
}

/**
 * The rate of one direction: a bucket of tokens that fills as time goes by. Who finds it empty stops reading, and is called when it
 * is worth going on: one timer per pause, none per read.
 */
export class Throttle {
  readonly #alarm: Alarm;
  #rate = 0;
  #tokens = 0;
  #filledAt = Number.NEGATIVE_INFINITY;
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

  /** From now on; 0: no limit. */
  setRate(bytesPerSecond: number): void {
    this.#rate = bytesPerSecond;
    if (this.#isWaiting) this.#alarm.set(performance.now());
  }

  /** How many of these bytes may move now. If that is not all of them, it is waited for the rest. */
  take(wanted: number): number {
    if (this.#rate === 0) return wanted;
    this.#fill();
    const taken = Math.min(wanted, Math.floor(this.#tokens));
    this.#tokens -= taken;
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
    this.#isWaiting = false;
    this.#alarm.stop();
  }

  get #burst(): number {
    return Math.max(this.#rate / BURST_PARTS, MIN_BURST_BYTES);
  }

  #fill(): void {
    const now = performance.now();
    const gained = ((now - this.#filledAt) * this.#rate) / 1_000;
    this.#tokens = Math.min(this.#tokens + gained, this.#burst);
    this.#filledAt = now;
  }

  #wait(): void {
    const missing = this.#burst / WAKE_PARTS - this.#tokens;
    const waitMs = Math.min(Math.max((missing * 1_000) / this.#rate, 1), MAX_WAIT_MS);
    this.#isWaiting = true;
    this.#alarm.set(performance.now() + waitMs);
  }
}
