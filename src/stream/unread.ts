const EMPTY = Buffer.alloc(0);

/** Room for a second small segment and some more: most heads fit. */
const MIN_ROOM_BYTES = 1_024;

/** Bytes that came in and that nobody has consumed yet. Memory moves only when it grows, and then it doubles. */
export class Unread {
  #store: Buffer;
  #start = 0;
  #end: number;
  /** The same object until the bytes change, so that what was decoded of them is found again. */
  #view: Buffer | undefined;

  constructor(first: Buffer = EMPTY) {
    this.#store = first;
    this.#end = first.length;
  }

  /** Valid until the next call of {@link append} or {@link consume}. */
  get bytes(): Buffer {
    this.#view ??= this.size === this.#store.length ? this.#store : this.#store.subarray(this.#start, this.#end);
    return this.#view;
  }

  get size(): number {
    return this.#end - this.#start;
  }

  /** Takes the first `size` bytes out. The buffer is the caller's until more are appended. */
  consume(size: number): Buffer {
    const taken = this.#store.subarray(this.#start, Math.min(this.#start + size, this.#end));
    this.#view = undefined;
    this.#start += taken.length;
    if (this.#start === this.#end) {
      this.#store = EMPTY;
      this.#start = this.#end = 0;
    }
    return taken;
  }

  /** The first chunk is kept as it is; later ones are copied into room that doubles, so trickled bytes cost O(n) in all. */
  append(chunk: Buffer): void {
    this.#view = undefined;
    if (this.size === 0) {
      this.#store = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      return;
    }
    if (this.#end + chunk.length > this.#store.length) this.#makeRoom(chunk.length);
    chunk.copy(this.#store, this.#end);
    this.#end += chunk.length;
  }

  /** Moves the bytes to new memory: what {@link consume} handed out earlier is never written over. */
  #makeRoom(extra: number): void {
    const room = Buffer.allocUnsafeSlow(Math.max(MIN_ROOM_BYTES, 2 * (this.size + extra)));
    this.#store.copy(room, 0, this.#start, this.#end);
    this.#end = this.size;
    this.#start = 0;
    this.#store = room;
  }
}
