import type { DictValue, ListValue, StoreOptions } from "../../../src/shared/dict/shared-dict.ts";

interface Entry {
  readonly value: DictValue | ListValue[];
  readonly expires: number;
  readonly flags: number;
}

/** A dictionary with room for everything, as plain as it can be: what the real one is compared with. */
export class Model {
  readonly entries = new Map<string, Entry>();
  now = 0;

  get(key: string): DictValue | undefined {
    const value = this.live(key)?.value;
    return Array.isArray(value) ? undefined : value;
  }

  live(key: string): Entry | undefined {
    const entry = this.entries.get(key);
    return entry && (entry.expires === 0 || entry.expires > this.now) ? entry : undefined;
  }

  list(key: string): ListValue[] | undefined {
    const value = this.live(key)?.value;
    return Array.isArray(value) ? value : undefined;
  }

  put(key: string, value: DictValue | ListValue[] | undefined, { ttlMs = 0, flags = 0 }: StoreOptions = {}): void {
    if (value === undefined) this.entries.delete(key);
    else this.entries.set(key, { value, expires: ttlMs === 0 ? 0 : this.now + ttlMs, flags });
  }

  /** Another value or time, everything else as it is. */
  change(key: string, change: Partial<Entry>): void {
    const entry = this.live(key);
    if (entry) this.entries.set(key, { ...entry, ...change });
  }
}
