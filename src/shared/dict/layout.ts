// Where things lie in the memory of a dictionary. All places count 32-bit words, and those of doubles are even.
//
//   control   the facts below and the table of members; not part of the dictionary's size
//   shard     header (one block), buckets, blocks; as often as there are shards
//
// Blocks are numbered from 1 in each shard; 0 says "none".

/** 128 bytes: room for a short key and value in one block, and two cache lines on every machine of today. */
export const BLOCK_WORDS = 32;
export const BLOCK_BYTES: number = BLOCK_WORDS * 4;

// Control.
export const MAGIC = 0;
export const SHARDS = 1;
export const SERIAL = 2;
export const SEED = 4;
export const SIZE_DOUBLE = 4; // words 8 and 9
export const MEMBERS = 32;
export const MEMBER_WORDS = 4;
/** Processes that can use a dictionary at the same time: far more than workers, since old and new overlap in a replacement. */
export const MAX_MEMBERS = 1_024;
export const CONTROL_WORDS: number = MEMBERS + MAX_MEMBERS * MEMBER_WORDS;
/** Says that the memory is a dictionary of this layout: "RD" and its version. */
export const MAGIC_VALUE = 0x52_44_00_01;

// Header of a shard.
export const LOCK = 0;
export const FREE = 1;
export const FREE_COUNT = 2;
export const FRESH = 3;
export const NEWEST = 4;
export const OLDEST = 5;
export const ENTRIES = 6;
export const STAMPS = 7;
export const FLUSHING = 8;
export const RECOVERIES = 9;

// Any block.
export const STATE = 0;
export const NEXT = 1;
// The first block of an entry or of an item of a list.
export const HASH = 2;
export const BUCKET_NEXT = 3;
export const NEWER = 4;
export const OLDER = 5;
export const META = 6;
export const KEY_BYTES = 7;
export const VALUE_BYTES = 8;
export const TAIL = 9;
export const EXPIRES_DOUBLE = 5; // words 10 and 11
export const NUMBER_DOUBLE = 6; // words 12 and 13
export const FLAGS = 14;
export const STAMP = 15;
export const PAYLOAD = 16;
export const HEAD_PAYLOAD: number = BLOCK_WORDS - PAYLOAD;
// The other blocks of an entry.
export const MORE_PAYLOAD = 2;
export const BLOCK_PAYLOAD: number = BLOCK_WORDS - MORE_PAYLOAD;
// What lists need has the places of what they do not: a list has no value of its own, an item no key.
export const LIST_LENGTH = 8;
export const LIST_FIRST = 12;
export const LIST_LAST = 13;
export const ITEM_OWNER = 2;
export const ITEM_ORDINAL = 3;

// States of a block.
export const NOTHING = 0;
export const ENTRY = 1;
export const ITEM = 2;

/** A shard has at least this many bytes when a dictionary has several: the largest value, and the sharpness of LRU, depend on it. */
const MIN_SHARD_BYTES = 4 * 1024 ** 2;
/** So that the largest shard has 16 MiB, which are put in order in some tenths of a second after a kill. */
const MAX_SHARDS = 256;

/** The longest buffer of Node 20: in the largest dictionary, control takes its words from the blocks. */
const MAX_TOTAL_BYTES = 4 * 1024 ** 3;

/** How the memory of one dictionary is divided. */
export interface Layout {
  readonly sizeBytes: number;
  readonly shards: number;
  readonly shardWords: number;
  readonly buckets: number;
  readonly blocks: number;
  readonly totalBytes: number;
}

/** Divides `sizeBytes`; one shard below 16 MiB, so that small dictionaries have one exact order of use. */
export function layoutOf(sizeBytes: number, shards: number = shardsFor(sizeBytes)): Layout {
  const usable = Math.min(sizeBytes, MAX_TOTAL_BYTES - CONTROL_WORDS * 4);
  const units = Math.floor(usable / BLOCK_BYTES / shards);
  const buckets = Math.max(BLOCK_WORDS, 2 ** Math.floor(Math.log2(units)));
  const blocks = units - 1 - buckets / BLOCK_WORDS;
  const shardWords = units * BLOCK_WORDS;
  return { sizeBytes, shards, shardWords, buckets, blocks, totalBytes: (CONTROL_WORDS + shards * shardWords) * 4 };
}

function shardsFor(sizeBytes: number): number {
  const shards = 2 ** Math.floor(Math.log2(sizeBytes / MIN_SHARD_BYTES));
  return shards < 4 ? 1 : Math.min(shards, MAX_SHARDS);
}

/** Blocks that `words` of key and value need. */
export function blocksFor(words: number): number {
  return words <= HEAD_PAYLOAD ? 1 : 1 + Math.ceil((words - HEAD_PAYLOAD) / BLOCK_PAYLOAD);
}

/** Words that `bytes` need. */
export function wordsFor(bytes: number): number {
  return (bytes + 3) >>> 2;
}
