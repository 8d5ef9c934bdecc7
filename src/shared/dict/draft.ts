import { wordsFor } from "./layout.ts";
import { Scratch } from "./scratch.ts";
import type { DictValue } from "./shared-dict.ts";
import { readText, writeText } from "./text.ts";

// Types of values, as they stand in memory.
export const BOOLEAN = 1;
export const NUMBER = 2;
export const TEXT = 3;
export const WIDE_TEXT = 4;
export const BYTES = 5;
export const LIST = 6;

/** A value on its way into a dictionary or out of it, outside of the lock: nothing is converted while others wait. */
export class Draft {
  readonly scratch: Scratch = new Scratch();
  type = 0;
  /** What a number or boolean is. */
  number = 0;
  /** Bytes of a text or of bytes, in `scratch`. */
  byteLength = 0;

  get wordCount(): number {
    return wordsFor(this.byteLength);
  }

  /** @throws TypeError `bad value type` */
  set(value: DictValue): void {
    this.byteLength = 0;
    if (typeof value === "number") this.#setNumber(NUMBER, value);
    else if (typeof value === "string") this.#setText(value);
    else if (typeof value === "boolean") this.#setNumber(BOOLEAN, value ? 1 : 0);
    else if (value instanceof Uint8Array) this.#setBytes(value);
    else throw new TypeError("bad value type");
  }

  /** A value of JavaScript's own, that stays as it is whatever the dictionary does. */
  value(): DictValue {
    switch (this.type) {
      case BOOLEAN:
        return this.number === 1;
      case NUMBER:
        return this.number;
      case BYTES:
        return Buffer.from(this.scratch.bytes.subarray(0, this.byteLength));
      default:
        return readText(this.scratch, 0, this.byteLength, this.type === WIDE_TEXT);
    }
  }

  /** Whether both are the same value: of the same type, and NaN is NaN. */
  equals(other: Draft): boolean {
    if (this.type !== other.type || this.byteLength !== other.byteLength) return false;
    if (this.type <= NUMBER) return this.number === other.number || Object.is(this.number, other.number);
    const { bytes } = this.scratch;
    return bytes.compare(other.scratch.bytes, 0, this.byteLength, 0, this.byteLength) === 0;
  }

  #setNumber(type: number, number: number): void {
    this.type = type;
    this.number = number;
  }

  #setText(text: string): void {
    const bytes = writeText(text, this.scratch);
    this.type = bytes < 0 ? WIDE_TEXT : TEXT;
    this.byteLength = Math.abs(bytes);
  }

  #setBytes(bytes: Uint8Array): void {
    this.scratch.reserve(bytes.length);
    if (bytes.length > 0) this.scratch.words[wordsFor(bytes.length) - 1] = 0;
    this.scratch.bytes.set(bytes);
    this.type = BYTES;
    this.byteLength = bytes.length;
  }
}
