import type { Codec, Decoded } from "../../codecs/codec.ts";
import { messageOf } from "../../errors.ts";
import { Unread } from "../../stream/unread.ts";

/** Bytes of one connection on their way to frames. They are looked at again only when as many are there as the codec asked for. */
export class FrameBuffer {
  readonly #codec: Codec<unknown>;
  readonly #maxBytes: number;
  readonly #unread = new Unread();
  #atLeast = 1;

  /** `maxBytes`: of one frame, also where the codec knows no limit. */
  constructor(codec: Codec<unknown>, maxBytes: number) {
    this.#codec = codec;
    this.#maxBytes = maxBytes;
  }

  append(chunk: Buffer): void {
    this.#unread.append(chunk);
  }

  /** The next frame, taken out. `more`: it is not there yet. Behind what is malformed nothing can be found again. */
  next(): Decoded<unknown> {
    const { size, bytes } = this.#unread;
    if (size < this.#atLeast) return { kind: "more", atLeast: this.#atLeast };
    const decoded = this.#decode(bytes);
    const needed = decoded.kind === "more" ? Math.max(decoded.atLeast, size + 1) : 0; // a codec that asks for nothing must not spin
    if (decoded.kind === "frame") this.#unread.consume(decoded.size);
    this.#atLeast = Math.max(needed, 1);
    if (needed > this.#maxBytes) return { kind: "malformed", reason: `more than ${this.#maxBytes} bytes` };
    return decoded;
  }

  /** A codec of the user's that throws, or that takes nothing, must not end the process. */
  #decode(bytes: Buffer): Decoded<unknown> {
    try {
      const decoded = this.#codec.decode(bytes);
      if (decoded.kind !== "frame" || (decoded.size > 0 && decoded.size <= bytes.length)) return decoded;
      return { kind: "malformed", reason: `a frame of ${decoded.size} bytes` };
    } catch (cause) {
      return { kind: "malformed", reason: messageOf(cause) };
    }
  }
}
