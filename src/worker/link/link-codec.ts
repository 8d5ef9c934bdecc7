import type { Codec } from "../../codecs/codec.ts";
import { lengthPrefixed } from "../../codecs/length-prefixed.ts";
import { msgpackCodec } from "../../codecs/msgpack/msgpack.ts";
import { LIMITS } from "./limits.ts";

/** Bytes of the length in front of each frame. */
const LENGTH_BYTES = 4;

/** Values in one frame: a page of sessions has some thousands, and scanning so many takes about a millisecond. */
const MAX_ITEMS = 65_536;

/** The default framing of links: four bytes of length, big-endian, then one msgpack value. `frameBytes` counts both. */
export function linkCodec(frameBytes: number = LIMITS.frameBytes): Codec<unknown> {
  const inner = msgpackCodec({ maxBytes: frameBytes - LENGTH_BYTES, maxItems: MAX_ITEMS });
  return lengthPrefixed({ size: LENGTH_BYTES, maxBytes: frameBytes, inner });
}
