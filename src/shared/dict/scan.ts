import { EXPIRES_DOUBLE, FLUSHING, KEY_BYTES, NEWER, OLDEST, wordsFor } from "./layout.ts";
import { LONG_AGO } from "./rebuild.ts";
import { Scratch } from "./scratch.ts";
import type { Shard } from "./shard.ts";
import { readText } from "./text.ts";

/** Buckets looked at under one lock: some microseconds. */
export const BUCKETS_PER_TURN = 256;

/** Adds the keys of unexpired entries in some buckets to `keys`, those that begin with `prefix`. */
export function collectKeys(shard: Shard, first: number, { prefix, keys }: { prefix: string; keys: string[] }): void {
  const scratch = new Scratch();
  const end = Math.min(first + BUCKETS_PER_TURN, shard.bucketCount);
  for (let bucket = first; bucket < end; bucket++) {
    for (const entry of shard.bucketEntries(shard.buckets + bucket)) {
      if (shard.isExpired(entry)) continue;
      const key = keyOf(shard, entry, scratch);
      if (key.startsWith(prefix)) keys.push(key);
    }
  }
}

function keyOf(shard: Shard, entry: number, scratch: Scratch): string {
  const byteLength = shard.get(entry, KEY_BYTES);
  scratch.reserve(byteLength);
  shard.read(entry, 0, scratch.words, wordsFor(byteLength));
  return readText(scratch, 0, byteLength, shard.hasWideKey(entry));
}

/** Marks all entries as expired. */
export function flush(shard: Shard): void {
  shard.setFact(FLUSHING, 1);
  for (let entry = shard.fact(OLDEST); entry !== 0; entry = shard.get(entry, NEWER)) {
    shard.setDouble(entry, EXPIRES_DOUBLE, LONG_AGO);
  }
  shard.setFact(FLUSHING, 0);
}

/** Removes up to `max` expired entries, those first that nobody used for longest; answers how many. */
export function removeExpired(shard: Shard, max: number): number {
  let removed = 0;
  for (let entry = shard.fact(OLDEST); entry !== 0 && removed < max; ) {
    const newer = shard.get(entry, NEWER);
    if (shard.isExpired(entry)) {
      shard.remove(entry);
      removed++;
    }
    entry = newer;
  }
  return removed;
}
