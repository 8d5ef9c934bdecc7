import { type Codec, type Decoded, frame, malformed } from "./codec.ts";

/** The bytes of a frame themselves, as a copy: the payload of who names no `inner` codec. */
export const payload: Codec<Buffer> = {
  name: "bytes",
  decode: (bytes) => frame(Buffer.from(bytes), bytes.length),
  encode: (value) => value,
};

/** Reads what a frame of `size` bytes holds: exactly one value of `inner`, or the frame is malformed. */
export function decodeInner<T>(inner: Codec<T>, bytes: Uint8Array, size: number): Decoded<T> {
  const decoded = inner.decode(bytes);
  switch (decoded.kind) {
    case "malformed":
      return { ...decoded, reason: `${inner.name}: ${decoded.reason}` };
    case "more":
      return malformed(`${inner.name}: the frame ends within the value`);
    case "frame":
      if (decoded.size === bytes.length) return frame(decoded.value, size);
      return malformed(`${inner.name}: ${bytes.length - decoded.size} bytes behind the value`);
    default:
      return decoded satisfies never;
  }
}
