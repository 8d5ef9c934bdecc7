/** A lease that is not given back yet. */
export interface OpenLease {
  readonly key: string;
  /** Gives it back; set by whoever hands the lease out. */
  release: () => void;
  older: OpenLease | undefined;
  newer: OpenLease | undefined;
  isOpen: boolean;
}

/**
 * The leases of one limiter by key, in the order in which they were taken: `uncommit` ends the newest, so that neither its `release`
 * nor its signal gives back what is given back already. Chains, since thousands of them may end in any order.
 */
export class OpenLeases {
  readonly #newest = new Map<string, OpenLease>();

  add(key: string): OpenLease {
    const older = this.#newest.get(key);
    const lease: OpenLease = { key, release: () => {}, older, newer: undefined, isOpen: true };
    if (older) older.newer = lease;
    this.#newest.set(key, lease);
    return lease;
  }

  newest(key: string): OpenLease | undefined {
    return this.#newest.get(key);
  }

  /** False: it was ended before. */
  end(lease: OpenLease): boolean {
    if (!lease.isOpen) return false;
    lease.isOpen = false;
    const { key, older, newer } = lease;
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else if (older) this.#newest.set(key, older);
    else this.#newest.delete(key);
    return true;
  }

  endAll(): void {
    for (const newest of this.#newest.values()) {
      for (let lease: OpenLease | undefined = newest; lease; lease = lease.older) lease.isOpen = false;
    }
    this.#newest.clear();
  }
}
