import { wordsFor } from "./layout.ts";
import { Scratch } from "./scratch.ts";
import { halfSipHash } from "./sip-hash.ts";
import { writeText } from "./text.ts";

/** OpenResty's longest key, in bytes of UTF-8. */
const MAX_KEY_BYTES = 65_535;
/** A character needs no more bytes of UTF-8 than this for each unit of its string. */
const MAX_BYTES_PER_UNIT = 3;

/** The key of a call, as the dictionary keeps keys. One object serves all calls of a dictionary, one after the other. */
export class Key {
  readonly #seed0: number;
  readonly #seed1: number;
  readonly #scratch = new Scratch();
  words: Int32Array = this.#scratch.words;
  wordCount = 0;
  byteLength = 0;
  isWide = false;
  hash = 0;

  constructor(seed0: number, seed1: number) {
    this.#seed0 = seed0;
    this.#seed1 = seed1;
  }

  /** @throws TypeError in OpenResty's words: `nil key`, `empty key`, `key too long` */
  set(key: string | number): void {
    const text = typeof key === "string" ? key : textOf(key);
    const fault = keyFault(text);
    if (fault !== undefined) throw new TypeError(fault);
    const bytes = writeText(text, this.#scratch);
    this.isWide = bytes < 0;
    this.byteLength = Math.abs(bytes);
    this.wordCount = wordsFor(this.byteLength);
    this.words = this.#scratch.words;
    // One word more than the key has, so that zeros at its end count.
    this.words[this.wordCount] = bytes;
    this.hash = halfSipHash(this.words, this.wordCount + 1, this.#seed0, this.#seed1);
  }
}

/** Why a text is no key, in OpenResty's words; undefined: it is one. */
export function keyFault(text: string): "empty key" | "key too long" | undefined {
  if (text.length === 0) return "empty key";
  const isLong = text.length * MAX_BYTES_PER_UNIT > MAX_KEY_BYTES && Buffer.byteLength(text) > MAX_KEY_BYTES;
  return isLong ? "key too long" : undefined;
}

/** A number and its text are one key. */
function textOf(key: unknown): string {
  if (key === undefined || key === null) throw new TypeError("nil key");
  if (typeof key !== "number") throw new TypeError(`bad key type: expected a string or a number, got ${typeof key}`);
  return String(key);
}
