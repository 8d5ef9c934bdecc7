/** One of something for each direction: from the client, and to it. */
export interface Ways<Value> {
  readonly up: Value;
  readonly down: Value;
}

/** Both directions, in the order in which they are always named. */
export const ways = ["up", "down"] as const;

/** Makes one for each direction. */
export function bothWays<Value>(make: (way: "up" | "down") => Value): Ways<Value> {
  return { up: make("up"), down: make("down") };
}

/** How one direction of a bucket fills from now on. */
export interface Filling {
  /** Bytes per second; infinity: no limit; 0: none. */
  readonly rate: number;
  /** Bytes that it holds. */
  readonly burst: number;
  /** Bytes put in now; below 0: taken out. */
  readonly add: number;
}

/** What is known of one direction of a bucket. */
export interface Level {
  /** Bytes that have come in since it was made, or came back. */
  readonly served: number;
  /** Bytes that were taken or promised since then. Who was promised his up to here has them when so many have come in. */
  readonly taken: number;
  /** The same, without those that came back. */
  readonly used: number;
  /** Sessions that wait for what they were promised. */
  readonly waiting: number;
  /** Bytes per second that come in. */
  readonly rate: number;
}

/**
 * What sessions that share a rate take from before they move bytes: wherever it is kept, in JavaScript or in an engine. Who finds
 * too little is promised some, in the order in which they come; so all have the same, and nobody divides anything among them.
 */
export interface Bucket {
  fill(filling: Ways<Filling>): void;
  look(): Ways<Level>;
  /** Takes bytes from the client that are there already; may leave less than nothing. */
  pay(bytesUp: number): void;
  /** Nobody takes from it any more. */
  close(): void;
}

/** Where buckets are made: each carrier has its own, and its sessions take from no others. */
export interface Buckets {
  open(): Bucket;
}

/** Who waits takes at least this much: less is not worth waking up for. As in native/bucket.c, like all numbers here. */
const MIN_PROMISE_BYTES = 256;

/** A promise is what comes in in this time … */
const PROMISE_MS = 25;

/** … or in this time, when as much as comes in so long is promised already: with many who wait, each has little, but soon. */
const SHORT_PROMISE_MS = 5;
const CROWDED_MS = 50;

/** Looks again so soon whether the rate has changed meanwhile, and later the more there are who wait. */
const MIN_LOOK_MS = 100;
const MAX_LOOK_MS = 1_000;

/** Turns that are passed over; those of more who go at once are taken as if they had stayed. */
const MAX_GAPS = 1_024;

/** A turn that nobody takes: when it begins, by what has come in, and how long it would have been. */
interface Gap {
  readonly from: number;
  readonly bytes: number;
}

/** Those who went last mostly came last: looked for from the end. */
function placeOf({ from }: Gap, gaps: readonly Gap[]): number {
  let place = gaps.length;
  while (place > 0 && (gaps[place - 1]?.from ?? 0) > from) place--;
  return place;
}

/** One direction of a bucket in JavaScript. */
export class BucketWay {
  #rate = 0;
  #burst = 0;
  #served = 0;
  #taken = 0;
  #filledAt: number = performance.now();
  #waiting = 0;
  #returned = 0;
  /** Promises of those who went before they had them, in their order. */
  readonly #gaps: Gap[] = [];

  fill({ rate, burst, add }: Filling): void {
    this.#flow();
    this.#rate = rate;
    this.#burst = burst;
    this.#served = this.isLimited ? Math.min(this.#served + add, this.#taken + burst) : this.#taken;
  }

  look(): Level {
    this.#flow();
    const used = this.#taken - this.#returned;
    return { served: this.#served, taken: this.#taken, used, waiting: this.#waiting, rate: this.#rate };
  }

  get isLimited(): boolean {
    return this.#rate !== Number.POSITIVE_INFINITY;
  }

  /** How many of these bytes may be taken at once; 0: so few that it is better to wait. */
  available(wanted: number): number {
    if (!this.isLimited) return wanted;
    this.#flow();
    const tokens = this.#served - this.#taken;
    const enough = Math.max(Math.min(wanted, this.#burst, this.#promiseBytes), 1);
    return tokens >= enough ? Math.min(wanted, Math.floor(tokens)) : 0;
  }

  take(bytes: number): void {
    if (this.isLimited) this.#taken += bytes;
  }

  /** What one who waits is promised. */
  get #promiseBytes(): number {
    const debt = this.#taken - this.#served;
    const ms = debt * 1_000 > this.#rate * CROWDED_MS ? SHORT_PROMISE_MS : PROMISE_MS;
    return Math.max((this.#rate * ms) / 1_000, MIN_PROMISE_BYTES);
  }

  get promiseBytes(): number {
    return this.isLimited ? Math.floor(this.#promiseBytes) : Number.POSITIVE_INFINITY;
  }

  /** Answers what must have come in before the bytes may be used: see {@link waitMs}. */
  promise(bytes: number): number {
    this.take(bytes);
    this.#waiting++;
    return this.#taken;
  }

  /**
   * Who was promised bytes has used them, but for these. It is his turn that is passed over, when it comes: were others served sooner
   * at once, whoever comes and goes again and again could let them have more than there is.
   */
  settle(promised: number, unused: number): void {
    this.#waiting--;
    this.#returned += unused;
    const gap = { from: promised - unused, bytes: unused };
    if (gap.from <= this.#served) this.#served += unused;
    else if (this.#gaps.length < MAX_GAPS) this.#gaps.splice(placeOf(gap, this.#gaps), 0, gap);
  }

  /** How long to wait for what was promised, or to look again; 0: it is there. */
  waitMs(promised: number): number {
    if (!this.isLimited) return 0;
    this.#flow();
    const missing = promised - this.#served;
    if (missing <= 0) return 0;
    const lookMs = Math.min(Math.max(this.#waiting, MIN_LOOK_MS), MAX_LOOK_MS);
    return Math.min(Math.max((missing * 1_000) / this.#rate, 1), lookMs);
  }

  #flow(): void {
    const now = performance.now();
    const came = ((now - this.#filledAt) * this.#rate) / 1_000;
    this.#filledAt = now;
    if (!this.isLimited) return;
    this.#served += came;
    let passed = 0;
    for (let gap = this.#gaps[0]; gap && gap.from <= this.#served; gap = this.#gaps[++passed])
      this.#served += gap.bytes;
    if (passed > 0) this.#gaps.splice(0, passed);
    this.#served = Math.min(this.#served, this.#taken + this.#burst);
  }
}

/** A bucket of sessions whose bytes pass through JavaScript. */
export class NodeBucket implements Bucket {
  readonly up: BucketWay = new BucketWay();
  readonly down: BucketWay = new BucketWay();

  fill({ up, down }: Ways<Filling>): void {
    this.up.fill(up);
    this.down.fill(down);
  }

  look(): Ways<Level> {
    return bothWays((way) => this[way].look());
  }

  pay(bytesUp: number): void {
    this.up.take(bytesUp);
  }

  close(): void {}
}

/** Buckets of sessions whose bytes pass through JavaScript. */
export const nodeBuckets: Buckets = { open: () => new NodeBucket() };
