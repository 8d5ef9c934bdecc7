import { machineClock } from "../dict/clock.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import type { Events } from "../events/events.ts";
import { type Lru, lru } from "../lru.ts";
import type { CacheAnswer } from "./cache-answer.ts";

/** A value as a worker keeps it; undefined: it is known that there is none. */
export interface Kept<Value> {
  readonly value: Value | undefined;
  /** Milliseconds of the machine's clock, as of the entry that it comes from: it does not live longer for having been copied. */
  readonly expiresAt: number;
}

/** A value on its way from a callback. */
export interface Loading<Value> {
  readonly answer: Promise<CacheAnswer<Value>>;
}

/** The first level of a cache: values of one worker, and what it is fetching now. All caches of one name and dictionary share it. */
export class Level1<Value> {
  readonly #kept: Lru<Kept<Value>>;
  readonly #loading = new Map<string, Loading<Value>>();
  #isTold = false;

  constructor(kept: Lru<Kept<Value>>) {
    this.#kept = kept;
  }

  get capacity(): number {
    return this.#kept.capacity();
  }

  /** What is not too old. */
  find(key: string): Kept<Value> | undefined {
    const { value: kept } = this.#kept.get(key);
    return kept !== undefined && kept.expiresAt > machineClock() ? kept : undefined;
  }

  keep(key: string, kept: Kept<Value>): void {
    this.#kept.set(key, kept);
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
    if (this.#isTold) return;
    this.#isTold = true;
    events.subscribe(topic, (key) => (typeof key === "string" ? this.forget(key) : this.forgetAll()));
    events.onLost(() => this.forgetAll());
  }
}

/** The first levels of this process. They belong to the dictionary of their cache. */
const levels = new WeakMap<SharedDict, Map<string, Level1<unknown>>>();

/** The first level of a cache; a reload that changes its size makes a new one. */
export function level1Of<Value>(dict: SharedDict, name: string, size: number): Level1<Value> {
  const ofDict = levels.get(dict) ?? new Map<string, Level1<unknown>>();
  levels.set(dict, ofDict);
  const known = ofDict.get(name);
  // What is in a cache is what its user says that it is, here as in the dictionary.
  if (known?.capacity === size) return known as Level1<Value>;
  const made = new Level1(lru<Kept<Value>>(size));
  ofDict.set(name, made as Level1<unknown>);
  return made;
}
