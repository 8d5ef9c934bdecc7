import { type Decoded, frame, malformed, needs } from "../codec.ts";
import { latin1 } from "../latin1.ts";

/** A header line: the name as it was written, the value without the white space around it. */
export type HeaderField = readonly [name: string, value: string];

/** What a head may grow to. */
export interface HeadLimits {
  readonly maxBytes: number;
  readonly maxHeaders: number;
}

const LF = 0x0a;
const CR = 0x0d;
const SP = 0x20;
const HTAB = 0x09;
const LINES = /^(?:[\t\x20-\x7e\x80-\xff]*\r?\n)*$/; // RFC 9110 §5.5: neither NUL nor bare CR nor any other control

/** By character: may it be in a token (RFC 9110 §5.6.2)? */
export const IS_TOKEN: readonly boolean[] = Array.from({ length: 256 }, (_, code) =>
  /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(code)),
);

/**
 * Reads the header lines that begin at `start` (RFC 9112 §5), and the empty line behind them; `size` counts from the first
 * byte. Strict where leniency lets two readers disagree about one message: no folded lines, no space before a colon, no bare
 * CR, no NUL; a bare LF ends a line (RFC 9112 §2.2).
 */
export function decodeFields(bytes: Uint8Array, start: number, maxHeaders: number): Decoded<readonly HeaderField[]> {
  const ends: number[] = [];
  for (let at = start; ; ) {
    if (bytes[at] === SP || bytes[at] === HTAB) return malformed("folded header line"); // RFC 9112 §5.2
    const end = bytes.indexOf(LF, at);
    if (end === -1) return needs(bytes.length + 1);
    if (withoutCr(bytes, at, end) === at) {
      const headers = headersOf(bytes, start, ends);
      return headers ? frame(headers, end + 1) : malformed("malformed header line");
    }
    if (ends.push(end) > maxHeaders) return malformed(`more than ${maxHeaders} header lines`);
    at = end + 1;
  }
}

/** Where the line that ends with the LF at `end` really ends. */
export function withoutCr(bytes: Uint8Array, start: number, end: number): number {
  return end > start && bytes[end - 1] === CR ? end - 1 : end;
}

/** One pair per line that ends at one of `ends`; undefined when a line is malformed. */
function headersOf(bytes: Uint8Array, start: number, ends: readonly number[]): readonly HeaderField[] | undefined {
  const text = latin1(bytes, start, (ends.at(-1) ?? start - 1) + 1);
  if (!LINES.test(text)) return undefined;
  const headers: HeaderField[] = [];
  let at = 0;
  for (const end of ends) {
    let colon = at;
    while (IS_TOKEN[text.charCodeAt(colon)]) colon++;
    if (colon === at || text[colon] !== ":") return undefined;
    headers.push([text.slice(at, colon), trimmed(text, colon + 1, end - start)]);
    at = end - start + 1;
  }
  return headers;
}

/** Without spaces, tabs and the line's CR; by hand, because a regular expression is quadratic on long runs. */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** A CR stands only before the LF here. */
function isBlank(code: number): boolean {
  return code === SP || code === HTAB || code === CR;
}
