import type { SharedDict } from "../../shared/dict/shared-dict.ts";
import { LivingOwners, type Owners, processOwners } from "../../shared/limits/living-owners.ts";
import { type Bucket, type Buckets, bothWays, type Ways } from "../bucket.ts";
import { burstOf, type RelayRates } from "../throttle.ts";
import { type BookKeeper, KeyShare } from "./key-share.ts";
import type { Rate } from "./rate-book.ts";

/** How often there is a turn while somebody shares a rate … */
const TURN_MS = 100;

/** … how long one may take at most: what it has not come to waits for the next … */
const TURN_BUDGET_MS = 2;

/** … in how many all keys that several processes share are looked at, if there is time … */
const LOOK_TURNS = 5;

/** … and in how many all books are written anew, so that what somebody has flushed or evicted is back within a minute. */
const RENEW_TURNS = 600;

/** A key without sessions keeps its part for so long: the next one may come soon, and would have to wait for others to give it some. */
const LINGER_MS = 1_000;

/** Whoever opens a share closes so many that have lingered: however many keys come, they cannot be more than go. */
const CLOSED_PER_OPEN = 2;

/** Keys that others have asked this process to look at. More are forgotten, and seen when their book is written anew. */
const MAX_CALLS = 10_000;
/** Calls that nobody has answered for so long are for nobody. */
const CALLS_TTL_MS = 60_000;

/** What a session that shares a rate has. */
export interface Membership {
  /** What it takes from. */
  readonly bucket: Bucket;
  /** It takes no more. */
  leave(): void;
}

/** The shares of the sessions of one carrier. */
class Shares {
  readonly #buckets: Buckets;
  readonly #keeper: BookKeeper;
  readonly #shares = new Map<string, KeyShare>();
  /** Shares without sessions, the longest first, and since when. */
  readonly #emptied = new Map<KeyShare, number>();
  readonly #contended = new Set<KeyShare>();
  #looking: Iterator<KeyShare> = [].values();
  #renewing: Iterator<KeyShare> = [].values();
  #turns: NodeJS.Timeout | undefined;

  constructor(buckets: Buckets, keeper: BookKeeper) {
    this.#buckets = buckets;
    this.#keeper = keeper;
  }

  join(key: string, rates: Ways<Rate>): Membership {
    const share = this.#shares.get(key) ?? this.#open(key, rates);
    share.setRates(rates);
    if (share.members++ === 0) this.#emptied.delete(share);
    let isMember = true;
    return {
      bucket: share.bucket,
      leave: () => {
        if (!isMember) return;
        isMember = false;
        if (--share.members === 0) this.#emptied.set(share, performance.now());
      },
    };
  }

  #open(key: string, rates: Ways<Rate>): KeyShare {
    const share = new KeyShare(key, this.#buckets.open(), this.#keeper, rates);
    this.#shares.set(key, share);
    this.#synced(share, share.sync());
    this.#turns ??= setInterval(() => this.#turn(), TURN_MS).unref();
    let left = CLOSED_PER_OPEN;
    this.#closeEmptied(() => --left > 0);
    return share;
  }

  #turn(): void {
    const until = performance.now() + TURN_BUDGET_MS;
    this.#keeper.living.refresh("known");
    this.#answerCalls(until);
    this.#closeEmptied(() => performance.now() <= until);
    this.#lookAround(until);
    this.#renewSome(until);
    if (this.#shares.size === 0) this.#stop();
  }

  #closeEmptied(goesOn: () => boolean): void {
    for (const [share, since] of this.#emptied) {
      if (performance.now() - since < LINGER_MS) return;
      this.#close(share);
      if (!goesOn()) return;
    }
  }

  /** Others have written what concerns this process. */
  #answerCalls(until: number): void {
    const { dict, token } = this.#keeper;
    do {
      const key = dict.lpop(callsOf(token)).value;
      if (key === undefined) return;
      const share = this.#shares.get(String(key));
      if (share) this.#synced(share, share.sync());
    } while (performance.now() <= until);
  }

  #lookAround(until: number): void {
    const now = performance.now();
    for (let left = Math.ceil(this.#contended.size / LOOK_TURNS); left > 0; left--) {
      const { value: share, done } = this.#looking.next();
      if (done) this.#looking = this.#contended.values();
      else this.#synced(share, share.look(now));
      if (performance.now() > until) return;
    }
  }

  #renewSome(until: number): void {
    for (let left = Math.ceil(this.#shares.size / RENEW_TURNS); left > 0; left--) {
      const { value: share, done } = this.#renewing.next();
      if (done) this.#renewing = this.#shares.values();
      else this.#synced(share, share.sync("renewed"));
      if (performance.now() > until) return;
    }
  }

  #synced(share: KeyShare, concerned: readonly string[]): void {
    if (share.isContended) this.#contended.add(share);
    else this.#contended.delete(share);
    this.#call(share, concerned);
  }

  #close(share: KeyShare): void {
    this.#emptied.delete(share);
    this.#shares.delete(share.key);
    this.#contended.delete(share);
    this.#call(share, share.close());
  }

  #call({ key }: KeyShare, concerned: readonly string[]): void {
    const { dict } = this.#keeper;
    for (const token of concerned) {
      const calls = callsOf(token);
      if ((dict.rpush(calls, key).value ?? 0) > MAX_CALLS) dict.rpop(calls);
      dict.expire(calls, CALLS_TTL_MS);
    }
  }

  #stop(): void {
    clearInterval(this.#turns);
    this.#turns = undefined;
    this.#keeper.dict.delete(callsOf(this.#keeper.token));
  }
}

function callsOf(token: string): string {
  return `bandwidth:${token}`;
}

/**
 * Rates that several sessions share, in all processes that have the dictionary. What a key may move, its burst included, is divided
 * among the processes by what their sessions use; in each of them they take from one bucket. Nothing is done per session but to
 * join and to leave, and nothing per byte: what there is to do every now and then is done in turns of {@link TURN_BUDGET_MS}.
 */
export class SharedBandwidth {
  readonly #dict: SharedDict;
  readonly #owners: Owners;
  readonly #living: LivingOwners;
  readonly #shares = new Map<Buckets, Shares>();

  constructor(dict: SharedDict, owners: Owners = processOwners) {
    this.#dict = dict;
    this.#owners = owners;
    this.#living = new LivingOwners(owners);
  }

  /** One more session of a key; `buckets`: those of its carrier. What the key has at this moment is there for it, and no more. */
  join(key: string, { up, down }: RelayRates, buckets: Buckets): Membership {
    return this.#sharesOf(buckets).join(
      key,
      bothWays((way) => rateOf(way === "up" ? up : down)),
    );
  }

  #sharesOf(buckets: Buckets): Shares {
    const known = this.#shares.get(buckets);
    if (known) return known;
    const shares = new Shares(buckets, { dict: this.#dict, token: this.#owners.newToken(), living: this.#living });
    this.#shares.set(buckets, shares);
    return shares;
  }
}

function rateOf(rate = Number.POSITIVE_INFINITY): Rate {
  return { rate, burst: burstOf(rate) };
}
