import { createHash } from "node:crypto";
import type { SyncSource } from "./source.ts";

/** A writer that changes the hash all the time must not keep us reading for ever. */
const TRIES = 3;

/** What is needed of a client; those of ioredis have it. */
export interface HashClient {
  get(key: string): Promise<string | null>;
  hgetall(key: string): Promise<Readonly<Record<string, string>>>;
}

/** Where in Redis. */
export interface RedisHashOptions {
  readonly client: HashClient;
  /** A hash. */
  readonly key: string;
  /**
   * A text that writers change with the hash, in one `MULTI` or after it, so that the hash is read only when it has changed. Default
   * `<key>:version`. Where there is no such key, the hash is read each time, and its version is a digest of it.
   */
  readonly versionKey?: string | undefined;
}

/** The fields of a hash in Redis. */
export function redisHash({ client, key, versionKey = `${key}:version` }: RedisHashOptions): SyncSource {
  return {
    id: `redis ${key} ${versionKey}`,
    async load(known) {
      let version = await client.get(versionKey);
      for (let tries = 0; tries < TRIES; tries++) {
        if (version !== null && version === known) return undefined;
        const entries = new Map(Object.entries(await client.hgetall(key)));
        const after = await client.get(versionKey);
        if (after === version) return whole(entries, version, known);
        version = after;
      }
      throw new Error(`${key} changed ${TRIES} times while it was read`);
    },
  };
}

function whole(entries: ReadonlyMap<string, string>, version: string | null, known: string | undefined) {
  const own = version ?? digestOf(entries);
  return own === known ? undefined : { version: own, entries };
}

function digestOf(entries: ReadonlyMap<string, string>): string {
  const sorted = [...entries].sort(([key], [other]) => (key < other ? -1 : 1));
  return createHash("sha1").update(JSON.stringify(sorted)).digest("hex");
}
