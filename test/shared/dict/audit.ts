import { LIST } from "../../../src/shared/dict/draft.ts";
import {
  BUCKET_NEXT,
  blocksFor,
  ENTRIES,
  ENTRY,
  FREE,
  FREE_COUNT,
  FRESH,
  HASH,
  ITEM,
  ITEM_OWNER,
  LIST_FIRST,
  LIST_LAST,
  LIST_LENGTH,
  NEWER,
  NEWEST,
  NEXT,
  NOTHING,
  OLDER,
  OLDEST,
  STATE,
  VALUE_BYTES,
  wordsFor,
} from "../../../src/shared/dict/layout.ts";
import type { Shard } from "../../../src/shared/dict/shard.ts";

/**
 * Everything that must be true of a shard between calls; answers what is not. Each block is in one chain or free, each entry is in its bucket
 * and in the order of use, each list holds its items, and the counts are right.
 */
export function audit(shard: Shard): string[] {
  const faults: string[] = [];
  const owner = new Map<number, string>();
  const claim = (block: number, by: string): void => {
    if (owner.has(block)) faults.push(`block ${block} belongs to ${owner.get(block)} and to ${by}`);
    owner.set(block, by);
  };
  const claimChain = (first: number, count: number, by: string): void => {
    let block = first;
    for (let index = 0; index < count; index++, block = shard.get(block, NEXT)) claim(block, by);
    if (block !== 0) faults.push(`${by} is longer than ${count} blocks`);
  };
  const entries = inBuckets(shard, faults);
  for (const entry of entries) {
    claimChain(entry, blocksFor(shard.wordsOf(entry)), `entry ${entry}`);
    for (const item of itemsOf(shard, entry, faults)) {
      claimChain(item, blocksFor(wordsFor(shard.get(item, VALUE_BYTES))), `item ${item} of ${entry}`);
    }
  }
  const free = freeBlocks(shard, faults);
  for (const block of free) claim(block, "nobody");
  if (owner.size !== shard.fact(FRESH)) faults.push(`${shard.fact(FRESH) - owner.size} blocks are lost`);
  if (free.length !== shard.fact(FREE_COUNT)) faults.push(`${free.length} free blocks, said ${shard.fact(FREE_COUNT)}`);
  faults.push(...orderFaults(shard, entries));
  return faults;
}

function inBuckets(shard: Shard, faults: string[]): number[] {
  const entries: number[] = [];
  for (let bucket = shard.buckets; bucket < shard.buckets + shard.bucketCount; bucket++) {
    for (let entry = shard.words[bucket] ?? 0; entry !== 0; entry = shard.get(entry, BUCKET_NEXT)) {
      if (shard.get(entry, STATE) !== ENTRY) faults.push(`entry ${entry} has another state`);
      if (shard.bucketOf(shard.get(entry, HASH)) !== bucket) faults.push(`entry ${entry} is in a bucket of others`);
      entries.push(entry);
      if (entries.length > shard.blockCount) return entries;
    }
  }
  return entries;
}

function itemsOf(shard: Shard, entry: number, faults: string[]): number[] {
  if (shard.typeOf(entry) !== LIST) return [];
  const items: number[] = [];
  let before = 0;
  for (let item = shard.get(entry, LIST_FIRST); item !== 0; before = item, item = shard.get(item, OLDER)) {
    items.push(item);
    const isRight = shard.get(item, STATE) === ITEM && shard.get(item, ITEM_OWNER) === entry;
    if (!isRight || shard.get(item, NEWER) !== before) faults.push(`item ${item} of ${entry} is not linked right`);
    if (items.length > shard.blockCount) return items;
  }
  const isWhole = items.length > 0 && items.length === shard.get(entry, LIST_LENGTH);
  if (!isWhole || shard.get(entry, LIST_LAST) !== before) faults.push(`list ${entry} says what it is not`);
  return items;
}

function freeBlocks(shard: Shard, faults: string[]): number[] {
  const free: number[] = [];
  for (let block = shard.fact(FREE); block !== 0; block = shard.get(block, NEXT)) {
    if (shard.get(block, STATE) !== NOTHING) faults.push(`free block ${block} has a state`);
    free.push(block);
    if (free.length > shard.blockCount) return free;
  }
  return free;
}

function orderFaults(shard: Shard, entries: readonly number[]): string[] {
  const order: number[] = [];
  let newer = 0;
  for (let entry = shard.fact(NEWEST); entry !== 0; newer = entry, entry = shard.get(entry, OLDER)) {
    if (shard.get(entry, NEWER) !== newer) return [`entry ${entry} is not linked to the newer one`];
    order.push(entry);
    if (order.length > shard.blockCount) return ["the order of use goes round"];
  }
  const isSame = order.length === entries.length && new Set([...order, ...entries]).size === order.length;
  const isCounted = shard.fact(ENTRIES) === order.length && shard.fact(OLDEST) === newer;
  return isSame && isCounted
    ? []
    : [`${entries.length} entries, ${order.length} in order, said ${shard.fact(ENTRIES)}`];
}
