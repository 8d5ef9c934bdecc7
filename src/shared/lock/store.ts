import { GatewayError } from "../../errors.ts";
import { machineClock } from "../dict/clock.ts";
import type { SharedDict } from "../dict/shared-dict.ts";
import { hasOwnerEnded } from "./owner.ts";
import { decodeRecord, encodeRecord, type LockRecord, type Moment } from "./record.ts";

/** Locks have names of their own: a lock for what a key holds may be called like the key. */
const PREFIX = "lock:";

/** A lock that nobody looks at any more leaves the dictionary so long after its time; those who wait look more often. */
const GRACE_MS = 1_000;

/** One lock in a dictionary. Each step is a single `cas`, so that a process that is killed leaves no step half done. */
export class LockStore {
  readonly key: string;
  readonly #dict: SharedDict;
  readonly #name: string;

  constructor(dict: SharedDict, key: string) {
    this.#dict = dict;
    this.key = key;
    this.#name = PREFIX + key;
  }

  get dict(): SharedDict {
    return this.#dict;
  }

  /** What the dictionary holds now, to tell whether it has changed. */
  peek(): unknown {
    return this.#dict.get(this.#name);
  }

  read(): LockRecord | undefined {
    return this.#decoded(this.peek());
  }

  /** Takes a step, again as long as others are quicker. @throws GatewayError `RC_LOCK_TIMEOUT` when the dictionary is full */
  step(next: (record: LockRecord | undefined, moment: Moment) => LockRecord | undefined): LockRecord | undefined {
    for (;;) {
      const text = this.#dict.get(this.#name);
      const record = this.#decoded(text);
      const now = machineClock();
      const after = next(record, { now, hasEnded: hasOwnerEnded });
      if (after === record) return after;
      const ttlMs = after ? Math.max(after.expiresAt - now, 0) + GRACE_MS : 0;
      if (this.#dict.cas(this.#name, text, after && encodeRecord(after), { ttlMs })) return after;
      if (this.#dict.get(this.#name) === text) throw new GatewayError("RC_LOCK_TIMEOUT", `${this.key}: no memory`);
    }
  }

  #decoded(text: unknown): LockRecord | undefined {
    return text === undefined ? undefined : decodeRecord(text, this.#name);
  }
}
