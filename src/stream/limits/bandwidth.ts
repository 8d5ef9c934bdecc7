import type { SharedDict } from "../../shared/dict/shared-dict.ts";
import { Leases } from "../../shared/limits/leases.ts";
import type { RelayRates } from "../throttle.ts";
import { divide, type Use } from "./shares.ts";

/** How often the rate of a key is divided anew by what its sessions use … */
const MEASURE_MS = 1_000;

/** … and how soon after one has come or gone: many may come at once, and one division is enough for them. */
const SOON_MS = 100;

/** A relay as what divides a rate sees it. */
export interface Flowing {
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** One session's part of a key's rate. */
class Member {
  readonly #flowing: Flowing;
  readonly #apply: (rates: RelayRates) => void;
  #seen: Flowing = { bytesUp: 0, bytesDown: 0 };
  rates: RelayRates = {};
  /** Bytes per second in the last whole measure; undefined where there was none. */
  moved: RelayRates = {};

  constructor(flowing: Flowing, apply: (rates: RelayRates) => void) {
    this.#flowing = flowing;
    this.#apply = apply;
  }

  measure(seconds: number): void {
    const { bytesUp, bytesDown } = this.#flowing;
    this.moved = { up: (bytesUp - this.#seen.bytesUp) / seconds, down: (bytesDown - this.#seen.bytesDown) / seconds };
    this.#seen = { bytesUp, bytesDown };
  }

  use(way: "up" | "down"): Use {
    return { moved: this.moved[way], allowed: this.rates[way] ?? 0 };
  }

  set(rates: RelayRates): void {
    if (rates.up === this.rates.up && rates.down === this.rates.down) return;
    this.rates = rates;
    this.#apply(rates);
  }
}

/** The sessions of this process that share the rate of one key. */
interface Group {
  readonly members: Set<Member>;
  rates: RelayRates;
}

/**
 * Rates that several sessions share. Each worker has a part of a key's rate by how many of the key's sessions it has, and
 * divides that among them: equally when one comes or goes, then every second by what they use.
 */
export class SharedBandwidth {
  readonly #groups = new Map<string, Group>();
  readonly #changed = new Set<Group>();
  readonly #leases: Leases;
  #ticks: NodeJS.Timeout | undefined;
  #soon: NodeJS.Timeout | undefined;
  #measuredAt = 0;

  /** `dict`: tells the workers how many sessions of a key each of them has. */
  constructor(dict: SharedDict) {
    this.#leases = new Leases(dict);
  }

  /** One more session of a key. `apply` is called with its part of the rate, now and whenever that changes. Returns how it leaves. */
  join(key: string, rates: RelayRates, flowing: Flowing, apply: (rates: RelayRates) => void): () => void {
    const group = this.#groups.get(key) ?? { members: new Set(), rates };
    group.rates = rates;
    this.#groups.set(key, group);
    const member = new Member(flowing, apply);
    group.members.add(member);
    this.#leases.take(key, Number.POSITIVE_INFINITY);
    const inAll = Math.max(this.#leases.count(key), group.members.size);
    member.set({ up: partOf(rates.up, 1 / inAll), down: partOf(rates.down, 1 / inAll) });
    this.#divideSoon(group);
    this.#tick();
    return () => this.#leave(key, group, member);
  }

  #leave(key: string, group: Group, member: Member): void {
    if (!group.members.delete(member)) return;
    this.#leases.give(key);
    if (group.members.size > 0) this.#divideSoon(group);
    else this.#groups.delete(key);
    if (this.#groups.size > 0) return;
    clearInterval(this.#ticks);
    this.#ticks = undefined;
  }

  #divideSoon(group: Group): void {
    this.#changed.add(group);
    this.#soon ??= setTimeout(() => this.#divideChanged(), SOON_MS).unref();
  }

  #divideChanged(): void {
    this.#soon = undefined;
    for (const [key, group] of this.#groups) {
      if (!this.#changed.has(group)) continue;
      for (const member of group.members) member.moved = {};
      this.#divide(key, group);
    }
    this.#changed.clear();
  }

  #tick(): void {
    if (this.#ticks) return;
    this.#measuredAt = performance.now();
    this.#ticks = setInterval(() => this.#measure(), MEASURE_MS).unref();
  }

  #measure(): void {
    const now = performance.now();
    const seconds = (now - this.#measuredAt) / 1_000;
    this.#measuredAt = now;
    for (const [key, group] of this.#groups) {
      for (const member of group.members) member.measure(seconds);
      this.#divide(key, group);
    }
  }

  #divide(key: string, { members, rates }: Group): void {
    const all = [...members];
    const part = all.length / Math.max(this.#leases.count(key), all.length);
    const ups = sharesOf(
      partOf(rates.up, part),
      all.map((member) => member.use("up")),
    );
    const downs = sharesOf(
      partOf(rates.down, part),
      all.map((member) => member.use("down")),
    );
    for (const [at, member] of all.entries()) member.set({ up: ups[at], down: downs[at] });
  }
}

function partOf(rate: number | undefined, part: number): number | undefined {
  return rate === undefined ? undefined : rate * part;
}

function sharesOf(rate: number | undefined, uses: readonly Use[]): readonly number[] {
  return rate === undefined ? [] : divide(rate, uses);
}
