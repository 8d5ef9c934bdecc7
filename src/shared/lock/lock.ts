import { GatewayError } from "../../errors.ts";
import { machineClock } from "../dict/clock.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import { newToken } from "./owner.ts";
import { tryTurn, waitTurn, wake } from "./queue.ts";
import { left, prolonged, type Turn } from "./record.ts";
import { LockStore } from "./store.ts";

/** lua-resty-lock's defaults. */
export const LOCK_TIMEOUT_MS = 5_000;
export const LOCK_EXPTIME_MS = 30_000;

/** The longest time that Node's timers take. */
const MAX_MS = 2_147_483_647;

/** How a lock is taken. */
export interface LockOptions {
  /** How long to wait for it at most; 0: one try, without waiting. Default 5,000. */
  readonly timeoutMs?: number | undefined;
  /** How long it is held at most, from when it is given: then the next one has it. Default 30,000. */
  readonly exptimeMs?: number | undefined;
  /** When it aborts, the wait ends with its reason; when the lock is held by then, it is let go. Like `session.signal`. */
  readonly signal?: AbortSignal | undefined;
}

/** What `unlock` and `expire` answer, in the words of lua-resty-lock. `unlocked`: it was not held any more. */
export type LeaseAnswer =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "unlocked" };

/** A lock that is held, until it is let go, its time is over, or its process has ended. */
export interface Lease extends Disposable, AsyncDisposable {
  readonly key: string;
  /** Nobody else ever has the same: for whoever must know which owner wrote last. */
  readonly token: string;
  /** Milliseconds that the wait took. */
  readonly elapsedMs: number;
  /** False: its time is over, or it was let go. */
  readonly isHeld: boolean;
  /** Lets the lock go; the end of `await using` does the same. Never takes it from another owner. */
  unlock(): LeaseAnswer;
  /** Holds it for `exptimeMs` from now; absent: as long as it was taken for. */
  expire(exptimeMs?: number): LeaseAnswer;
}

/**
 * Holds `key` across all workers until the lease is disposed of or `exptimeMs` passes: `await using lease = await lock(dict, key)`.
 * Who asked first has it first; the lock of a process that ends is given on within a second. Any phase that may await.
 * OpenResty: `resty.lock`. @throws GatewayError `RC_LOCK_TIMEOUT`, TypeError for wrong arguments
 */
export async function lock(dict: SharedDict, key: string, options: LockOptions = {}): Promise<Lease> {
  if (!dict) throw new TypeError("dictionary not found");
  const { timeoutMs = LOCK_TIMEOUT_MS, exptimeMs = LOCK_EXPTIME_MS, signal } = checked(key, options);
  signal?.throwIfAborted();
  const begun = performance.now();
  const store = new LockStore(dict, key);
  const turn = { token: newToken(), exptimeMs };
  if (timeoutMs > 0) await waitTurn(store, turn, { timeoutMs, signal });
  else if (!tryTurn(store, turn)) throw new GatewayError("RC_LOCK_TIMEOUT", key);
  const lease = new OwnedLease(store, turn, Math.round(performance.now() - begun), signal);
  if (signal?.aborted) lease.unlock(); // in the moment between being given and being had
  signal?.throwIfAborted();
  return lease;
}

/** The same in one try; undefined: another one has it. */
export function tryLock(dict: SharedDict, key: string, exptimeMs: number): Lease | undefined {
  const store = new LockStore(dict, key);
  const turn = { token: newToken(), exptimeMs };
  return tryTurn(store, turn) ? new OwnedLease(store, turn, 0, undefined) : undefined;
}

class OwnedLease implements Lease {
  readonly elapsedMs: number;
  readonly #store: LockStore;
  readonly #turn: Turn;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = (): void => void this.unlock();

  constructor(store: LockStore, turn: Turn, elapsedMs: number, signal: AbortSignal | undefined) {
    this.#store = store;
    this.#turn = turn;
    this.elapsedMs = elapsedMs;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get key(): string {
    return this.#store.key;
  }

  get token(): string {
    return this.#turn.token;
  }

  get isHeld(): boolean {
    const record = this.#store.read();
    return record?.owner === this.token && record.expiresAt > machineClock();
  }

  unlock(): LeaseAnswer {
    this.#signal?.removeEventListener("abort", this.#onAbort);
    const { isHeld } = this;
    this.#store.step((record, moment) => left(record, this.token, moment));
    wake(this.#store);
    return isHeld ? { ok: true } : { err: "unlocked" };
  }

  expire(exptimeMs: number = this.#turn.exptimeMs): LeaseAnswer {
    checkedMs("exptimeMs", exptimeMs, 1);
    const after = this.#store.step((record, moment) => prolonged(record, { token: this.token, exptimeMs }, moment));
    return after?.owner === this.token && after.expiresAt > machineClock() ? { ok: true } : { err: "unlocked" };
  }

  [Symbol.dispose](): void {
    this.unlock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unlock();
  }
}

function checked(key: unknown, options: LockOptions): LockOptions {
  if (key === undefined || key === null) throw new TypeError("nil key");
  if (key === "") throw new TypeError("empty key");
  if (options.timeoutMs !== undefined) checkedMs("timeoutMs", options.timeoutMs, 0);
  if (options.exptimeMs !== undefined) checkedMs("exptimeMs", options.exptimeMs, 1);
  return options;
}

function checkedMs(name: string, ms: number, min: number): void {
  if (ms >= min && ms <= MAX_MS) return;
  throw new TypeError(`${name}: expected a number of milliseconds from ${min} to ${MAX_MS}, got ${ms}`);
}
