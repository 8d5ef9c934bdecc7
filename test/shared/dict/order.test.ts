import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { KEY_BYTES, layoutOf, OLDEST, wordsFor } from "../../../src/shared/dict/layout.ts";
import { Shard } from "../../../src/shared/dict/shard.ts";
import { TableDict } from "../../../src/shared/dict/table-dict.ts";
import { RUNS } from "../../laws/sniffer-laws.ts";

/** A dictionary of one shard, and the order of use as it would be if each use were noted: a Map keeps the order of its last writes. */
class Watched {
  readonly dict: TableDict;
  readonly order = new Map<string, true>();
  readonly #shard: Shard;

  constructor(sizeBytes: number) {
    const layout = layoutOf(sizeBytes, 1);
    const buffer = new ArrayBuffer(layout.totalBytes);
    const memory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
    this.dict = new TableDict({ memory, layout, now: () => 1 });
    this.#shard = new Shard(memory, layout, 0, () => 1);
  }

  use(key: string): void {
    if (this.dict.get(key) === undefined) this.#store(key);
    this.order.delete(key);
    this.order.set(key, true);
  }

  /** What goes next. */
  oldest(): string {
    const entry = this.#shard.fact(OLDEST);
    const words = new Int32Array(wordsFor(this.#shard.get(entry, KEY_BYTES)));
    this.#shard.read(entry, 0, words, words.length);
    return Buffer.from(words.buffer).toString("latin1", 0, this.#shard.get(entry, KEY_BYTES));
  }

  /** How many were used after the one that goes next. */
  usedSince(): number {
    return this.order.size - 1 - [...this.order.keys()].indexOf(this.oldest());
  }

  #store(key: string): void {
    if (this.dict.freeSpace() === 0) this.order.delete(this.oldest());
    this.dict.set(key, 1);
  }
}

/** Some keys more often than others. */
const uses = (keys: number, maxLength: number): fc.Arbitrary<number[]> =>
  fc.array(fc.oneof(fc.nat({ max: keys }), fc.nat({ max: Math.ceil(keys / 10) })), {
    minLength: maxLength / 2,
    maxLength,
  });

describe("what goes next", () => {
  test("is what was not used for longest, where there are few", () => {
    fc.assert(
      fc.property(uses(120, 400), (keys) => {
        const watched = new Watched(16 * 1024);
        for (const key of keys) {
          watched.use(`key ${key}`);
          expect(watched.oldest()).toBe(watched.order.keys().next().value);
        }
      }),
      { numRuns: RUNS / 20 },
    );
  });

  test("is never among the half that was used last, however many there are", () => {
    fc.assert(
      fc.property(uses(700, 4_000), (keys) => {
        const watched = new Watched(64 * 1024);
        for (const [round, key] of keys.entries()) {
          watched.use(`key ${key}`);
          if (round % 50 === 0) expect(watched.usedSince()).toBeGreaterThanOrEqual(Math.floor(watched.order.size / 2));
        }
        expect([...watched.order.keys()].every((key) => watched.dict.ttl(key).err === undefined)).toBe(true);
      }),
      { numRuns: RUNS / 50 },
    );
  });

  test("is what was used just now only when half as many others came after it, wherever it stood", () => {
    for (let place = 0; place < 480; place += 15) {
      const watched = new Watched(64 * 1024);
      for (let index = 0; watched.dict.freeSpace() > 0; index++) watched.use(`key ${index}`);
      const key = `key ${place}`;
      watched.use(key);
      let others = 0;
      for (; watched.dict.ttl(key).err === undefined; others++) watched.use(`other ${others}`);
      expect(others, key).toBeGreaterThanOrEqual(Math.floor(watched.order.size / 2));
    }
  });

  test("is not what is used again and again, whatever else comes", () => {
    const watched = new Watched(64 * 1024);
    for (let round = 0; round < 20_000; round++) {
      if (round % 150 === 0) watched.use("mine");
      watched.dict.set(`stranger ${round}`, round);
    }
    expect(watched.dict.get("mine")).toBe(1);
  });
});
