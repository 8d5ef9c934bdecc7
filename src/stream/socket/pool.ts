import type { Outgoing } from "./outgoing.ts";

/** A place for one connection, with the idle one that takes it; without one the caller may open a new one. */
export type Grant =
  | { readonly slot: Slot; readonly connection: Outgoing | undefined; readonly err?: undefined }
  | { readonly err: string; readonly slot?: undefined; readonly connection?: undefined };

/** How many connections a pool may have. */
export interface PoolSize {
  readonly size: number;
  /** How many connects may wait for one of `size` places; undefined: places are unlimited, and `size` counts idle ones only. */
  readonly backlog: number | undefined;
}

/** How long a connect may wait for a place. */
export interface WaitInPool {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/** One connection's place in a pool while it is opened or used; a connection outside of any pool has one as well. */
export class Slot {
  #leave: (() => void) | undefined;

  constructor(leave?: () => void) {
    this.#leave = leave;
  }

  /** Gives the place to whoever waits for it. Harmless when called again. */
  release(): void {
    const leave = this.#leave;
    this.#leave = undefined;
    leave?.();
  }
}

/**
 * The connections that are used for the same thing: idle ones, of which the last returned is the first taken, and a count of
 * those in use. With a backlog, connects beyond its size wait in line. OpenResty: the pool of `connect` and `setkeepalive`.
 */
export class Pool {
  readonly #limits: PoolSize;
  readonly #onEmpty: () => void;
  readonly #idle: Outgoing[] = [];
  readonly #waiting = new Set<(grant: Grant) => void>();
  #inUse = 0;

  constructor(limits: PoolSize, onEmpty: () => void) {
    this.#limits = limits;
    this.#onEmpty = onEmpty;
  }

  /** A place at once, or in its turn, or why there is none. */
  acquire(limits: WaitInPool): Grant | Promise<Grant> {
    const grant = this.#grant();
    if (grant) return grant;
    if (this.#waiting.size >= (this.#limits.backlog ?? 0)) return { err: "too many waiting connect operations" };
    return this.#wait(limits);
  }

  /** Takes a connection back, and its place with it. */
  keep(connection: Outgoing, idleMs: number, slot: Slot): void {
    connection.rest(idleMs, () => this.#drop(connection));
    this.#idle.push(connection);
    slot.release(); // of this pool, or of another one
    this.#settle();
  }

  /** Closes what is idle. */
  clear(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
    this.#settle();
  }

  #grant(): Grant | undefined {
    const connection = this.#idle.pop();
    const { size, backlog } = this.#limits;
    if (!connection && backlog !== undefined && this.#inUse >= size) return undefined;
    connection?.wake();
    this.#inUse++;
    const slot = new Slot(() => {
      this.#inUse--;
      this.#settle();
    });
    return { slot, connection };
  }

  #wait({ timeoutMs, signal }: WaitInPool): Promise<Grant> {
    return new Promise((resolve) => {
      const settle = (grant: Grant): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", abort);
        this.#waiting.delete(settle);
        resolve(grant);
      };
      const abort = (): void => settle({ err: "aborted" });
      const timer = setTimeout(() => settle({ err: "timeout" }), timeoutMs);
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiting.add(settle);
    });
  }

  #drop(connection: Outgoing): void {
    const at = this.#idle.indexOf(connection);
    if (at === -1) return;
    this.#idle.splice(at, 1);
    connection.close();
    this.#settle();
  }

  /** After a change: who waits is served, idle ones beyond the size go, the longest idle first, and an empty pool goes too. */
  #settle(): void {
    for (const serve of this.#waiting) {
      const grant = this.#grant();
      if (!grant) break;
      serve(grant);
    }
    while (this.#idle.length > this.#limits.size) this.#idle.shift()?.close();
    if (this.#inUse + this.#idle.length + this.#waiting.size === 0) this.#onEmpty();
  }
}
