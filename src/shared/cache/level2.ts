import { randomBytes } from "node:crypto";
import { setImmediate as afterOthers } from "node:timers/promises";
import { machineClock } from "../dict/clock.ts";
import type { DictValue, SharedDict } from "../dict/shared-dict.ts";
import { decodeEntry, type Entry, encodeEntry } from "./entry.ts";

/** A key that was deleted is marked for so long: what a callback that ran meanwhile brings is too old. */
const MARK_MS = 60_000;

/** Bytes of a mark, and of what tells the time before a purge from the time after. */
const MARK_BYTES = 6;

/** Where a cache keeps what all workers share. */
export interface Level2Options {
  readonly name: string;
  readonly dict: SharedDict;
  /** For keys without a value; the same as `dict` by default. */
  readonly missDict: SharedDict;
  readonly setTries: number;
}

/**
 * What stood at a key before a callback was called; only what still stands there is replaced by what the callback brings. With two
 * dictionaries `dict` alone decides: every `set` and `delete` changes what stands there.
 */
export interface Before {
  readonly place: string;
  readonly hit: DictValue | undefined;
  readonly miss: DictValue | undefined;
}

/** `outdated`: somebody has set or deleted the key meanwhile. */
export type StoredEntry = "stored" | "outdated" | "no memory";

/** The second level of a cache: entries in a dictionary. */
export class Level2 {
  readonly #options: Level2Options;
  readonly #prefix: string;

  constructor(options: Level2Options) {
    this.#options = options;
    this.#prefix = `cache:${options.name}:`;
  }

  /** What is known of a key, however old. */
  find(key: string): Entry | undefined {
    const { dict, missDict } = this.#options;
    const place = this.#place(key);
    const found = decodeEntry(dict.getStale(place)?.value);
    if (found || missDict === dict) return found;
    return decodeEntry(missDict.getStale(place)?.value);
  }

  before(key: string): Before {
    const { dict, missDict } = this.#options;
    const place = this.#place(key);
    return { place, hit: dict.get(place), miss: missDict.get(place) };
  }

  /** Stores what a callback has brought, unless something has happened to the key since `before`. */
  replace(before: Before, entry: Entry): StoredEntry {
    const { dict, missDict } = this.#options;
    if (entry.payload || missDict === dict) {
      const stored = this.#swap(dict, { ...before, old: before.hit }, entry);
      if (stored === "stored" && missDict !== dict) missDict.cas(before.place, before.miss, undefined);
      return stored;
    }
    return this.#replaceByMiss(before, entry);
  }

  /**
   * What is in `dict` goes before what is in `missDict`, so a `set` in any moment of this is what is found; what was written here
   * beside it goes again, so that it does not come to light when that value is gone.
   */
  #replaceByMiss({ place, hit, miss }: Before, entry: Entry): StoredEntry {
    const { dict, missDict } = this.#options;
    const hides = decodeEntry(hit) !== undefined; // a value that is too old; a mark of `delete` stays
    if (!(hides ? dict.cas(place, hit, undefined) : isSame(dict.get(place), hit))) return "outdated";
    const stored = this.#swap(missDict, { place, old: miss }, entry);
    if (stored !== "stored" || isSame(dict.get(place), hides ? undefined : hit)) return stored;
    missDict.cas(place, encodeEntry(entry), undefined);
    return "outdated";
  }

  #swap(own: SharedDict, { place, old }: { place: string; old: DictValue | undefined }, entry: Entry): StoredEntry {
    const options = { ttlMs: lifetimeMs(entry) };
    const bytes = encodeEntry(entry);
    for (let tries = 0; tries < this.#options.setTries; tries++) {
      if (own.cas(place, old, bytes, options)) return "stored";
      if (!isSame(own.get(place), old)) return "outdated";
    }
    return "no memory";
  }

  /** Stores whatever was there. */
  set(key: string, entry: Entry): StoredEntry {
    const { dict, missDict, setTries } = this.#options;
    const place = this.#place(key);
    const own = entry.payload ? dict : missDict;
    if (missDict !== dict && entry.payload) missDict.delete(place);
    else if (missDict !== dict) dict.set(place, newMark(), { ttlMs: MARK_MS });
    for (let tries = 0; tries < setTries; tries++) {
      if (own.set(place, encodeEntry(entry), { ttlMs: lifetimeMs(entry) }).ok) return "stored";
    }
    own.delete(place);
    return "no memory";
  }

  delete(key: string): void {
    const { dict, missDict } = this.#options;
    const place = this.#place(key);
    const mark = newMark();
    dict.set(place, mark, { ttlMs: MARK_MS });
    if (missDict !== dict) missDict.set(place, mark, { ttlMs: MARK_MS });
  }

  /** From now on nothing is known. Resolves when the memory of it is free, too; others are let in between. */
  async purge(): Promise<void> {
    const { dict, missDict } = this.#options;
    const before = `${this.#prefix}${this.#age()}:`;
    dict.set(`${this.#prefix}age`, newMark());
    for (const each of new Set([dict, missDict])) {
      for (let cursor: number | undefined = 0; cursor !== undefined; ) {
        const { keys, cursor: next } = each.scan({ prefix: before, ...(cursor > 0 && { cursor }) });
        for (const key of keys) each.delete(key);
        cursor = next;
        await afterOthers();
      }
    }
  }

  /** Keys have the age of their cache in their names: after a purge nobody finds the old ones any more. */
  #place(key: string): string {
    return `${this.#prefix}${this.#age()}:${key}`;
  }

  #age(): DictValue {
    const { dict } = this.#options;
    const name = `${this.#prefix}age`;
    const age = dict.get(name);
    if (age !== undefined) return age;
    dict.add(name, newMark());
    return dict.get(name) ?? "none";
  }
}

function newMark(): string {
  return randomBytes(MARK_BYTES).toString("base64url");
}

/** A dictionary keeps what has expired as long as it has room; so long at least it is kept anyway. */
function lifetimeMs({ staleUntil }: Entry): number {
  return staleUntil === Number.POSITIVE_INFINITY ? 0 : Math.max(staleUntil - machineClock(), 1);
}

function isSame(value: DictValue | undefined, other: DictValue | undefined): boolean {
  if (value instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(value, other) === 0;
  return value === other;
}
