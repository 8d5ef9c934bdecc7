import { machineClock } from "../dict/clock.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import type { Events } from "../events/events.ts";
import { type Lru, lru } from "../lru.ts";
import type { Loading } from "./loading.ts";

/** A value as a worker keeps it; undefined: it is known that there is none. */
export interface Kept<Value> {
  readonly value: Value | undefined;
  /** Milliseconds of the machine's clock, as of the entry that it comes from: it does not live longer for having been copied. */
  readonly expiresAt: number;
}

/** What makes one first level fit for a cache and not for another: how much it keeps, and what its values were made by. */
export interface Level1Kind {
  readonly lruSize: number;
  readonly l1Serializer?: unknown;
}

/** The first level of a cache: values of one worker, and what it is fetching now. All caches of one name, dictionary and kind share it. */
export class Level1<Value> {
  readonly #kind: Level1Kind;
  readonly #kept: Lru<Kept<Value>>;
  readonly #loading = new Map<string, Loading<Value>>();
  #unfollow: (() => void) | undefined;
  #isRetired = false;

  constructor(kind: Level1Kind) {
    this.#kind = kind;
    this.#kept = lru(kind.lruSize);
  }

  isFor({ lruSize, l1Serializer }: Level1Kind): boolean {
    return this.#kind.lruSize === lruSize && this.#kind.l1Serializer === l1Serializer;
  }

  /** What is not too old. */
  find(key: string): Kept<Value> | undefined {
    const { value: kept } = this.#kept.get(key);
    return kept !== undefined && kept.expiresAt > machineClock() ? kept : undefined;
  }

  keep(key: string, kept: Kept<Value>): void {
    if (!this.#isRetired) this.#kept.set(key, kept);
  }

  loadingOf(key: string): Loading<Value> | undefined {
    return this.#loading.get(key);
  }

  begin(key: string, loading: Loading<Value>): void {
    this.#loading.set(key, loading);
  }

  /** False: the key was forgotten meanwhile, and another one may be fetching it. */
  end(key: string, loading: Loading<Value>): boolean {
    if (this.#loading.get(key) !== loading) return false;
    return this.#loading.delete(key);
  }

  /** What is on its way is too old, too. */
  forget(key: string): void {
    this.#kept.delete(key);
    this.#loading.delete(key);
  }

  forgetAll(): void {
    this.#kept.flushAll();
    this.#loading.clear();
  }

  /** Hears, once, what other workers do to the cache; where that may have been lost, nothing that is kept can be trusted. */
  follow(topic: string, events: Pick<Events, "subscribe" | "onLost">): void {
    if (this.#unfollow) return;
    const ends = [
      events.subscribe(topic, (key) => (typeof key === "string" ? this.forget(key) : this.forgetAll())),
      events.onLost(() => this.forgetAll()),
    ];
    this.#unfollow = () => {
      for (const end of ends) end();
    };
  }

  /** Another one has its place: sessions of before a reload still ask it, but it hears of no changes any more, and so keeps nothing. */
  retire(): void {
    this.#isRetired = true;
    this.#unfollow?.();
    this.#kept.flushAll();
  }
}

/** The first levels of this process. They belong to the dictionary of their cache. */
const levels = new WeakMap<SharedDict, Map<string, Level1<unknown>>>();

/** The first level of a cache; a reload that changes its size, or the code that makes its values, begins a new one. */
export function level1Of<Value>(dict: SharedDict, name: string, kind: Level1Kind): Level1<Value> {
  const ofDict = levels.get(dict) ?? new Map<string, Level1<unknown>>();
  levels.set(dict, ofDict);
  const known = ofDict.get(name);
  // What is in a cache is what its user says that it is, here as in the dictionary.
  if (known?.isFor(kind)) return known as Level1<Value>;
  known?.retire();
  const made = new Level1<Value>(kind);
  ofDict.set(name, made as Level1<unknown>);
  return made;
}
