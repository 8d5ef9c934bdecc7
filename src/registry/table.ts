import { MAX_TIMER_MS } from "../codecs/timer.ts";
import type { Change } from "./registry.ts";
import { Watch } from "./watch.ts";

/** Far more than services, certificates and ids need; beyond it somebody registers in a loop. */
export const MAX_KEYS = 100_000;

/** Expired keys are announced at most so late; readers never see them. One pass over all keys costs too much to do for each. */
const SWEEP_MS = 50;

/** A value and its end, in milliseconds of the table's clock; infinity: none. */
export interface Entry {
  readonly value: string;
  readonly expires: number;
}

interface TableOptions {
  /** The clock of `expires`. Default `performance.now`. */
  readonly now?: () => number;
  /** Called with keys whose time was over. Watchers have been told. */
  readonly onExpired?: (keys: readonly string[]) => void;
}

/** What a registry knows at this moment, and who wants to hear of changes: the part that all drivers have in common. */
export class Table {
  readonly #now: () => number;
  readonly #onExpired: (keys: readonly string[]) => void;
  readonly #entries = new Map<string, Entry>();
  readonly #watches = new Set<Watch>();
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor({ now = () => performance.now(), onExpired = () => {} }: TableOptions = {}) {
    this.#now = now;
    this.#onExpired = onExpired;
  }

  get(key: string): string | undefined {
    return this.#live(key)?.value;
  }

  /** A copy that later changes do not touch. */
  list(prefix: string): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    const now = this.#now();
    for (const [key, { value, expires }] of this.#entries) {
      if (expires > now && key.startsWith(prefix)) found.set(key, value);
    }
    return found;
  }

  /** What a caller is answered: see {@link showed}. */
  answer(key: string): string | undefined {
    const value = this.get(key);
    this.showed(key);
    return value;
  }

  /** Likewise for a list. */
  answerAll(prefix: string): ReadonlyMap<string, string> {
    const found = this.list(prefix);
    this.showedAll(found);
    return found;
  }

  /** What a caller is answered: that it goes is news for those who watch it, though they have not read of it yet. */
  showed(key: string): void {
    for (const watch of this.#watches) watch.showed(key);
  }

  /** Likewise for a list. */
  showedAll(keys: ReadonlyMap<string, string>): void {
    for (const watch of this.#watches) watch.showedAll(keys);
  }

  /** All entries, also those whose end has come and that were not swept yet. */
  entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** False: the table is full, and goes on without the key. */
  set(key: string, value: string, expires: number = Number.POSITIVE_INFINITY): boolean {
    const before = this.#live(key);
    if (!before && this.#entries.size >= MAX_KEYS) return false;
    this.#entries.set(key, { value, expires });
    this.#wakeBy(expires);
    if (before?.value !== value) this.#announce({ key, value }, before !== undefined); // a heartbeat is no change
    return true;
  }

  /** Takes what was there before anybody looked, as far as there is room: no change, so nobody is told. */
  load(keys: ReadonlyMap<string, string>): void {
    for (const [key, value] of keys) {
      if (this.#entries.size >= MAX_KEYS) return;
      if (!this.#entries.has(key)) this.#entries.set(key, { value, expires: Number.POSITIVE_INFINITY });
    }
  }

  /** False: there was nothing. */
  delete(key: string): boolean {
    if (!this.#live(key)) return false;
    this.#remove(key);
    return true;
  }

  /** Changes of keys that begin with the prefix, from now on. */
  watch(prefix: string, signal: AbortSignal, onClose: () => void = () => {}): AsyncIterable<Change> {
    const watch = new Watch(prefix, signal, () => {
      if (this.#watches.delete(watch)) onClose();
    });
    if (signal.aborted) onClose();
    else this.#watches.add(watch);
    return watch.changes();
  }

  /** Ends all watches, and forgets everything. */
  close(): void {
    clearTimeout(this.#timer);
    for (const watch of [...this.#watches]) watch.close();
    this.#entries.clear();
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (!entry || entry.expires > this.#now()) return entry;
    this.#remove(key);
    this.#onExpired([key]);
    return undefined;
  }

  #remove(key: string): void {
    this.#entries.delete(key);
    this.#announce({ key, value: undefined }, true);
  }

  #announce(change: Change, wasThere: boolean): void {
    for (const watch of this.#watches) watch.push(change, wasThere);
  }

  /** One timer for all keys, set for the one that expires first. */
  #wakeBy(expires: number): void {
    if (expires >= this.#wakeAt) return;
    this.#wakeAt = expires;
    clearTimeout(this.#timer);
    // An early sweep finds nothing and waits again.
    const delay = Math.min(Math.max(expires - this.#now(), SWEEP_MS), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#sweep(), delay).unref();
  }

  #sweep(): void {
    const now = this.#now();
    const over: string[] = [];
    let next = Number.POSITIVE_INFINITY;
    for (const [key, { expires }] of this.#entries) {
      if (expires <= now) over.push(key);
      else next = Math.min(next, expires);
    }
    for (const key of over) this.#remove(key);
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#wakeBy(next);
    if (over.length > 0) this.#onExpired(over);
  }
}
