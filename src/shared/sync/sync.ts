import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import type { Events } from "../events/events.ts";
import { type Lease, tryLock } from "../lock/lock.ts";
import { type Snapshot, SnapshotStore, snapshotOf } from "./snapshot.ts";
import type { SyncSource, VersionedData } from "./source.ts";

/** Between two loads. */
const INTERVAL_MS = 1_000;
/** After failures the interval doubles up to this. */
const MAX_INTERVAL_MS = 30_000;
/** An owner that hangs is replaced after so long; one whose process ends, after `LOOK_MS`. */
const LEASE_MS = 10_000;
/** How often a worker looks whether it is to be the owner, and whether there is something new that nobody told it of. */
const LOOK_MS = 250;
/** How long a source may take, unless it says otherwise. */
const TIMEOUT_MS = 10_000;

/** How data is kept the same. */
export interface SyncOptions {
  readonly dict: SharedDict;
  readonly source: SyncSource;
  /** Tells other workers at once; absent, they see it at their next call, and tell listeners within a quarter of a second. */
  readonly events?: Pick<Events, "publish" | "subscribe"> | undefined;
  /** Between two loads; after failures longer, up to 30 s. Default 1,000. */
  readonly intervalMs?: number | undefined;
  /** When it aborts, this worker ends its part. Mostly `worker.signal`. */
  readonly signal?: AbortSignal | undefined;
  /** Told of loads that failed. Absent, they become warnings of the process. */
  readonly onTrouble?: ((cause: unknown) => void) | undefined;
}

/** A copy of data that is kept elsewhere, the same in all workers. It is whole at any time, and changes as a whole. */
export interface Sync extends AsyncDisposable {
  get(key: string): string | undefined;
  /** All of it, which later versions do not change. */
  data(): ReadonlyMap<string, string>;
  /** The version that the source gave it; undefined: there is no data yet. */
  version(): string | undefined;
  /** When it was stored here, in milliseconds since 1970. */
  lastModified(): number | undefined;
  /** This worker is the one that asks the source. */
  readonly isOwner: boolean;
  /** Calls `listener(data, version)` when another version is there, until the signal aborts or what is returned is called. */
  onChange(listener: SyncListener, options?: { readonly signal?: AbortSignal | undefined }): () => void;
  /** Resolves when there is data; rejects when the signal aborts. */
  ready(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** What hears of another version. */
export type SyncListener = (data: ReadonlyMap<string, string>, version: string) => void;

/**
 * Keeps a copy of data in Redis or Consul in a dictionary, for all workers. One worker asks the source, under a lock that goes to
 * another one when its process ends; a load that fails leaves the data that is there. Call it in `initWorker`.
 * OpenResty: `resty.sync`. @throws TypeError for wrong options
 */
export function sync(name: string, options: SyncOptions): Sync {
  if (typeof name !== "string" || name === "") throw new TypeError("name must be a string");
  if (!((options.intervalMs ?? INTERVAL_MS) > 0)) throw new TypeError("interval must be > 0");
  const copy = new SharedCopy(name, options);
  copy.begin();
  return copy;
}

const NOTHING: ReadonlyMap<string, string> = new Map();

class SharedCopy implements Sync {
  readonly #name: string;
  readonly #options: SyncOptions;
  /** Generations whose sources are not the same have copies of their own. */
  readonly #copyKey: string;
  readonly #store: SnapshotStore;
  readonly #ending = new AbortController();
  readonly #listeners = new Set<{ readonly call: SyncListener }>();
  #snapshot: Snapshot | undefined;
  #running: Promise<void> = Promise.resolve();
  #leave: () => void = () => {};
  #isOwner = false;

  constructor(name: string, options: SyncOptions) {
    this.#name = name;
    this.#options = options;
    this.#copyKey = `sync:${name}:${options.source.id}`;
    this.#store = new SnapshotStore(options.dict, this.#copyKey);
  }

  get isOwner(): boolean {
    return this.#isOwner;
  }

  begin(): void {
    const { events, signal } = this.#options;
    const end = (): void => this.#ending.abort();
    const unsubscribe = events?.subscribe(`sync:${this.#name}`, () => void this.#current());
    signal?.addEventListener("abort", end, { once: true });
    if (signal?.aborted) end();
    this.#leave = () => {
      unsubscribe?.();
      signal?.removeEventListener("abort", end);
    };
    this.#ending.signal.addEventListener("abort", this.#leave, { once: true });
    this.#running = this.#run();
  }

  get(key: string): string | undefined {
    return this.#current()?.entries.get(key);
  }

  data(): ReadonlyMap<string, string> {
    return this.#current()?.entries ?? NOTHING;
  }

  version(): string | undefined {
    return this.#current()?.version;
  }

  lastModified(): number | undefined {
    return this.#current()?.modifiedAt;
  }

  onChange(listener: SyncListener, { signal }: { readonly signal?: AbortSignal | undefined } = {}): () => void {
    const own = { call: listener };
    const remove = (): void => {
      this.#listeners.delete(own);
      signal?.removeEventListener("abort", remove);
    };
    if (signal?.aborted) return remove;
    this.#listeners.add(own);
    signal?.addEventListener("abort", remove, { once: true });
    return remove;
  }

  async ready({ signal = this.#ending.signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    while (this.#current() === undefined) {
      this.#ending.signal.throwIfAborted();
      await sleep(LOOK_MS / 10, undefined, { signal });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  /** One look into the dictionary tells whether there is something new. What was evicted is still here. */
  #current(): Snapshot | undefined {
    const mark = this.#store.mark;
    if (mark === undefined || mark === this.#snapshot?.mark) return this.#snapshot;
    const next = this.#store.read();
    if (next === undefined || next.mark === this.#snapshot?.mark) return this.#snapshot;
    this.#snapshot = next;
    for (const { call } of [...this.#listeners]) this.#tell(call, next);
    return next;
  }

  #tell(listener: SyncListener, { entries, version }: Snapshot): void {
    try {
      listener(entries, version);
    } catch (cause) {
      this.#trouble(cause);
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      const lease = this.#tryLease();
      if (lease) await this.#own(lease);
      else this.#current();
      await this.#pause(LOOK_MS);
    }
  }

  #tryLease(): Lease | undefined {
    try {
      return tryLock(this.#options.dict, this.#copyKey, LEASE_MS);
    } catch (cause) {
      this.#trouble(cause);
      return undefined;
    }
  }

  /** Loads until the lease is lost, or this worker ends. */
  async #own(lease: Lease): Promise<void> {
    const owning = new AbortController();
    const stop = (): void => owning.abort();
    this.#ending.signal.addEventListener("abort", stop, { once: true });
    const timer = setInterval(() => this.#renew(lease) || stop(), LOOK_MS).unref();
    this.#isOwner = true;
    try {
      for (let failures = 0; !owning.signal.aborted; ) {
        failures = (await this.#load(lease, owning.signal)) ? 0 : failures + 1;
        await this.#pause(this.#intervalMs(failures), owning.signal);
      }
    } finally {
      this.#isOwner = false;
      clearInterval(timer);
      this.#ending.signal.removeEventListener("abort", stop);
      lease.unlock();
    }
  }

  /** False: another worker is the owner, or may be. */
  #renew(lease: Lease): boolean {
    try {
      if (lease.expire().err) return false;
      this.#restore();
      return true;
    } catch (cause) {
      this.#trouble(cause);
      return false;
    }
  }

  /** What was evicted comes back, so that workers that start later find it. */
  #restore(): void {
    if (this.#snapshot && !this.#store.isThere) this.#store.write(this.#snapshot);
  }

  /** False: it failed. */
  async #load(lease: Lease, signal: AbortSignal): Promise<boolean> {
    const { source } = this.#options;
    using limit = limited(signal, source.timeoutMs ?? TIMEOUT_MS);
    try {
      const known = this.#current()?.version;
      const data = await Promise.race([source.load(known, limit.signal), limit.ended]);
      if (data !== undefined && lease.isHeld) this.#swap(data);
      return true;
    } catch (cause) {
      if (!signal.aborted) this.#trouble(cause);
      return false;
    }
  }

  #swap(data: VersionedData): void {
    if (!this.#store.write(snapshotOf(data))) {
      if (this.#snapshot) this.#store.write(this.#snapshot);
      throw new Error(`sync ${this.#name}: no memory for version ${data.version}`);
    }
    this.#current();
    this.#options.events?.publish("others", `sync:${this.#name}`);
  }

  /** Half of a longer one is random: gateways that lose their source together must not come back to it together. */
  #intervalMs(failures: number): number {
    const { intervalMs = INTERVAL_MS } = this.#options;
    if (failures === 0) return intervalMs;
    const longMs = Math.min(intervalMs * 2 ** Math.min(failures, 16), Math.max(MAX_INTERVAL_MS, intervalMs));
    return longMs * (0.5 + Math.random() / 2);
  }

  async #pause(ms: number, signal: AbortSignal = this.#ending.signal): Promise<void> {
    await sleep(ms, undefined, { signal, ref: false }).catch(() => {}); // it only ends earlier
  }

  #trouble(cause: unknown): void {
    const { onTrouble } = this.#options;
    if (onTrouble) onTrouble(cause);
    else process.emitWarning(`sync ${this.#name}: ${messageOf(cause)}`);
  }
}

/** A signal that aborts with another one, or when the time is over. (`AbortSignal.any` leaks on Node 20.) */
function limited(signal: AbortSignal, ms: number) {
  const controller = new AbortController();
  const follow = (): void => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(new Error(`no answer within ${ms} ms`)), ms);
  signal.addEventListener("abort", follow, { once: true });
  if (signal.aborted) follow();
  const ended = new Promise<never>((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
    if (controller.signal.aborted) reject(controller.signal.reason);
  });
  return {
    signal: controller.signal,
    ended,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", follow);
    },
  };
}
