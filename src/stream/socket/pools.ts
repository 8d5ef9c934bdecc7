import type { Outgoing } from "./outgoing.ts";
import { type Grant, Pool, type PoolSize, Slot, type WaitInPool } from "./pool.ts";

/** What the user said about the pool of a socket; nothing: there is none before a connection is kept. */
export interface PoolWish {
  readonly size: number | undefined;
  readonly backlog: number | undefined;
}

/** OpenResty: `lua_socket_pool_size`. */
export const DEFAULT_POOL_SIZE = 30;

/** A process's pools by key. A pool keeps the size that it was made with, and goes with its last connection. */
export class Pools {
  readonly #pools = new Map<string, Pool>();
  #isClosed = false;

  /** An idle connection, or a place to open one; waits for it where the pool has a backlog. */
  acquire(key: string, { size, backlog }: PoolWish, limits: WaitInPool): Grant | Promise<Grant> {
    const isWanted = size !== undefined || backlog !== undefined;
    const pool =
      this.#pools.get(key) ?? (isWanted ? this.#create(key, { size: size ?? DEFAULT_POOL_SIZE, backlog }) : undefined);
    return pool ? pool.acquire(limits) : { slot: new Slot(), connection: undefined };
  }

  /** Keeps a connection for the next one who asks for this key. */
  keep(key: string, connection: Outgoing, { slot, idleMs, size = DEFAULT_POOL_SIZE }: Keeping): void {
    if (this.#isClosed) {
      connection.close();
      slot.release();
      return;
    }
    const pool = this.#pools.get(key) ?? this.#create(key, { size, backlog: undefined });
    pool.keep(connection, idleMs, slot);
  }

  /** The process is about to end: idle connections are closed, and so is whatever would be kept from now on. */
  close(): void {
    this.#isClosed = true;
    for (const pool of [...this.#pools.values()]) pool.clear();
  }

  #create(key: string, limits: PoolSize): Pool {
    const pool: Pool = new Pool(limits, () => {
      if (this.#pools.get(key) === pool) this.#pools.delete(key);
    });
    this.#pools.set(key, pool);
    return pool;
  }
}

/** How a connection is kept. */
export interface Keeping {
  readonly slot: Slot;
  /** 0: for ever. */
  readonly idleMs: number;
  readonly size: number | undefined;
}

/** Pools are the process's, as OpenResty's are the worker's: whoever connects finds what somebody else has left. */
export const pools: Pools = new Pools();
