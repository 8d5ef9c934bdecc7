/** Data with the version that it had. */
export interface VersionedData {
  readonly version: string;
  readonly entries: ReadonlyMap<string, string>;
}

/** Where `sync` has its data from: `consulKv`, `redisHash`, or one of the user's. */
export interface SyncSource {
  /** Sources with the same one bring the same data: where they have it from. */
  readonly id: string;
  /**
   * The newest data; undefined: it still has the version that is known. May wait for a change, and ends when the signal aborts.
   * What it rejects with is told as trouble, and the data that is there stays.
   */
  load(known: string | undefined, signal: AbortSignal): Promise<VersionedData | undefined>;
  /** An answer that takes longer than this has failed. Default 10,000. */
  readonly timeoutMs?: number | undefined;
}
