import type { SharedDict } from "../dict/shared-dict.ts";
import { keptIn, untilDone } from "./limiter.ts";
import { LivingOwners, type Owners, processOwners } from "./living-owners.ts";

export type { Owners } from "./living-owners.ts";

/** Keys that nobody renews are forgotten after this time: those of workers that died, where nobody else ever asked for the key. */
export const LEASE_TTL_MS = 600_000;

/** Each key is renewed once in so many beats … */
const BEATS = 60;

/** … of one second: little work at a time, however many keys there are. What somebody has flushed or evicted is back within a minute. */
const BEAT_MS = 1_000;

/** What `take` answers, besides how many hold the key now. */
export type NotTaken = "rejected" | "shdict abused by other users" | "no memory";

/**
 * Who holds what, counted per key over all processes. Each value names its owners and how many leases each of them has, and each
 * owner keeps its own numbers besides: a dead owner's are taken out by whoever meets them, lost ones are written anew by their owner.
 */
export class Leases {
  readonly #dict: SharedDict;
  readonly #living: LivingOwners;
  readonly #token: string;
  readonly #held = new Map<string, number>();
  #timer: NodeJS.Timeout | undefined;
  #round: Iterator<string> | undefined;

  constructor(dict: SharedDict, owners: Owners = processOwners) {
    this.#dict = dict;
    this.#living = new LivingOwners(owners);
    this.#token = owners.newToken();
  }

  /** Keys that this owner holds, with how often. */
  get held(): ReadonlyMap<string, number> {
    return this.#held;
  }

  /** How many hold the key, in all processes. */
  count(key: string): number {
    const others = this.#othersOf(keptIn(this.#dict, key));
    return typeof others === "string" ? this.own(key) : sum(others) + this.own(key);
  }

  own(key: string): number {
    return this.#held.get(key) ?? 0;
  }

  /** One more, unless that were more than `max`. Answers how many it are then; `commit` false: would be. */
  take(key: string, max: number, commit = true): number | NotTaken {
    const done = untilDone((): number | NotTaken | undefined => {
      const text = keptIn(this.#dict, key);
      let others = this.#othersOf(text);
      if (typeof others === "string") return others;
      const own = this.own(key) + 1;
      if (sum(others) + own > max) others = this.#alive(others, "asked now");
      const count = sum(others) + own;
      if (count > max) return "rejected";
      return !commit || this.#write(key, text, others, own) ? count : undefined;
    });
    return done ?? "no memory";
  }

  /** One less; answers how many it are then. Nothing happens where this owner holds none. */
  give(key: string): number | undefined {
    if (this.own(key) === 0) return undefined;
    this.#keep(key, this.own(key) - 1);
    return this.renew(key);
  }

  /** Writes what this owner holds, whatever became of the value, for another while; answers how many hold it. */
  renew(key: string): number | undefined {
    return untilDone(() => {
      const text = keptIn(this.#dict, key);
      const others = this.#othersOf(text);
      if (typeof others === "string") return this.own(key); // somebody else's value: not ours to touch
      return this.#write(key, text, others, this.own(key)) ? sum(others) + this.own(key) : undefined;
    });
  }

  /** Gives everything back. */
  close(): void {
    for (const key of [...this.#held.keys()]) {
      this.#keep(key, 0);
      this.renew(key);
    }
  }

  #write(key: string, text: unknown, others: readonly Share[], own: number): boolean {
    const shares = own > 0 ? [...others, { token: this.#token, count: own }] : others;
    const next = shares.length === 0 ? undefined : shares.map(({ token, count }) => `${token}=${count}`).join(" ");
    if (next === undefined && text === undefined) return true;
    if (!this.#dict.cas(key, typeof text === "string" ? text : undefined, next, { ttlMs: LEASE_TTL_MS })) return false;
    this.#keep(key, own);
    return true;
  }

  #keep(key: string, own: number): void {
    if (own > 0) this.#held.set(key, own);
    else this.#held.delete(key);
    if (this.#held.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else if (!this.#timer) {
      this.#timer = setInterval(() => this.#beat(), BEAT_MS);
      this.#timer.unref();
    }
  }

  #beat(): void {
    for (let left = Math.ceil(this.#held.size / BEATS); left > 0; left--) {
      this.#round ??= this.#held.keys();
      const { value, done } = this.#round.next();
      if (done) this.#round = undefined;
      else this.renew(value);
    }
  }

  #alive(shares: readonly Share[], as: "known" | "asked now"): readonly Share[] {
    if (shares.length === 0) return shares;
    this.#living.refresh(as);
    return shares.filter(({ token }) => !this.#living.hasEnded(token));
  }

  /** The shares of all other owners that live. */
  #othersOf(text: unknown): readonly Share[] | "shdict abused by other users" {
    if (text === undefined) return NOBODY;
    const shares = typeof text === "string" ? text.split(" ").map(shareOf) : [undefined];
    const known = shares.filter((share) => share !== undefined);
    if (known.length < shares.length) return "shdict abused by other users";
    return this.#alive(
      known.filter(({ token }) => token !== this.#token),
      "known",
    );
  }
}

/** How many leases an owner has. */
interface Share {
  readonly token: string;
  readonly count: number;
}

const NOBODY: readonly Share[] = [];

function shareOf(text: string): Share | undefined {
  const [, token, count] = /^(\S+)=(\d+)$/.exec(text) ?? [];
  return token === undefined ? undefined : { token, count: Number(count) };
}

function sum(shares: readonly Share[]): number {
  return shares.reduce((total, { count }) => total + count, 0);
}
