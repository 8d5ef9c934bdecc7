/**
 * Where an answer comes from. 1: this worker. 2: the dictionary that workers share. 3: the callback. 4: an old value, in the place
 * of one that was not to be had. -1: there is none, and no callback to ask.
 */
export type HitLevel = 1 | 2 | 3 | 4 | -1;

/** What `get` answers. `value` undefined is an answer, too: there is none. `err`: the callback failed, or its lock was not had. */
export type CacheAnswer<Value> =
  | { readonly value: Value | undefined; readonly hitLevel: HitLevel; readonly err?: undefined }
  | { readonly err: string; readonly cause: unknown; readonly value?: undefined; readonly hitLevel?: undefined };
