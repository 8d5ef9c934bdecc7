import type { Socket } from "node:net";
import { BUFFER_BYTES } from "../../upstream/dial.ts";

const NOTHING = Buffer.alloc(0);

/**
 * The writing half of a socket behind filters. What comes in one go leaves with one system call: pieces that lie side by side in
 * memory, as frames that nobody changed do, become one again; others are gathered.
 */
export class Sink {
  /** Bytes handed to the socket. */
  bytes = 0;
  /** More was injected than the socket takes: nobody may inject more until it has drained. */
  holdsUp = false;
  readonly #stream: Socket;
  readonly #onMove: () => void;
  #gathered: Buffer[] = [];
  #last: Buffer = NOTHING;
  /** Bytes right behind the last piece, in the same memory. */
  #more = 0;
  #size = 0;

  /** `onMove`: the socket has taken bytes at once. */
  constructor(stream: Socket, onMove: () => void) {
    this.#stream = stream;
    this.#onMove = onMove;
  }

  /** Takes bytes still. */
  get isOpen(): boolean {
    return !this.#stream.writableEnded && !this.#stream.destroyed;
  }

  /** Holds as much as it should. */
  get isFull(): boolean {
    return this.#stream.writableNeedDrain;
  }

  /** Holds nothing. */
  get isDry(): boolean {
    return this.#size === 0 && this.#stream.writableLength === 0;
  }

  put(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#size += piece.length;
    const { buffer, byteOffset, length } = this.#last;
    if (buffer === piece.buffer && byteOffset + length + this.#more === piece.byteOffset) this.#more += piece.length;
    else {
      this.#gather();
      this.#last = piece;
    }
    if (this.#size >= BUFFER_BYTES) this.flush();
  }

  /** Hands over what has been put. */
  flush(): void {
    if (this.#size === 0) return;
    this.#gather();
    const pieces = this.#gathered;
    const size = this.#size;
    this.#gathered = [];
    this.#size = 0;
    if (!this.isOpen) return;
    this.bytes += size;
    if (this.#write(pieces)) this.#onMove();
  }

  /** Sends the end behind what has been put. `onFlushed`: the kernel has all, or the socket is gone. */
  end(onFlushed: () => void = () => {}): void {
    this.flush();
    if (this.#stream.writableFinished || this.#stream.destroyed) onFlushed();
    else this.#stream.end(onFlushed); // also after its end was asked for
  }

  #gather(): void {
    const { buffer, byteOffset, length } = this.#last;
    if (length > 0)
      this.#gathered.push(this.#more === 0 ? this.#last : Buffer.from(buffer, byteOffset, length + this.#more));
    this.#last = NOTHING;
    this.#more = 0;
  }

  #write(pieces: readonly Buffer[]): boolean {
    let isTaken = true;
    if (pieces.length > 1) this.#stream.cork();
    for (const piece of pieces) isTaken = this.#stream.write(piece);
    if (pieces.length > 1) this.#stream.uncork();
    return isTaken;
  }
}
