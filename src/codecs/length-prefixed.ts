import { type Codec, type Decoded, malformed, needs, tooLarge } from "./codec.ts";
import { decodeInner, payload } from "./inner.ts";
import { type LengthField, readLength, writeLength } from "./length-field.ts";

/** The shape of frames with a length in front of what they carry. */
export interface LengthPrefixedOptions {
  /** Bytes of the length field. */
  readonly size: 1 | 2 | 3 | 4 | 8;
  /** Default `"big"`, network order. */
  readonly endian?: "big" | "little";
  /** Does the value count what stands before the payload, too: the length field and the `offset` bytes? Default false. */
  readonly includesHeader?: boolean;
  /** Bytes before the length field: a type, a version. They come first in the frame's value. Default 0. */
  readonly offset?: number;
  /** Bytes that follow and which the value does not count, such as a mark at the end; negative for those counted twice. Default 0. */
  readonly adjust?: number;
  /** The largest frame, all of it counted. Default: 65,535 bytes behind the header. */
  readonly maxBytes?: number;
}

/** What two bytes of length can say, which is more than hand-made protocols send. Each waiting session may hold as much. */
const MAX_PAYLOAD_BYTES = 65_535;
const SIZES: readonly number[] = [1, 2, 3, 4, 8];

/** The options with everything looked up. */
interface Shape extends LengthField {
  readonly offset: number;
  /** Where the payload begins. */
  readonly header: number;
  /** What is added to the value to make it the payload's bytes. */
  readonly extra: number;
  readonly maxBytes: number;
}

/**
 * Frames with a length in front, each as its bytes without the length field: the payload, behind the `offset` bytes if
 * there are any. With `inner`, a codec whose value must fill exactly these bytes, each frame is a value of that.
 * `encode` throws RangeError on a frame that the field or `maxBytes` has no room for.
 * @throws TypeError on options that fit no frame
 */
export function lengthPrefixed(options: LengthPrefixedOptions): Codec<Buffer>;
export function lengthPrefixed<T>(options: LengthPrefixedOptions & { readonly inner: Codec<T> }): Codec<T>;
export function lengthPrefixed<T>(
  options: LengthPrefixedOptions & { readonly inner?: Codec<T> },
): Codec<Buffer> | Codec<T> {
  const shape = checked(options);
  return options.inner ? codecOf(shape, options.inner) : codecOf(shape, payload);
}

function codecOf<T>(shape: Shape, inner: Codec<T>): Codec<T> {
  const { begin } = inner;
  return {
    name: "lengthPrefixed",
    decode: (bytes) => decode(bytes, shape, inner),
    encode: (value) => framed(inner.encode(value), shape),
    ...(begin && { begin: (conversation) => codecOf(shape, begin(conversation)) }),
  };
}

function decode<T>(bytes: Uint8Array, shape: Shape, inner: Codec<T>): Decoded<T> {
  const { header, offset, maxBytes } = shape;
  if (bytes.length < header) return needs(header);
  const length = readLength(bytes, shape, offset) + shape.extra;
  if (length < 0) return malformed("a length that does not count its own header");
  const size = header + length;
  if (size > maxBytes) return tooLarge(maxBytes);
  if (bytes.length < size) return needs(size);
  const content = bytes.subarray(header, size);
  return decodeInner(inner, offset === 0 ? content : Buffer.concat([bytes.subarray(0, offset), content]), size);
}

function framed(content: Uint8Array, shape: Shape): Buffer {
  const { offset, size, header, maxBytes } = shape;
  const total = content.length + size;
  const value = total - header - shape.extra;
  if (total < header) throw new RangeError(`lengthPrefixed: ${content.length} bytes, less than offset`);
  if (total > maxBytes) throw new RangeError(`lengthPrefixed: a frame of ${total} bytes, more than ${maxBytes}`);
  if (value < 0 || value >= 256 ** size) throw new RangeError(`lengthPrefixed: no length of ${size} bytes is ${value}`);
  const bytes = Buffer.allocUnsafe(total);
  bytes.set(content.subarray(0, offset));
  writeLength(bytes, shape, value, offset);
  bytes.set(content.subarray(offset), header);
  return bytes;
}

function checked(options: LengthPrefixedOptions): Shape {
  const { size, endian = "big", includesHeader = false, offset = 0, adjust = 0 } = options;
  if (!SIZES.includes(size)) throw new TypeError(`lengthPrefixed: size is not 1, 2, 3, 4 or 8: ${size}`);
  if (endian !== "big" && endian !== "little") throw new TypeError(`lengthPrefixed: endian is not "big" or "little"`);
  if (!Number.isInteger(offset) || offset < 0) throw new TypeError(`lengthPrefixed: offset is no count: ${offset}`);
  if (!Number.isInteger(adjust)) throw new TypeError(`lengthPrefixed: adjust is no integer: ${adjust}`);
  const header = offset + size;
  const { maxBytes = header + MAX_PAYLOAD_BYTES } = options;
  if (!Number.isInteger(maxBytes) || maxBytes < header) {
    throw new TypeError(`lengthPrefixed: maxBytes is not ${header} or more: ${maxBytes}`);
  }
  return { size, endian, offset, header, extra: adjust - (includesHeader ? header : 0), maxBytes };
}
