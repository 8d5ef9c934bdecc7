import { type LengthField, readLength, writeLength } from "../codecs/length-field.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `lengthPrefixed()` learned of the first frame. */
export interface LengthPrefixedInfo<Inner = undefined> {
  /** Bytes of the payload, the length field not counted. */
  readonly length: number;
  /** What the inner sniffer learned of the payload. */
  readonly inner: Inner | undefined;
  /** The inner sniffer's name. */
  readonly innerProtocol: string | undefined;
}

/** The shape of a frame's length field, and which values of it are plausible. */
export interface LengthPrefixedOptions<Inner = undefined> {
  /** Bytes of the length field. */
  readonly size: 1 | 2 | 4;
  /** Default `"big"`, network order. */
  readonly endian?: "big" | "little";
  /** Does the value count the length field, too? Default false. */
  readonly includesHeader?: boolean;
  /** The largest value. Default: what fits into the preread buffer's default, 16 KiB. The smaller, the fewer strangers match. */
  readonly max?: number;
  /** The smallest value. Default: one byte of payload, because zeros begin many other protocols. */
  readonly min?: number;
  /** Must match the payload; it sees nothing else, and no byte behind it. */
  readonly inner?: Sniffer<string, Inner>;
}

type Frame<Inner> = LengthPrefixedInfo<Inner>;

/** A frame without inner sniffer that is larger than this gives no example. */
const MAX_EXAMPLE = 65_536;
const ONES = 0xff;
/** A larger frame never is there as a whole: the preread buffer's default. nginx: `preread_buffer_size`. */
const MAX_FRAME_BYTES = 16_384;

/**
 * Frames of your own: a length, then so many bytes. Matches when the first frame is there as a whole, so it must fit into
 * the preread buffer; mismatches at the first byte that makes the length too large or too small.
 * @throws TypeError when no value of the field can lie between `min` and `max`
 */
export function lengthPrefixed<Inner = undefined>(
  options: LengthPrefixedOptions<Inner>,
): Sniffer<"lengthPrefixed", Frame<Inner>> {
  const { size, endian = "big", inner } = options;
  const field = { size, endian };
  const extra = options.includesHeader ? size : 0;
  const { min, max } = checked(options, extra);
  const sniffWith =
    (inside: Sniffer<string, Inner> | undefined) =>
    (head: Uint8Array): Verdict<Frame<Inner>> => {
      const value = readLength(head, field); // with zeros for what is not there, the smallest that it can become
      if (value > max || readLength(head, field, 0, ONES) < min) return mismatch;
      if (head.length < size) return more(head.length + 1);
      const length = value - extra;
      return judged(head.subarray(size, size + length), { size, length, inner: inside });
    };
  const sniff = sniffWith(inner);
  const beginInner = inner?.begin;
  const begin = inner && beginInner && (() => sniffWith({ ...inner, sniff: beginInner() }));
  const shortest = Buffer.alloc(Math.min(min - extra, MAX_EXAMPLE), "x");
  const candidates = (inner?.examples ?? [shortest]).map((payload) => framed(payload, field, extra));
  const examples = candidates.filter((example) => sniff(example).kind === "match");
  return { name: "lengthPrefixed", examples, sniff, ...(begin && { begin }), ...wordsOf(inner, field, extra) };
}

/** What the inner sniffer says, framed as the client frames. What the length field has no room for, is not said. */
function wordsOf<Inner>(
  inner: Sniffer<string, Inner> | undefined,
  field: LengthField,
  extra: number,
): Pick<Sniffer<"lengthPrefixed", Frame<Inner>>, "refuse" | "goodbye"> {
  const fits = ({ length }: Uint8Array): boolean => length + extra < 256 ** field.size;
  return {
    ...(inner?.refuse && {
      refuse: (refusal, info) => {
        const words = info.inner !== undefined ? inner.refuse?.(refusal, info.inner) : undefined;
        const pieces = words instanceof Uint8Array ? [words] : (words ?? []);
        return pieces.every(fits) ? pieces.map((piece) => framed(piece, field, extra)) : undefined;
      },
    }),
    ...(inner?.goodbye && {
      goodbye: (goodbye, info) => {
        const words = info.inner !== undefined ? inner.goodbye?.(goodbye, info.inner) : undefined;
        return words && fits(words) ? framed(words, field, extra) : undefined;
      },
    }),
  };
}

interface Expected<Inner> {
  readonly size: number;
  readonly length: number;
  readonly inner: Sniffer<string, Inner> | undefined;
}

/** Asks the inner sniffer as soon as it wants: what it refuses need not be waited for. */
function judged<Inner>(payload: Uint8Array, { size, length, inner }: Expected<Inner>): Verdict<Frame<Inner>> {
  const whole = payload.length === length;
  const verdict = inner?.sniff(payload);
  if (verdict?.kind === "mismatch") return mismatch;
  if (verdict?.kind === "more") return whole ? mismatch : more(size + Math.min(length, verdict.atLeast));
  return whole ? match({ length, inner: verdict?.info, innerProtocol: inner?.name }) : more(size + length);
}

function checked(
  options: LengthPrefixedOptions<unknown>,
  extra: number,
): { readonly min: number; readonly max: number } {
  const { size, min = extra + 1 } = options;
  if (size !== 1 && size !== 2 && size !== 4) throw new TypeError(`lengthPrefixed: size is not 1, 2 or 4: ${size}`);
  const { max = Math.min(256 ** size - 1, MAX_FRAME_BYTES - size + extra) } = options;
  if (!Number.isInteger(max) || max >= 256 ** size)
    throw new TypeError(`lengthPrefixed: max has no ${size} bytes: ${max}`);
  if (!Number.isInteger(min) || min < extra || min > max) {
    throw new TypeError(`lengthPrefixed: min is not between ${extra} and max: ${min}`);
  }
  return { min, max };
}

function framed(payload: Uint8Array, field: LengthField, extra: number): Buffer {
  const bytes = Buffer.alloc(field.size + payload.length);
  writeLength(bytes, field, Math.min(payload.length + extra, 256 ** field.size - 1)); // one too long is sorted out with the others
  bytes.set(payload, field.size);
  return bytes;
}
