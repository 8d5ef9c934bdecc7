import { MAX_TIMER_MS } from "../codecs/timer.ts";
import type { Change, Registry } from "./registry.ts";
import { Watch } from "./watch.ts";

/** Far more than services, certificates and ids need; beyond it somebody registers in a loop. */
const MAX_KEYS = 100_000;

/** Expired keys are announced at most so late; readers never see them. One pass over all keys costs too much to do for each. */
const SWEEP_MS = 50;

interface Entry {
  readonly value: string;
  readonly expires: number;
}

/** The registry of a gateway that stands alone: same interface and laws as the shared ones, kept in this process only. */
export function memoryRegistry(): Registry {
  return new MemoryRegistry();
}

class MemoryRegistry implements Registry {
  readonly #entries = new Map<string, Entry>();
  readonly #watches = new Set<Watch>();
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Number.POSITIVE_INFINITY;
  #isClosed = false;

  async get(key: string): Promise<string | undefined> {
    this.#mustBeOpen();
    return this.#live(key)?.value;
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    this.#mustBeOpen();
    const found = new Map<string, string>();
    const now = performance.now();
    for (const [key, { value, expires }] of this.#entries) {
      if (expires > now && key.startsWith(prefix)) found.set(key, value);
    }
    return found;
  }

  async put(key: string, value: string, { ttlMs }: { readonly ttlMs?: number } = {}): Promise<void> {
    this.#mustBeOpen();
    if (ttlMs !== undefined && !(ttlMs > 0)) throw new TypeError(`ttlMs: expected more than 0, not ${ttlMs}`);
    const before = this.#live(key);
    if (!before && this.#entries.size >= MAX_KEYS) throw new Error(`registry is full: ${MAX_KEYS} keys`);
    const expires = ttlMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + ttlMs;
    this.#entries.set(key, { value, expires });
    this.#wakeBy(expires);
    if (before?.value !== value) this.#announce({ key, value }); // a heartbeat is no change
  }

  async delete(key: string): Promise<boolean> {
    this.#mustBeOpen();
    if (!this.#live(key)) return false;
    this.#remove(key);
    return true;
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change> {
    this.#mustBeOpen();
    const watch = new Watch(prefix, signal, () => this.#watches.delete(watch));
    if (!signal.aborted) this.#watches.add(watch);
    return watch.changes();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const watch of [...this.#watches]) watch.close();
    this.#entries.clear();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error("registry is closed");
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    if (!entry || entry.expires > performance.now()) return entry;
    this.#remove(key);
    return undefined;
  }

  #remove(key: string): void {
    this.#entries.delete(key);
    this.#announce({ key, value: undefined });
  }

  #announce(change: Change): void {
    for (const watch of this.#watches) watch.push(change);
  }

  /** One timer for all keys, set for the one that expires first. */
  #wakeBy(expires: number): void {
    if (expires >= this.#wakeAt) return;
    this.#wakeAt = expires;
    clearTimeout(this.#timer);
    // An early sweep finds nothing and waits again.
    const delay = Math.min(Math.max(expires - performance.now(), SWEEP_MS), MAX_TIMER_MS);
    this.#timer = setTimeout(() => this.#sweep(), delay).unref();
  }

  #sweep(): void {
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, { expires }] of this.#entries) {
      if (expires <= now) this.#remove(key);
      else next = Math.min(next, expires);
    }
    this.#wakeAt = Number.POSITIVE_INFINITY;
    this.#wakeBy(next);
  }
}
