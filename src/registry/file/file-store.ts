import type { Entry } from "../table.ts";

/** Where a file registry keeps its keys; ends are milliseconds since 1970, so that they mean the same after a restart. */
export interface FileStore {
  /** The folder whose changes may be changes of keys. */
  readonly folder: string;
  /** False for files of the folder that are none of ours. */
  concerns(name: string): boolean;
  /** All that is there, without what is over. Rejects when it cannot be read or understood. */
  read(): Promise<ReadonlyMap<string, Entry>>;
  /** How many changes are made in one go: what others have changed is read behind them. */
  readonly together: number;
  /**
   * Makes changes, those of a key in their order, and answers for one after the other, as soon as it is made, whether its key
   * was there before, or why it was not made. What was made survives a crash from then on. Rejects when the others were not made.
   */
  change(changes: readonly StoreChange[]): AsyncIterable<PromiseSettledResult<boolean>>;
  /** Takes away what is over of these keys, unless somebody has put it again meanwhile. */
  expire(keys: readonly string[]): Promise<void>;
}

/** A key that is put, or taken away where it has no entry. */
export interface StoreChange {
  readonly key: string;
  readonly entry: Entry | undefined;
}

/** A value is a few hundred bytes of JSON; a file this large is no value. */
export const MAX_VALUE_BYTES = 1_048_576;

/** The word of the system for what went wrong: `ENOENT`. */
export function errnoOf(cause: unknown): string | undefined {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
}
