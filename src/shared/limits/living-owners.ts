import { hasOwnerEnded, newToken } from "../lock/owner.ts";

/** To ask the system whether a process lives costs more than all else here: the answer is good for so long, but where it decides. */
const LIVING_MS = 1_000;

/** Names of the dead that are kept; when there are more, all are asked about anew. */
const MAX_DEAD = 1_000;

/** Tells processes apart, and who of them is dead. */
export interface Owners {
  newToken(): string;
  hasOwnerEnded(token: string): boolean;
}

/** The owners of this machine: its processes. */
export const processOwners: Owners = { newToken, hasOwnerEnded };

/** Remembers for a while which owners live, and for good which are dead. */
export class LivingOwners {
  readonly #owners: Owners;
  readonly #dead = new Set<string>();
  readonly #living = new Set<string>();
  #livingSince = 0;

  constructor(owners: Owners) {
    this.#owners = owners;
  }

  /** Whoever is asked about from now on is asked himself, if it is long ago that somebody was, or `as` says so. */
  refresh(as: "known" | "asked now"): void {
    const now = performance.now();
    if (as === "known" && now - this.#livingSince <= LIVING_MS) return;
    this.#living.clear();
    this.#livingSince = now;
  }

  hasEnded(token: string): boolean {
    if (this.#living.has(token)) return false;
    if (this.#dead.has(token)) return true;
    const hasEnded = this.#owners.hasOwnerEnded(token);
    if (this.#dead.size >= MAX_DEAD) this.#dead.clear();
    (hasEnded ? this.#dead : this.#living).add(token);
    return hasEnded;
  }
}
