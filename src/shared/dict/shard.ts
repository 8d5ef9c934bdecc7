import { Blocks, type DictMemory } from "./blocks.ts";
import type { Clock } from "./clock.ts";
import { type Draft, LIST, NUMBER } from "./draft.ts";
import type { Key } from "./key.ts";
import {
  BUCKET_NEXT,
  blocksFor,
  ENTRIES,
  ENTRY,
  EXPIRES_DOUBLE,
  FLAGS,
  HASH,
  KEY_BYTES,
  type Layout,
  LIST_FIRST,
  META,
  NEWER,
  NEWEST,
  NUMBER_DOUBLE,
  OLDER,
  OLDEST,
  STAMP,
  STAMPS,
  VALUE_BYTES,
  wordsFor,
} from "./layout.ts";

/** OpenResty: a call drops at most two expired entries, */
const MAX_DROPPED = 2;
/** and a write makes room by at most thirty evictions. */
const MAX_EVICTED = 30;

/** Below this the order of use is exact: so few entries stay in a processor's cache, where touching neighbours costs little. */
const MANY = 128;

const TYPE_BITS = 7;
const WIDE_KEY = 8;

/**
 * One part of a dictionary: entries by key, in the order of their use. Whoever calls it holds its lock.
 *
 * An entry appears by one write, its state, after all else of it is written, and disappears by one. A new value of a key
 * is a new entry beside the old one, which goes last: of two with the same key the one used later is the true one.
 */
export class Shard extends Blocks {
  readonly now: Clock;

  constructor(memory: DictMemory, layout: Layout, index: number, now: Clock) {
    super(memory, layout, index);
    this.now = now;
  }

  typeOf(entry: number): number {
    return this.get(entry, META) & TYPE_BITS;
  }

  hasWideKey(entry: number): boolean {
    return (this.get(entry, META) & WIDE_KEY) !== 0;
  }

  isExpired(entry: number): boolean {
    const expires = this.getDouble(entry, EXPIRES_DOUBLE);
    return expires !== 0 && expires <= this.now();
  }

  /** When an entry written now expires; 0: never. */
  expiry(ttlMs: number): number {
    return ttlMs === 0 ? 0 : this.now() + ttlMs;
  }

  bucketOf(hash: number): number {
    return this.buckets + (hash & (this.bucketCount - 1));
  }

  /** The entry with that key, expired or not; 0: there is none. */
  find(key: Key): number {
    let entry = this.words[this.bucketOf(key.hash)] ?? 0;
    while (entry !== 0 && !this.#hasKey(entry, key)) entry = this.get(entry, BUCKET_NEXT);
    return entry;
  }

  #hasKey(entry: number, key: Key): boolean {
    return (
      this.get(entry, HASH) === key.hash &&
      this.get(entry, KEY_BYTES) === key.byteLength &&
      this.hasWideKey(entry) === key.isWide &&
      this.begins(entry, key.words, key.wordCount)
    );
  }

  /** The entries of one bucket; the place of the bucket is a word. */
  bucketEntries(bucket: number): number[] {
    const entries: number[] = [];
    for (let entry = this.words[bucket] ?? 0; entry !== 0; entry = this.get(entry, BUCKET_NEXT)) entries.push(entry);
    return entries;
  }

  /**
   * Makes `entry` the one used last. In a large shard that is left out while it surely is in the newer half: each stamp since its own has
   * put one other before it. Two of the five places in memory that a `get` needs would be those of its neighbours, which it has to write.
   */
  touch(entry: number): void {
    const entries = this.fact(ENTRIES);
    const age = (this.fact(STAMPS) - this.get(entry, STAMP)) >>> 0;
    if (age === 0 || (entries >= MANY && age < entries / 2)) return;
    this.#unlinkFromOrder(entry);
    this.set(entry, STAMP, this.stamp());
    this.linkAsNewest(entry);
  }

  stamp(): number {
    const stamp = (this.fact(STAMPS) + 1) | 0;
    this.setFact(STAMPS, stamp);
    return stamp;
  }

  /** Puts an entry in; there must be room. An older one with the same key is to be removed next. */
  insert(key: Key, draft: Draft, expires: number, flags: number): number {
    const entry = this.take(blocksFor(key.wordCount + draft.wordCount));
    this.set(entry, HASH, key.hash);
    this.set(entry, META, draft.type | (key.isWide ? WIDE_KEY : 0));
    this.set(entry, KEY_BYTES, key.byteLength);
    this.set(entry, VALUE_BYTES, draft.byteLength);
    this.setDouble(entry, EXPIRES_DOUBLE, expires);
    this.setDouble(entry, NUMBER_DOUBLE, draft.type === LIST ? 0 : draft.number);
    this.set(entry, FLAGS, flags);
    this.set(entry, STAMP, this.stamp());
    this.write(entry, 0, key.words, key.wordCount);
    this.write(entry, key.wordCount, draft.scratch.words, draft.wordCount);
    this.setState(entry, ENTRY);
    this.linkInBucket(entry);
    this.linkAsNewest(entry);
    this.setFact(ENTRIES, this.fact(ENTRIES) + 1);
    return entry;
  }

  /** Copies a value out; lists are not read so. */
  copyValue(entry: number, into: Draft): void {
    into.type = this.typeOf(entry);
    into.number = this.getDouble(entry, NUMBER_DOUBLE);
    into.byteLength = into.type <= NUMBER ? 0 : this.get(entry, VALUE_BYTES);
    if (into.byteLength === 0) return;
    into.scratch.reserve(into.byteLength);
    this.read(entry, wordsFor(this.get(entry, KEY_BYTES)), into.scratch.words, into.wordCount);
  }

  remove(entry: number): void {
    const count = this.#ownBlocks(entry);
    this.unlinkFromBucket(entry);
    this.#unlinkFromOrder(entry);
    this.setFact(ENTRIES, this.fact(ENTRIES) - 1);
    let item = this.typeOf(entry) === LIST ? this.get(entry, LIST_FIRST) : 0;
    this.giveBack(entry, count);
    while (item !== 0) {
      const next = this.get(item, OLDER);
      this.giveBack(item, this.itemBlocks(item));
      item = next;
    }
  }

  /** Blocks that removing `entry` would free. */
  blocksOf(entry: number): number {
    let blocks = this.#ownBlocks(entry);
    let item = this.typeOf(entry) === LIST ? this.get(entry, LIST_FIRST) : 0;
    for (; item !== 0; item = this.get(item, OLDER)) blocks += this.itemBlocks(item);
    return blocks;
  }

  itemBlocks(item: number): number {
    return blocksFor(wordsFor(this.get(item, VALUE_BYTES)));
  }

  /** Words of key and value that an entry holds in its own blocks. */
  wordsOf(entry: number): number {
    const value = this.typeOf(entry) === LIST ? 0 : this.get(entry, VALUE_BYTES);
    return wordsFor(this.get(entry, KEY_BYTES)) + wordsFor(value);
  }

  #ownBlocks(entry: number): number {
    return blocksFor(this.wordsOf(entry));
  }

  /** Drops up to two entries that have expired, from the one that nobody used for longest. */
  dropExpired(): void {
    for (let dropped = 0; dropped < MAX_DROPPED; dropped++) {
      const oldest = this.fact(OLDEST);
      if (oldest === 0 || !this.isExpired(oldest)) return;
      this.remove(oldest);
    }
  }

  /** Evicts what was not used for longest, until `count` blocks can be taken or thirty times; true: some had not expired. */
  evict(count: number): boolean {
    let wasForced = false;
    for (let evicted = 0; evicted < MAX_EVICTED && this.available < count; evicted++) {
      const oldest = this.fact(OLDEST);
      if (oldest === 0) break;
      wasForced ||= !this.isExpired(oldest);
      this.remove(oldest);
      this.dropExpired();
    }
    return wasForced;
  }

  linkInBucket(entry: number): void {
    const bucket = this.bucketOf(this.get(entry, HASH));
    this.set(entry, BUCKET_NEXT, this.words[bucket] ?? 0);
    this.words[bucket] = entry;
  }

  linkAsNewest(entry: number): void {
    const newest = this.fact(NEWEST);
    this.set(entry, NEWER, 0);
    this.set(entry, OLDER, newest);
    if (newest === 0) this.setFact(OLDEST, entry);
    else this.set(newest, NEWER, entry);
    this.setFact(NEWEST, entry);
  }

  unlinkFromBucket(entry: number): void {
    const bucket = this.bucketOf(this.get(entry, HASH));
    const next = this.get(entry, BUCKET_NEXT);
    let before = this.words[bucket] ?? 0;
    if (before === entry) {
      this.words[bucket] = next;
      return;
    }
    while (this.get(before, BUCKET_NEXT) !== entry) before = this.get(before, BUCKET_NEXT);
    this.set(before, BUCKET_NEXT, next);
  }

  #unlinkFromOrder(entry: number): void {
    const newer = this.get(entry, NEWER);
    const older = this.get(entry, OLDER);
    if (newer === 0) this.setFact(NEWEST, older);
    else this.set(newer, OLDER, older);
    if (older === 0) this.setFact(OLDEST, newer);
    else this.set(older, NEWER, newer);
  }
}
