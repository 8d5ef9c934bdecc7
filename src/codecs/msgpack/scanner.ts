import { type Decoded, frame, malformed, needs, tooLarge } from "../codec.ts";

/** Bounds of one message, so that a stranger's bytes cannot cost more than they are worth. */
export interface MsgpackLimits {
  readonly maxDepth?: number;
  /** All values of the message, keys and containers included. */
  readonly maxItems?: number;
  readonly maxBytes?: number;
  /** Extension types let through; timestamps (-1) alone by default. */
  readonly extensions?: readonly number[];
}

/** Deep enough for any hand-made message; msgpackr reads by recursion, so this also keeps the stack small. */
export const MAX_DEPTH = 32;
/** One look from the start costs a step per value: at this number, at most 0.1 ms. A first message has some dozens. */
export const MAX_ITEMS = 4_096;
/** Four preread buffers. The frames of game protocols are smaller. */
export const MAX_BYTES = 65_536;
/** The only extension which the specification itself defines. */
export const TIMESTAMP = -1;

const TIMESTAMP_SIZES: readonly number[] = [4, 8, 12];
const MAX_NANOSECONDS = 999_999_999; // specification, "Timestamp extension type"
const MAX_DATE_MS = 8.64e15; // ECMAScript's Date ends here

type Kind = "scalar" | "text" | "bytes" | "extension" | "array" | "map";

/** What a first byte of 0xc0 to 0xdf announces: `width` is that of the number, the length or the count behind it. */
interface Format {
  readonly kind: Kind;
  readonly width: number;
  /** The length, where the first byte itself says it. */
  readonly size?: number;
}

const FIRST_FORMAT = 0xc0;
const LAST_FORMAT = 0xdf;
const FORMATS: readonly (Format | undefined)[] = [
  { kind: "scalar", width: 0 }, // c0 nil
  undefined, // c1 is never used
  ...formats("scalar", 0, 0), // c2 false, c3 true
  ...formats("bytes", 1, 2, 4), // c4–c6 bin
  ...formats("extension", 1, 2, 4), // c7–c9 ext
  ...formats("scalar", 4, 8), // ca–cb float
  ...formats("scalar", 1, 2, 4, 8), // cc–cf uint
  ...formats("scalar", 1, 2, 4, 8), // d0–d3 int
  ...[1, 2, 4, 8, 16].map((size): Format => ({ kind: "extension", width: 0, size })), // d4–d8 fixext
  ...formats("text", 1, 2, 4), // d9–db str
  ...formats("array", 2, 4), // dc–dd
  ...formats("map", 2, 4), // de–df
];

function formats(kind: Kind, ...widths: readonly number[]): Format[] {
  return widths.map((width) => ({ kind, width }));
}

/** Why the scanner stands still. */
type Stop = Exclude<Decoded<never>, { readonly kind: "frame" }> | undefined;

/** A container whose values are still coming; the keys of a map count as values of their own. */
interface Open {
  readonly isMap: boolean;
  left: number;
}

/**
 * Finds the end of one value without building it, and refuses what msgpackr would read without bounds or by surprise.
 * Ask it again with the same bytes and more behind them: it goes on where it stopped. So a message costs one step per
 * value, and one per call, whatever pieces it comes in.
 *
 * `atLeast` is the smallest size that the message can still have: the end of the value at hand, and one byte for each
 * value which the open containers are owed. So even who forgets, and begins anew whenever so many bytes are there, looks
 * n·log n and not n² times at a long list: whenever n values are owed, n bytes come before the next look. Trees made to
 * owe few values at a time, however many there are, come closer to n²; against them, n is bounded by `maxItems`.
 */
export class MsgpackScanner {
  readonly #maxDepth: number;
  readonly #maxItems: number;
  readonly #maxBytes: number;
  readonly #extensions: readonly number[];
  readonly #open: Open[] = [];
  #at = 0;
  #items = 0;
  #owed = 1;
  #refusal: ReturnType<typeof malformed> | undefined;

  constructor({
    maxDepth = MAX_DEPTH,
    maxItems = MAX_ITEMS,
    maxBytes = MAX_BYTES,
    extensions = [TIMESTAMP],
  }: MsgpackLimits = {}) {
    this.#maxDepth = maxDepth;
    this.#maxItems = maxItems;
    this.#maxBytes = maxBytes;
    this.#extensions = extensions;
  }

  /** Values seen whole so far: the work done. */
  get items(): number {
    return this.#items;
  }

  /** The size of the value once all of it is there. `bytes` must begin with those of the last call. */
  scan(bytes: Uint8Array): Decoded<undefined> {
    while (this.#owed > 0 && this.#refusal === undefined) {
      const stop = this.#next(bytes);
      if (stop?.kind === "more") return stop;
      this.#refusal = stop;
    }
    return this.#refusal ?? frame(undefined, this.#at);
  }

  /** Goes past one value, or into a container; otherwise says why not. */
  #next(bytes: Uint8Array): Stop {
    const token = bytes[this.#at];
    if (token === undefined) return this.#lacks(bytes, 1);
    if (token < 0x80 || token > LAST_FORMAT) return this.#take(bytes, 1);
    if (token < 0x90) return this.#enter(bytes, 1, { isMap: true, left: 2 * (token & 0x0f) });
    if (token < 0xa0) return this.#enter(bytes, 1, { isMap: false, left: token & 0x0f });
    if (token < FIRST_FORMAT) return this.#take(bytes, 1 + (token & 0x1f));
    return this.#format(bytes, FORMATS[token - FIRST_FORMAT]);
  }

  #format(bytes: Uint8Array, format: Format | undefined): Stop {
    if (format === undefined) return malformed("0xc1 is never used");
    const { kind, width } = format;
    const header = 1 + width;
    if (kind === "scalar") return this.#take(bytes, header);
    const lacks = this.#lacks(bytes, header);
    if (lacks) return lacks;
    const length = format.size ?? uint(bytes, this.#at + 1, width);
    switch (kind) {
      case "text":
        return this.#take(bytes, header + length);
      case "bytes":
        return this.#isKey() ? malformed("bytes as map key") : this.#take(bytes, header + length);
      case "extension":
        return this.#extension(bytes, header, length);
      case "array":
        return this.#enter(bytes, header, { isMap: false, left: length });
      case "map":
        return this.#enter(bytes, header, { isMap: true, left: 2 * length });
      default:
        return kind satisfies never;
    }
  }

  /** Told apart by type, never by what msgpackr makes of it: built into it are functions, RegExps, cycles and more. */
  #extension(bytes: Uint8Array, header: number, size: number): Stop {
    if (this.#isKey()) return malformed("an extension as map key");
    const lacks = this.#lacks(bytes, header + 1);
    if (lacks) return lacks;
    const type = ((bytes[this.#at + header] ?? 0) << 24) >> 24; // one signed byte
    if (!this.#extensions.includes(type)) return malformed(`extension type ${type} is not allowed`);
    if (type === TIMESTAMP && !TIMESTAMP_SIZES.includes(size)) return malformed(`a timestamp of ${size} bytes`);
    const stop = this.#take(bytes, header + 1 + size);
    if (stop || type !== TIMESTAMP || isDate(bytes.subarray(this.#at - size, this.#at))) return stop;
    return malformed("a timestamp beyond the range of dates");
  }

  #enter(bytes: Uint8Array, header: number, container: Open): Stop {
    if (this.#isKey()) return malformed("a container as map key"); // msgpackr throws on it
    if (this.#open.length >= this.#maxDepth) return malformed(`deeper than ${this.#maxDepth} levels`);
    const items = this.#items + this.#owed + container.left;
    if (items > this.#maxItems) return malformed(`more than ${this.#maxItems} values`);
    return this.#take(bytes, header, container);
  }

  /** Leaves a value of `size` bytes behind, when all of it is there. */
  #take(bytes: Uint8Array, size: number, container?: Open): Stop {
    const lacks = this.#lacks(bytes, size, container?.left);
    if (lacks) return lacks;
    this.#at += size;
    this.#items++;
    this.#owed += (container?.left ?? 0) - 1;
    const parent = this.#open.at(-1);
    if (parent) parent.left--;
    if (container) this.#open.push(container);
    while (this.#open.at(-1)?.left === 0) this.#open.pop();
    return undefined;
  }

  /** Why `size` bytes of the value at hand cannot be had: none may come, or not yet. `inside` values follow within it. */
  #lacks(bytes: Uint8Array, size: number, inside = 0): Stop {
    const end = this.#at + size;
    const atLeast = end + this.#owed - 1 + inside;
    if (atLeast > this.#maxBytes) return tooLarge(this.#maxBytes);
    return end > bytes.length ? needs(atLeast) : undefined;
  }

  #isKey(): boolean {
    const parent = this.#open.at(-1);
    return parent?.isMap === true && parent.left % 2 === 0;
  }
}

function uint(bytes: Uint8Array, at: number, width: number): number {
  let value = 0;
  for (let index = at; index < at + width; index++) value = value * 256 + (bytes[index] ?? 0);
  return value;
}

/** Whether a timestamp is well-formed and a Date can hold it: of others msgpackr makes a wrong date without a word. */
function isDate(body: Uint8Array): boolean {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  if (body.length === 4) return true; // seconds until 2106
  if (body.length === 8) return view.getUint32(0) >>> 2 <= MAX_NANOSECONDS; // 30 bits, then 34 bits of seconds
  const nanoseconds = view.getUint32(0);
  const ms = Number(view.getBigInt64(4)) * 1000 + nanoseconds / 1_000_000;
  return nanoseconds <= MAX_NANOSECONDS && Math.abs(ms) <= MAX_DATE_MS;
}
