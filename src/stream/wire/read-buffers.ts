/** What a relayed socket reads into while it says little: most of them are idle, and have their buffer all the same. */
export const SMALL_BYTES = 1_024;

/** libuv's own size, and one that halves the system calls of bulk once more. */
export const MEDIUM_BYTES = 65_536;
export const LARGE_BYTES = 262_144;

/** Most unused buffers of a size that are kept for the next socket: as many bytes of each size. */
const KEPT_BYTES = 2_097_152;

/** Buffers to read into, used again by one socket after the other. Never one by two at a time: a write may still read from it. */
export class ReadBuffers {
  readonly #free = new Map<number, Buffer[]>([SMALL_BYTES, MEDIUM_BYTES, LARGE_BYTES].map((size) => [size, []]));

  take(size: number = SMALL_BYTES): Buffer {
    return this.#free.get(size)?.pop() ?? Buffer.allocUnsafeSlow(size);
  }

  /** Nobody reads into it any more, and nobody writes out of it. */
  give(buffer: Buffer): void {
    const free = this.#free.get(buffer.length);
    if (free && (free.length + 1) * buffer.length <= KEPT_BYTES) free.push(buffer);
  }

  /** How many unused ones of a size there are. */
  kept(size: number): number {
    return this.#free.get(size)?.length ?? 0;
  }

  /** The size for a socket whose reads fill this one. */
  larger(size: number): number {
    return size < MEDIUM_BYTES ? MEDIUM_BYTES : LARGE_BYTES;
  }

  /** The size for a socket that never needs this one. */
  smaller(size: number): number {
    return size > MEDIUM_BYTES ? MEDIUM_BYTES : SMALL_BYTES;
  }
}
