const LF = 0x0a;
const CR = 0x0d;
const MIN_ROOM_BYTES = 1_024; // most heads fit

/** Where in a line the next byte stands, for who looks for an empty one. */
type Place = "inLine" | "lineBegin" | "behindCr";

/** Finds the end of a head that may come in many pieces, looking at each byte once, and keeps the pieces; pure. */
export class HeadCollector {
  #place: Place = "inLine";
  #store: Buffer | undefined;
  #size = 0;

  /** Bytes kept so far. */
  get size(): number {
    return this.#size;
  }

  /** What is kept so far. Valid until the next call. */
  get begun(): Uint8Array {
    return this.#store?.subarray(0, this.#size) ?? new Uint8Array();
  }

  /** Where in `bytes` the head ends, when looked for from `at` on; -1 when further on. Ask about each byte once. */
  end(bytes: Uint8Array, at: number): number {
    for (let next = at; ; ) {
      const byte = this.#place === "inLine" ? LF + 1 : bytes[next];
      if (byte === undefined) return -1;
      if (byte === LF) return next + 1;
      if (byte === CR && this.#place === "lineBegin") {
        this.#place = "behindCr";
        next++;
        continue;
      }
      const lineEnd = bytes.indexOf(LF, next);
      this.#place = lineEnd === -1 ? "inLine" : "lineBegin";
      if (lineEnd === -1) return -1;
      next = lineEnd + 1;
    }
  }

  /** Keeps a copy: the chunk's memory is its sender's. */
  keep(piece: Uint8Array): void {
    const size = this.#size + piece.length;
    if (!this.#store || size > this.#store.length) {
      const room = Buffer.allocUnsafeSlow(Math.max(MIN_ROOM_BYTES, 2 * size));
      room.set(this.begun);
      this.#store = room;
    }
    this.#store.set(piece, this.#size);
    this.#size = size;
  }

  /** The whole head, which ends with `last`: without a copy where it came in one piece. The next one may begin. */
  take(last: Uint8Array): Uint8Array {
    let whole = last;
    if (this.#size > 0) {
      this.keep(last);
      whole = this.begun;
    }
    this.#place = "inLine";
    this.#store = undefined;
    this.#size = 0;
    return whole;
  }
}
