import { machineClock } from "../../shared/dict/clock.ts";
import type { SharedDict } from "../../shared/dict/shared-dict.ts";
import { keptIn } from "../../shared/limits/limiter.ts";
import type { LivingOwners } from "../../shared/limits/living-owners.ts";
import { type Bucket, bothWays, type Ways, ways } from "../bucket.ts";
import {
  bookOf,
  broughtUp,
  burstOfPart,
  freePart,
  type Holding,
  isLimited,
  type Rate,
  type RateBook,
  targets,
  textOf,
  untilFullMs,
} from "./rate-book.ts";
import type { Want } from "./shares.ts";

/** How long a key's book is kept without being written: those of processes that died, where nobody else ever asked for the key. */
const BOOK_TTL_MS = 600_000;

/** How long is measured what is used of a part, before others are told of it. */
const MEASURE_MS = 450;

/** Who has used nearly all that he has may want any amount … */
const SATED_PARTS = 0.9;
/** … and so may one who waits, and has used much of it. */
const WAITING_PARTS = 0.5;
/** Who has used less may want twice as much soon. */
const GROWTH = 2;

/** Parts that differ by no more than this factor are the same … */
const SAME_PART = 1.02;
/** … and so are wants that differ by no more than this one … */
const SAME_WANT = 1.25;
/** … or are no more than this part of the whole. */
const SMALL_WANT = 0.01;

/** Who has lost so many races for one key's book in a row cannot write it: the dictionary is full. */
const MAX_TRIES = 100;

const HUNGRY: Want = { amount: Number.POSITIVE_INFINITY, weight: 1 };
const NOTHING: Ways<number> = { up: 0, down: 0 };
const NOBODY: readonly string[] = [];

/** Where the processes tell each other what they have, and who of them tells it. */
export interface BookKeeper {
  readonly dict: SharedDict;
  readonly token: string;
  readonly living: LivingOwners;
}

/** What is to be done with one direction, so that it fits into a book. */
interface Change {
  /** The part to have from now on. */
  readonly held: number;
  /** Bytes that come with it. */
  readonly add: number;
  /** Bytes that nobody has then. */
  readonly free: number;
}

/**
 * This process's part of one key's rate, and the bucket that its sessions take from. Methods that may change the book answer the
 * tokens of those who should look into it now.
 */
export class KeyShare {
  readonly key: string;
  readonly bucket: Bucket;
  /** Sessions that take from the bucket. */
  members = 0;
  readonly #keeper: BookKeeper;
  #rates: Ways<Rate>;
  #held: Ways<number> = NOTHING;
  #wants: Ways<Want> = { up: HUNGRY, down: HUNGRY };
  /** Bytes taken out of the bucket, and not in the book yet. */
  #owed: Ways<number> = NOTHING;
  #others: readonly string[] = NOBODY;
  #measuredAt = 0;
  #used: Ways<number> = NOTHING;

  constructor(key: string, bucket: Bucket, keeper: BookKeeper, rates: Ways<Rate>) {
    this.key = key;
    this.bucket = bucket;
    this.#keeper = keeper;
    this.#rates = rates;
    this.#fill(NOTHING);
  }

  /** Others have a part, too. */
  get isContended(): boolean {
    return this.#others.length > 0;
  }

  /** Takes other numbers for the key from now on. */
  setRates(rates: Ways<Rate>): void {
    if (ways.every((way) => rates[way].rate === this.#rates[way].rate)) return;
    this.#rates = rates;
    this.#fill(NOTHING);
  }

  /** Looks whether the part still fits what the sessions use. Costs next to nothing where nothing has changed. */
  look(now: number): readonly string[] {
    if (this.#others.some((token) => this.#keeper.living.hasEnded(token))) return this.sync();
    if (!this.isContended || now - this.#measuredAt < MEASURE_MS) return NOBODY;
    const wants = this.#measure(now);
    if (ways.every((way) => isSame(wants[way], this.#wants[way]))) return NOBODY;
    this.#wants = wants;
    return this.sync();
  }

  /** Brings the part to what the book says. `renew`: writes it even where nothing has changed, so that it is not forgotten. */
  sync(as: "changed" | "renewed" | "left" = "changed"): readonly string[] {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const text = keptIn(this.#keeper.dict, this.key);
      const book = bookOf(text);
      if (book === "foreign") break;
      const told = this.#enter(text, book, as);
      if (told) return told;
    }
    return this.#goAlone(as);
  }

  /** The last session has gone: others may have all. */
  close(): readonly string[] {
    const told = this.sync("left");
    this.bucket.close();
    return told;
  }

  /** Undefined: somebody else has written meanwhile. */
  #enter(text: unknown, kept: RateBook | undefined, as: "changed" | "renewed" | "left"): readonly string[] | undefined {
    const { dict, token, living } = this.#keeper;
    const book = broughtUp(kept, this.#rates, machineClock());
    const others = book.holdings.filter((holding) => holding.token !== token && !living.hasEnded(holding.token));
    const changes = as === "left" ? this.#giveBack(book, others) : this.#changes(book, others);
    const held = bothWays((way) => changes[way].held);
    const holdings = as === "left" ? others : [...others, { token, held, wants: this.#wants }];
    const next = { ...book, holdings, free: bothWays((way) => changes[way].free) };
    this.#others = others.map((other) => other.token);
    if (as === "changed" && isSameBook(book.holdings, holdings)) return NOBODY;
    if (!dict.cas(this.key, typeof text === "string" ? text : undefined, ...this.#written(next))) return undefined;
    const isChanged = !isSameBook(book.holdings, holdings);
    this.#owed = NOTHING;
    if (as !== "left")
      this.#become(
        held,
        bothWays((way) => changes[way].add),
      );
    return isChanged ? concerned(holdings, token) : NOBODY;
  }

  #written(book: RateBook): [string | undefined, { ttlMs: number }] {
    if (book.holdings.length > 0) return [textOf(book), { ttlMs: BOOK_TTL_MS }];
    const fullMs = untilFullMs(book, this.#rates);
    return [fullMs > 0 ? textOf(book) : undefined, { ttlMs: Math.max(Math.ceil(fullMs), 1) }];
  }

  /** Has less at once, where it should; has more as far as nobody else has it. */
  #changes(book: RateBook, others: readonly Holding[]): Ways<Change> {
    const target = targets([...others, { token: this.#keeper.token, held: this.#held, wants: this.#wants }]).at(-1);
    if (!target) throw new TypeError("a list with one more has one");
    this.#shrink(bothWays((way) => (isLess(target[way], this.#held[way]) ? target[way] : this.#held[way])));
    return bothWays((way) => {
      const room = Math.max(freePart(others, way) - this.#held[way], 0);
      const most = Math.min(target[way], this.#held[way] + room);
      const more = isLess(this.#held[way], most) ? most - this.#held[way] : 0;
      const free = Math.min(book.free[way] + this.#owed[way], burstOfPart(this.#rates[way], room));
      const add = room > 0 ? (free * more) / room : 0;
      return { held: this.#held[way] + more, add, free: free - add };
    });
  }

  #shrink(held: Ways<number>): void {
    if (ways.every((way) => held[way] === this.#held[way])) return;
    const levels = this.bucket.look();
    const given = bothWays((way) => {
      const tokens = Math.max(levels[way].served - levels[way].taken, 0);
      return isLess(held[way], this.#held[way]) ? tokens * (1 - held[way] / this.#held[way]) : 0;
    });
    this.#owed = bothWays((way) => this.#owed[way] + given[way]);
    this.#become(
      held,
      bothWays((way) => -given[way]),
    );
  }

  #giveBack(book: RateBook, others: readonly Holding[]): Ways<Change> {
    const levels = this.bucket.look();
    return bothWays((way) => {
      const left = levels[way].served - levels[way].taken;
      const most = burstOfPart(this.#rates[way], freePart(others, way));
      return { held: 0, add: 0, free: Math.min(book.free[way] + this.#owed[way] + left, most) };
    });
  }

  /** Has this part from now on; what is used of it is measured anew. */
  #become(held: Ways<number>, add: Ways<number>): void {
    if (ways.every((way) => held[way] === this.#held[way] && add[way] === 0)) return;
    this.#held = held;
    this.#fill(add);
    this.#measure(performance.now());
  }

  #fill(add: Ways<number>): void {
    this.bucket.fill(
      bothWays((way) => {
        const { rate, burst } = this.#rates[way];
        if (!isLimited(this.#rates[way])) return { rate, burst, add: 0 };
        return { rate: rate * this.#held[way], burst: burst * this.#held[way], add: add[way] };
      }),
    );
  }

  /** What the sessions want, by what they have taken since the last measure. */
  #measure(now: number): Ways<Want> {
    const seconds = (now - this.#measuredAt) / 1_000;
    const levels = this.bucket.look();
    const wants = bothWays((way): Want => {
      if (!isLimited(this.#rates[way])) return { amount: 0, weight: 1 };
      const { used, waiting } = levels[way];
      const part = (used - this.#used[way]) / seconds / this.#rates[way].rate;
      const isHungry = part >= this.#held[way] * (waiting > 0 ? WAITING_PARTS : SATED_PARTS);
      return { amount: isHungry ? Number.POSITIVE_INFINITY : part * GROWTH, weight: Math.max(waiting, 1) };
    });
    this.#measuredAt = now;
    this.#used = bothWays((way) => levels[way].used);
    return wants;
  }

  /** There is no book to be had: an equal part, as far as it is known who else there is. */
  #goAlone(as: "changed" | "renewed" | "left"): readonly string[] {
    if (as === "left") return NOBODY;
    const equal = 1 / (this.#others.length + 1);
    this.#become(
      bothWays((way) => Math.max(this.#held[way], equal)),
      NOTHING,
    );
    return NOBODY;
  }
}

function isSame(one: Want, other: Want): boolean {
  const isSmall = Math.max(one.amount, other.amount) <= SMALL_WANT;
  return (isSmall || isNear(one.amount, other.amount)) && isNear(one.weight, other.weight);
}

function isNear(one: number, other: number): boolean {
  return one === other || Math.max(one, other) <= Math.min(one, other) * SAME_WANT;
}

/** By so much that it is worth a change. */
function isLess(one: number, other: number): boolean {
  return one * SAME_PART < other;
}

function isSameBook(before: readonly Holding[], after: readonly Holding[]): boolean {
  return (
    before.length === after.length && after.every((holding) => before.some((other) => isSameHolding(holding, other)))
  );
}

function isSameHolding(one: Holding, other: Holding): boolean {
  if (one.token !== other.token) return false;
  return ways.every(
    (way) =>
      one.held[way] === other.held[way] &&
      one.wants[way].amount === other.wants[way].amount &&
      one.wants[way].weight === other.wants[way].weight,
  );
}

/** Those others who do not have what they should. */
function concerned(holdings: readonly Holding[], token: string): readonly string[] {
  if (holdings.every((holding) => holding.token === token)) return NOBODY;
  const parts = targets(holdings);
  const isFar = (has: number, should = has): boolean => isLess(has, should) || isLess(should, has);
  const isConcerned = ({ held }: Holding, place: number): boolean =>
    ways.some((way) => isFar(held[way], parts[place]?.[way]));
  return holdings
    .filter((holding, place) => holding.token !== token && isConcerned(holding, place))
    .map((holding) => holding.token);
}
