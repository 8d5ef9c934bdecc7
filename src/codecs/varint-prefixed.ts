import { type Codec, type Decoded, frame, malformed, needs, tooLarge } from "./codec.ts";
import { decodeInner, payload } from "./inner.ts";

/** Bounds of frames with a varint in front. */
export interface VarintPrefixedOptions {
  /** The largest frame, its length counted. Default 65,536. */
  readonly maxBytes?: number;
}

/** As much as a msgpack message may have; protobuf's own 2 GiB would be every waiting session's to hold. */
const MAX_BYTES = 65_536;
/** 32 bits: protobuf's messages have at most 2^31 - 1 bytes ("Encoding", "Message structure"). */
const MAX_VARINT_BYTES = 5;
const CONTINUES = 0x80;

/**
 * Protobuf's delimited messages (`writeDelimitedTo`): the length as an unsigned LEB128 of 1 to 5 bytes, then so many bytes.
 * Each frame is its payload, or with `inner`, a codec whose value must fill the payload, a value of that. A length with
 * more bytes than it needs is accepted, as protobuf does. `encode` throws RangeError on a frame above `maxBytes`.
 */
export function varintPrefixed(options?: VarintPrefixedOptions): Codec<Buffer>;
export function varintPrefixed<T>(options: VarintPrefixedOptions & { readonly inner: Codec<T> }): Codec<T>;
export function varintPrefixed<T>(
  options: VarintPrefixedOptions & { readonly inner?: Codec<T> } = {},
): Codec<Buffer> | Codec<T> {
  const { maxBytes = MAX_BYTES, inner } = options;
  if (!Number.isInteger(maxBytes) || maxBytes < 1) throw new TypeError(`varintPrefixed: maxBytes is ${maxBytes}`);
  return inner ? codecOf(maxBytes, inner) : codecOf(maxBytes, payload);
}

function codecOf<T>(maxBytes: number, inner: Codec<T>): Codec<T> {
  const { begin } = inner;
  return {
    name: "varintPrefixed",
    decode: (bytes) => decode(bytes, maxBytes, inner),
    encode: (value) => framed(inner.encode(value), maxBytes),
    ...(begin && { begin: (conversation) => codecOf(maxBytes, begin(conversation)) }),
  };
}

function decode<T>(bytes: Uint8Array, maxBytes: number, inner: Codec<T>): Decoded<T> {
  const length = readVarint(bytes, maxBytes);
  if (length.kind !== "frame") return length;
  const size = length.size + length.value;
  return bytes.length < size ? needs(size) : decodeInner(inner, bytes.subarray(length.size, size), size);
}

/** The length, refused at the first byte that makes the frame larger than `maxBytes`. */
function readVarint(bytes: Uint8Array, maxBytes: number): Decoded<number> {
  let value = 0;
  for (let index = 0, weight = 1; index < MAX_VARINT_BYTES; index++, weight *= CONTINUES) {
    const byte = bytes[index];
    if (byte === undefined) return needs(index + 1 + value);
    value += (byte % CONTINUES) * weight;
    if (index + 1 + value > maxBytes) return tooLarge(maxBytes);
    if (byte < CONTINUES) return frame(value, index + 1);
  }
  return malformed(`a length of more than ${MAX_VARINT_BYTES} bytes`);
}

function framed(content: Uint8Array, maxBytes: number): Buffer {
  const length: number[] = [];
  let left = content.length;
  for (; left >= CONTINUES; left = Math.floor(left / CONTINUES)) length.push((left % CONTINUES) | CONTINUES);
  length.push(left);
  const total = length.length + content.length;
  if (total > maxBytes) throw new RangeError(`varintPrefixed: a frame of ${total} bytes, more than ${maxBytes}`);
  const bytes = Buffer.allocUnsafe(total);
  bytes.set(length);
  bytes.set(content, length.length);
  return bytes;
}
