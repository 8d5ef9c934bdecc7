import { LIST } from "./draft.ts";
import {
  BUCKET_NEXT,
  ENTRIES,
  ENTRY,
  EXPIRES_DOUBLE,
  FLUSHING,
  FREE,
  FREE_COUNT,
  FRESH,
  HASH,
  ITEM_ORDINAL,
  ITEM_OWNER,
  KEY_BYTES,
  LIST_FIRST,
  LIST_LAST,
  LIST_LENGTH,
  NEWER,
  NEWEST,
  NEXT,
  NOTHING,
  OLDER,
  OLDEST,
  RECOVERIES,
  STAMP,
  STAMPS,
  STATE,
  VALUE_BYTES,
  wordsFor,
} from "./layout.ts";
import type { Shard } from "./shard.ts";

/** More blocks than a shard has: with 32 bits of age it makes a whole number that a double holds. */
const MAX_BLOCKS = 2 ** 21;

/** A time that has passed on every clock: what is flushed has expired. */
export const LONG_AGO: number = Number.MIN_VALUE;

/**
 * Puts a shard in order whose lock was held by a process that was killed: finds all entries and items anew by their
 * states, and from them buckets, order of use, lists and free blocks. A call that was under way is done whole or not at
 * all. It may be killed itself, and then the next one does all of it again.
 */
export function rebuild(shard: Shard): void {
  shard.setFact(RECOVERIES, shard.fact(RECOVERIES) + 1);
  const { entries, items } = survivors(shard);
  shard.words.fill(0, shard.buckets, shard.buckets + shard.bucketCount);
  const kept = dropDoubles(shard, entries);
  const byOwner = groupByOwner(shard, items, new Set(kept));
  const live = kept.filter((entry) => isNoEmptyList(shard, entry, byOwner));
  link(shard, live);
  freeOthers(shard, [...live, ...Array.from(byOwner.values()).flat()]);
  finishFlush(shard, live);
}

/** All that say they exist and are whole, entries in the order of their use. */
function survivors(shard: Shard): { entries: readonly number[]; items: readonly number[] } {
  const entries: number[] = [];
  const items: number[] = [];
  for (let block = 1; block <= shard.fact(FRESH); block++) {
    const state = shard.get(block, STATE);
    if (state === NOTHING) continue;
    const words = state === ENTRY ? shard.wordsOf(block) : wordsFor(shard.get(block, VALUE_BYTES));
    if (shard.isWhole(block, words)) (state === ENTRY ? entries : items).push(block);
    else shard.setState(block, NOTHING);
  }
  return { entries: byUse(shard, entries), items };
}

/** From the one used least lately. Sorts plain numbers, age above block, since all other processes are waiting. */
function byUse(shard: Shard, entries: readonly number[]): number[] {
  const last = shard.fact(STAMPS);
  const aged = Float64Array.from(entries, (entry) => ((last - shard.get(entry, STAMP)) >>> 0) * MAX_BLOCKS + entry);
  return Array.from(aged.sort().reverse(), (age) => age % MAX_BLOCKS);
}

/** Of entries with the same key, the one used last stays. Links those that stay in their buckets. */
function dropDoubles(shard: Shard, entries: readonly number[]): number[] {
  const kept: number[] = [];
  for (const entry of entries.toReversed()) {
    if (hasDouble(shard, entry)) {
      shard.setState(entry, NOTHING);
      continue;
    }
    shard.linkInBucket(entry);
    kept.push(entry);
  }
  return kept.reverse();
}

function hasDouble(shard: Shard, entry: number): boolean {
  const hash = shard.get(entry, HASH);
  let other = shard.words[shard.bucketOf(hash)] ?? 0;
  while (other !== 0 && !(shard.get(other, HASH) === hash && hasSameKey(shard, other, entry))) {
    other = shard.get(other, BUCKET_NEXT);
  }
  return other !== 0;
}

function hasSameKey(shard: Shard, one: number, other: number): boolean {
  if (shard.get(one, KEY_BYTES) !== shard.get(other, KEY_BYTES)) return false;
  if (shard.hasWideKey(one) !== shard.hasWideKey(other)) return false;
  const key = new Int32Array(wordsFor(shard.get(one, KEY_BYTES)));
  shard.read(one, 0, key, key.length);
  return shard.begins(other, key, key.length);
}

/** Items of lists that are still there, first to last. */
function groupByOwner(shard: Shard, items: readonly number[], kept: ReadonlySet<number>): Map<number, number[]> {
  const byOwner = new Map<number, number[]>();
  for (const item of items) {
    const owner = shard.get(item, ITEM_OWNER);
    const own = byOwner.get(owner);
    if (own !== undefined) own.push(item);
    else if (kept.has(owner) && shard.typeOf(owner) === LIST) byOwner.set(owner, [item]);
    else shard.setState(item, NOTHING);
  }
  const ordinal = (item: number): number => shard.get(item, ITEM_ORDINAL);
  for (const own of byOwner.values()) own.sort((a, b) => (ordinal(a) - ordinal(b)) | 0);
  return byOwner;
}

function isNoEmptyList(shard: Shard, entry: number, byOwner: ReadonlyMap<number, readonly number[]>): boolean {
  if (shard.typeOf(entry) !== LIST) return true;
  const items = byOwner.get(entry);
  if (items === undefined) {
    shard.unlinkFromBucket(entry);
    shard.setState(entry, NOTHING);
    return false;
  }
  for (const [index, item] of items.entries()) {
    shard.set(item, NEWER, items[index - 1] ?? 0);
    shard.set(item, OLDER, items[index + 1] ?? 0);
  }
  shard.set(entry, LIST_FIRST, items[0] ?? 0);
  shard.set(entry, LIST_LAST, items.at(-1) ?? 0);
  shard.set(entry, LIST_LENGTH, items.length);
  return true;
}

function link(shard: Shard, live: readonly number[]): void {
  shard.setFact(NEWEST, 0);
  shard.setFact(OLDEST, 0);
  for (const entry of live) shard.linkAsNewest(entry);
  shard.setFact(ENTRIES, live.length);
}

/** Blocks that no chain in use holds are free. */
function freeOthers(shard: Shard, used: readonly number[]): void {
  const isUsed = new Uint8Array(shard.fact(FRESH) + 1);
  for (const first of used) {
    for (let block = first; block !== 0; block = shard.get(block, NEXT)) isUsed[block] = 1;
  }
  shard.setFact(FREE, 0);
  shard.setFact(FREE_COUNT, 0);
  for (let block = 1; block <= shard.fact(FRESH); block++) {
    if (isUsed[block] === 1) continue;
    shard.set(block, NEXT, shard.fact(FREE));
    shard.setFact(FREE, block);
    shard.setFact(FREE_COUNT, shard.fact(FREE_COUNT) + 1);
  }
}

/** `flushAll` is done for all entries or for none, too. */
function finishFlush(shard: Shard, live: readonly number[]): void {
  if (shard.fact(FLUSHING) === 0) return;
  for (const entry of live) shard.setDouble(entry, EXPIRES_DOUBLE, LONG_AGO);
  shard.setFact(FLUSHING, 0);
}
