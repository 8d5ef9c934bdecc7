import { GatewayError } from "../../errors.ts";
import { machineClock } from "../dict/clock.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import { asked, isWaiting, type LockRecord, left, MAX_WAITING, settled, type Turn, waitingTokens } from "./record.ts";
import type { LockStore } from "./store.ts";

/** A look costs some microseconds. Memory between processes wakes nobody, so those who wait look again and again. */
const MIN_LOOK_MS = 1;
/** While nothing changes, looks become as rare as this; then it takes as long until a waiter sees that the lock is its. */
const MAX_LOOK_MS = 20;
/** Whether all are still there is asked so often: whether the owner's process runs costs a read of /proc. */
const DOUBT_MS = 100;

interface Waiter {
  readonly turn: Turn;
  /** The lock is the waiter's. */
  take(): void;
  fail(cause: unknown): void;
}

/** The waiters of this process for one lock, who look at it together. */
class Queue {
  readonly #store: LockStore;
  readonly #onEmpty: () => void;
  readonly #waiters = new Map<string, Waiter>();
  #timer: NodeJS.Timeout | undefined;
  #seen: unknown;
  #lookMs = MIN_LOOK_MS;
  #doubtAt = 0;
  #expiresAt = 0;

  constructor(store: LockStore, onEmpty: () => void) {
    this.#store = store;
    this.#onEmpty = onEmpty;
  }

  add(waiter: Waiter): void {
    this.#waiters.set(waiter.turn.token, waiter);
    this.#lookMs = MIN_LOOK_MS;
    this.#plan();
  }

  remove(token: string): void {
    this.#waiters.delete(token);
    if (this.#waiters.size === 0) this.#end();
  }

  look(): void {
    const seen = this.#store.peek();
    const isSame = seen === this.#seen;
    const isDoubted = performance.now() >= this.#doubtAt;
    this.#lookMs = isSame ? Math.min(this.#lookMs * 2, MAX_LOOK_MS) : MIN_LOOK_MS;
    this.#seen = seen;
    if (!isSame || isDoubted || machineClock() >= this.#expiresAt) this.#serve(isDoubted);
    this.#plan();
  }

  /** Gives the lock to who has it now, here or elsewhere. */
  #serve(isDoubted: boolean): void {
    try {
      const record = this.#store.step(settled);
      this.#expiresAt = record?.expiresAt ?? 0;
      this.#take(record);
      if (isDoubted) this.#doubtAt = performance.now() + DOUBT_MS;
      if (isDoubted || record === undefined) this.#askAgain(record);
    } catch (cause) {
      for (const waiter of [...this.#waiters.values()]) waiter.fail(cause);
    }
  }

  /** Those whose place in the queue is lost: a dictionary that is short of memory evicts locks, too. */
  #askAgain(record: LockRecord | undefined): void {
    const known = record && waitingTokens(record);
    for (const [token, { turn }] of this.#waiters) {
      if (!known?.has(token)) this.#take(this.#store.step((current, moment) => asked(current, turn, moment)));
    }
  }

  #take(record: LockRecord | undefined): void {
    if (record) this.#waiters.get(record.owner)?.take();
  }

  #plan(): void {
    clearTimeout(this.#timer);
    if (this.#waiters.size > 0) this.#timer = setTimeout(() => this.look(), this.#lookMs);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#onEmpty();
  }
}

/** The queues of this process. They belong to their dictionary, and end with their last waiter. */
const queues = new WeakMap<SharedDict, Map<string, Queue>>();

/** Lets those of this process who wait for the lock look at once, not only at their next time. */
export function wake({ dict, key }: LockStore): void {
  queues.get(dict)?.get(key)?.look();
}

/** How to wait. */
export interface Patience {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Asks for the lock, once; true: it is given. Otherwise nothing has changed. */
export function tryTurn(store: LockStore, turn: Turn): boolean {
  const after = store.step((record, moment) => {
    const now = settled(record, moment);
    return now === undefined ? asked(now, turn, moment) : now;
  });
  if (after?.owner !== turn.token) return false;
  return true;
}

/** Stands in the queue until the lock is given. @throws GatewayError `RC_LOCK_TIMEOUT`, or the reason of the signal */
export async function waitTurn(store: LockStore, turn: Turn, patience: Patience): Promise<void> {
  const after = store.step((record, moment) => asked(record, turn, moment));
  if (after?.owner === turn.token) return;
  if (after && !isWaiting(after, turn.token))
    throw new GatewayError("RC_LOCK_TIMEOUT", `${store.key}: ${MAX_WAITING} wait already`);
  await stand(queueOf(store), store, turn, patience);
}

function queueOf(store: LockStore): Queue {
  const ofDict = queues.get(store.dict) ?? new Map<string, Queue>();
  queues.set(store.dict, ofDict);
  const queue = ofDict.get(store.key) ?? new Queue(store, () => ofDict.delete(store.key));
  ofDict.set(store.key, queue);
  return queue;
}

function stand(queue: Queue, store: LockStore, turn: Turn, { timeoutMs, signal }: Patience): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      queue.remove(turn.token);
    };
    const fail = (cause: unknown): void => {
      end();
      reject(cause);
    };
    const take = (): void => {
      end();
      resolve();
    };
    const abort = (): void => {
      store.step((record, moment) => left(record, turn.token, moment));
      fail(signal?.reason);
      wake(store);
    };
    const timer = setTimeout(() => {
      if (giveUp(store, turn)) fail(new GatewayError("RC_LOCK_TIMEOUT", store.key));
      else take();
    }, timeoutMs);
    signal?.addEventListener("abort", abort, { once: true });
    queue.add({ turn, take, fail });
  });
}

/** False: the lock was given in the last moment. */
function giveUp(store: LockStore, { token }: Turn): boolean {
  const after = store.step((record, moment) => (record?.owner === token ? record : left(record, token, moment)));
  return after?.owner !== token;
}
