import { wordsFor } from "./layout.ts";
import type { Scratch } from "./scratch.ts";

/** Up to here a loop is faster than a call into Node. */
const SHORT = 48;
const BEYOND_LATIN1 = /[^\0-\xff]/;

/**
 * Writes `text`, one byte per character where each is below 256, else two: both keep every string as it is, lone surrogates
 * too. Zeros fill the last word. Answers its bytes, negative when wide: an object would cost more than the text.
 */
export function writeText(text: string, into: Scratch): number {
  const narrow = text.length <= SHORT ? writeShort(text, into) : writeLong(text, into);
  if (narrow) return text.length;
  into.reserve(text.length * 2);
  into.words[wordsFor(text.length * 2) - 1] = 0;
  into.bytes.write(text, 0, text.length * 2, "utf16le");
  return -text.length * 2;
}

export function readText(from: Scratch, start: number, byteLength: number, isWide: boolean): string {
  return from.bytes.toString(isWide ? "utf16le" : "latin1", start, start + byteLength);
}

function writeShort(text: string, into: Scratch): boolean {
  const { words, bytes } = into;
  if (text.length > 0) words[wordsFor(text.length) - 1] = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code > 0xff) return false;
    bytes[at] = code;
  }
  return true;
}

function writeLong(text: string, into: Scratch): boolean {
  if (BEYOND_LATIN1.test(text)) return false;
  into.reserve(text.length);
  into.words[wordsFor(text.length) - 1] = 0;
  into.bytes.write(text, 0, text.length, "latin1");
  return true;
}
