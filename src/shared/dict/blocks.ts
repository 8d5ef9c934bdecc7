import {
  BLOCK_WORDS,
  blocksFor,
  CONTROL_WORDS,
  FREE,
  FREE_COUNT,
  FRESH,
  HEAD_PAYLOAD,
  type Layout,
  MORE_PAYLOAD,
  NEXT,
  NOTHING,
  STATE,
  TAIL,
} from "./layout.ts";

/** The memory of a dictionary, as words and as doubles. */
export interface DictMemory {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
}

/**
 * The blocks of one shard: taken and given back as chains, read and written across their borders. Since blocks are all of
 * one size, memory never falls to pieces: what is free can be used.
 *
 * A chain that is in use is never changed, and its first block says so in its state; whatever else is here can be found
 * anew from that (rebuild.ts), so a process may be killed between any two writes.
 */
export class Blocks {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  /** The word where the shard begins. */
  readonly header: number;
  readonly buckets: number;
  readonly bucketCount: number;
  readonly blockCount: number;
  /** The word where block 0 would begin, if there were one. */
  readonly #zero: number;

  constructor({ words, doubles }: DictMemory, layout: Layout, index: number) {
    this.words = words;
    this.doubles = doubles;
    this.header = CONTROL_WORDS + index * layout.shardWords;
    this.buckets = this.header + BLOCK_WORDS;
    this.bucketCount = layout.buckets;
    this.blockCount = layout.blocks;
    this.#zero = this.buckets + layout.buckets - BLOCK_WORDS;
  }

  /** Reads a word of the header. */
  fact(name: number): number {
    return this.words[this.header + name] ?? 0;
  }

  setFact(name: number, value: number): void {
    this.words[this.header + name] = value;
  }

  get(block: number, field: number): number {
    return this.words[this.#zero + block * BLOCK_WORDS + field] ?? 0;
  }

  set(block: number, field: number, value: number): void {
    this.words[this.#zero + block * BLOCK_WORDS + field] = value;
  }

  getDouble(block: number, field: number): number {
    return this.doubles[(this.#zero + block * BLOCK_WORDS) / 2 + field] ?? 0;
  }

  setDouble(block: number, field: number, value: number): void {
    this.doubles[(this.#zero + block * BLOCK_WORDS) / 2 + field] = value;
  }

  /** The one write by which a chain begins or ends to exist; atomic so that no compiler moves another write across it. */
  setState(block: number, state: number): void {
    Atomics.store(this.words, this.#zero + block * BLOCK_WORDS + STATE, state);
  }

  /** Blocks that can be taken. */
  get available(): number {
    return this.blockCount - this.fact(FRESH) + this.fact(FREE_COUNT);
  }

  /** Takes a chain of `count` blocks; there must be as many. Blocks that never were used are not touched before their turn. */
  take(count: number): number {
    const first = this.#takeOne();
    let tail = first;
    for (let taken = 1; taken < count; taken++) {
      const next = this.#takeOne();
      this.set(tail, NEXT, next);
      tail = next;
    }
    this.set(tail, NEXT, 0);
    this.set(first, TAIL, tail);
    return first;
  }

  /** Gives a chain of `count` blocks back. Its state goes first: a chain that is given back half is not in use. */
  giveBack(first: number, count: number): void {
    this.setState(first, NOTHING);
    this.set(this.get(first, TAIL), NEXT, this.fact(FREE));
    this.setFact(FREE, first);
    this.setFact(FREE_COUNT, this.fact(FREE_COUNT) + count);
  }

  /** Writes `count` words into the payload of a chain, `skip` words from its beginning. */
  write(first: number, skip: number, source: Int32Array, count: number): void {
    let { at, end, block } = this.#seek(first, skip);
    for (let index = 0; index < count; index++) {
      if (at === end) {
        block = this.get(block, NEXT);
        end = this.#zero + (block + 1) * BLOCK_WORDS;
        at = end - BLOCK_WORDS + MORE_PAYLOAD;
      }
      this.words[at++] = source[index] ?? 0;
    }
  }

  /** Reads `count` words of the payload of a chain, `skip` words from its beginning. */
  read(first: number, skip: number, target: Int32Array, count: number): void {
    let { at, end, block } = this.#seek(first, skip);
    for (let index = 0; index < count; index++) {
      if (at === end) {
        block = this.get(block, NEXT);
        end = this.#zero + (block + 1) * BLOCK_WORDS;
        at = end - BLOCK_WORDS + MORE_PAYLOAD;
      }
      target[index] = this.words[at++] ?? 0;
    }
  }

  /** Whether the payload of a chain begins with these words. */
  begins(first: number, wanted: Int32Array, count: number): boolean {
    let { at, end, block } = this.#seek(first, 0);
    for (let index = 0; index < count; index++) {
      if (at === end) {
        block = this.get(block, NEXT);
        end = this.#zero + (block + 1) * BLOCK_WORDS;
        at = end - BLOCK_WORDS + MORE_PAYLOAD;
      }
      if (this.words[at++] !== wanted[index]) return false;
    }
    return true;
  }

  /** Whether a chain has the blocks that `words` need, and no block that is not there. */
  isWhole(first: number, words: number): boolean {
    let block = first;
    for (let left = blocksFor(words); left > 0; left--) {
      if (block < 1 || block > this.fact(FRESH)) return false;
      block = this.get(block, NEXT);
    }
    return block === 0;
  }

  #seek(first: number, skip: number): { at: number; end: number; block: number } {
    let block = first;
    let left = skip - HEAD_PAYLOAD;
    // A word that is the first of the next block is reached by the loops above, when there is one.
    while (left > 0) {
      block = this.get(block, NEXT);
      left -= BLOCK_WORDS - MORE_PAYLOAD;
    }
    const end = this.#zero + (block + 1) * BLOCK_WORDS;
    return { at: end + left, end, block };
  }

  #takeOne(): number {
    const free = this.fact(FREE);
    if (free === 0) {
      const fresh = this.fact(FRESH) + 1;
      this.setFact(FRESH, fresh);
      return fresh;
    }
    this.setFact(FREE, this.get(free, NEXT));
    this.setFact(FREE_COUNT, this.fact(FREE_COUNT) - 1);
    return free;
  }
}
