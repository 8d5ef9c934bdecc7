import { randomBytes } from "node:crypto";
import type { SharedDict } from "../dict/shared-dict.ts";
import type { VersionedData } from "./source.ts";

/** Bytes of a mark. */
const MARK_BYTES = 6;

/** Data as all workers have it. */
export interface Snapshot extends VersionedData {
  /** When it was stored, in milliseconds since 1970. */
  readonly modifiedAt: number;
  /** No other snapshot has it. */
  readonly mark: string;
}

/** Adds what a snapshot has besides its data. */
export function snapshotOf(data: VersionedData): Snapshot {
  const { version, entries } = data;
  return { version, entries, modifiedAt: Date.now(), mark: randomBytes(MARK_BYTES).toString("base64url") };
}

/** One snapshot in a dictionary: a single value, so that nobody ever sees half of it; and its mark, to tell whether it is another one. */
export class SnapshotStore {
  readonly #dict: SharedDict;
  readonly #key: string;
  readonly #markKey: string;

  constructor(dict: SharedDict, key: string) {
    this.#dict = dict;
    this.#key = `${key}:data`;
    this.#markKey = `${key}:mark`;
  }

  get mark(): string | undefined {
    const mark = this.#dict.get(this.#markKey);
    return typeof mark === "string" ? mark : undefined;
  }

  /** False: it was evicted, or never there. */
  get isThere(): boolean {
    return this.mark !== undefined && this.#dict.ttl(this.#key).err === undefined;
  }

  read(): Snapshot | undefined {
    const text = this.#dict.get(this.#key);
    if (typeof text !== "string") return undefined;
    const { version, modifiedAt, mark, entries }: Omit<Snapshot, "entries"> & { entries: [string, string][] } =
      JSON.parse(text);
    return { version, modifiedAt, mark, entries: new Map(entries) };
  }

  /** False: the dictionary has no room for it. */
  write({ entries, ...facts }: Snapshot): boolean {
    const text = JSON.stringify({ ...facts, entries: [...entries] });
    return this.#dict.set(this.#key, text).ok && this.#dict.set(this.#markKey, facts.mark).ok;
  }
}
