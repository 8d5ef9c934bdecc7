import type { Socket } from "node:net";
import { Alarm } from "./alarm.ts";
import { mayReset, wasReset } from "./reset.ts";

/** Why a wait for bytes ended. */
export type Growth = "enough" | "ended" | "reset" | "timeout";

const EMPTY = Buffer.alloc(0);

/** Room for a second small segment and some more: most heads fit. */
const MIN_ROOM_BYTES = 1_024;

/** Unread bytes in memory while a hook runs, before the rest has to wait in the kernel. nginx: preread_buffer_size. */
const WATCHED_BYTES = 16_384;

/** How long, and how much, a client may go on talking after our last byte. A fraction of nginx's 5 s: a gateway has many. */
const LINGER_MS = 1_000;
const LINGER_BYTES = 1_048_576;

/**
 * The reading half of a socket: first bytes that nobody has consumed yet, and the end of the stream.
 * The socket flows only while somebody waits, so unread bytes stay in the kernel and memory stays bounded.
 * Head, reader, filters and relay take bytes from here, one after the other, so that none is lost in between.
 */
export class Inlet {
  readonly stream: Socket;
  /** The socket below `stream`: the same one, or the one that carries its TLS. */
  readonly transport: Socket;
  /** Bytes that have come in so far. */
  received = 0;
  #store: Buffer = EMPTY; // unread bytes are #store[#start, #end)
  #start = 0;
  #end = 0;
  /** The same object until the bytes change, so that what was decoded of them is found again. */
  #view: Buffer | undefined;
  #state: "open" | "ended" | "reset" = "open";
  #want = 0;
  #wake: ((growth: Growth) => void) | undefined;
  #alarm: Alarm | undefined;
  #watcher: (() => void) | undefined;

  /** `unread`: bytes that came before those of the stream. */
  constructor(stream: Socket, transport: Socket = stream, unread: Buffer = EMPTY) {
    this.stream = stream;
    this.transport = transport;
    this.#store = unread;
    this.#end = unread.length;
    stream.pause();
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    stream.on("error", this.#onReset);
    stream.on("close", this.#onClose);
    if (stream.readableEnded) this.#state = "ended";
    else if (stream.destroyed) this.#state = "reset";
  }

  /** The unread bytes. Valid until the next call of {@link grow} or {@link consume}. */
  get bytes(): Buffer {
    this.#view ??= this.#store.subarray(this.#start, this.#end);
    return this.#view;
  }

  get size(): number {
    return this.#end - this.#start;
  }

  /** No byte will follow the unread ones. */
  get ended(): boolean {
    return this.#state !== "open";
  }

  /** The stream broke: by a reset, or because it was destroyed before its end. */
  get reset(): boolean {
    return this.#state === "reset";
  }

  /** Resolves once `atLeast` unread bytes are there, or none will come, or it is `until`. One waiter at a time. */
  grow(atLeast: number, until: number = Number.POSITIVE_INFINITY): Promise<Growth> {
    if (this.size >= atLeast) return Promise.resolve("enough");
    if (this.#state !== "open") return Promise.resolve(this.#state);
    if (until <= performance.now()) return Promise.resolve("timeout");
    if (this.#wake) throw new TypeError("two waits for the same bytes");
    return new Promise((resolve) => {
      this.#want = atLeast;
      this.#wake = (growth) => {
        this.#wake = undefined;
        this.#alarm?.set(Number.POSITIVE_INFINITY);
        this.#rest();
        resolve(growth);
      };
      if (until !== Number.POSITIVE_INFINITY) this.#alarm ??= new Alarm(() => this.#wake?.("timeout"));
      this.#alarm?.set(until);
      this.stream.resume();
    });
  }

  /**
   * Reports a reset that comes while nobody waits for bytes. A reset shows only to who reads, so the socket flows on until
   * as many bytes are unread as a phase may leave in memory.
   */
  watch(onReset: () => void): void {
    this.#watcher = onReset;
    if (this.#state === "reset") onReset();
    else if (this.#state === "open" && this.size < WATCHED_BYTES) this.stream.resume();
  }

  /** Nobody is behind a hook's reads any more: one that it left behind is given up, so that it cannot stop a relay later. */
  unwatch(): void {
    this.#watcher = undefined;
    if (this.#wake) this.#wake("timeout");
    else this.stream.pause();
  }

  /** Somebody waits for bytes at this moment. */
  get busy(): boolean {
    return this.#wake !== undefined;
  }

  /** Takes the first `size` unread bytes out. The buffer is the caller's until it awaits {@link grow} again. */
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

  /** Gives the stream away, paused and without our listeners; returns what is unread. */
  detach(): Buffer {
    this.#watcher = undefined;
    this.stream.pause();
    this.stream.off("data", this.#onData);
    this.stream.off("end", this.#onEnd);
    this.stream.off("error", this.#onReset);
    this.stream.off("close", this.#onClose);
    const unread = this.consume(this.size);
    this.#wake?.("timeout");
    this.#alarm?.stop();
    this.#state = "reset"; // there is nothing to be had here any more
    return unread;
  }

  /** Ends the connection: what was written is flushed, then no more is heard of it. */
  close(): void {
    const { stream } = this;
    this.#alarm?.stop();
    const goodbye = setTimeout(() => stream.destroy(), LINGER_MS); // whoever does not read our end is not waited for
    stream.once("close", () => clearTimeout(goodbye));
    stream.end();
    if (this.ended) stream.destroySoon();
    else this.#linger();
  }

  /**
   * Closing a socket with unread bytes makes the kernel reset it, and the reset overtakes our last words.
   * So what still comes is read and thrown away for a while (nginx: `lingering_close`).
   */
  #linger(): void {
    const { stream } = this;
    stream.off("data", this.#onData);
    let left = LINGER_BYTES;
    stream.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) stream.destroy();
    });
    stream.once("end", () => stream.destroySoon());
    stream.resume();
  }

  /** Ends the connection with a reset, so that the other end does not take it for a clean close. */
  abort(): void {
    if (mayReset(this)) this.transport.resetAndDestroy();
    this.transport.destroy();
    this.stream.destroy();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.received += chunk.length;
    this.#append(chunk);
    if (!this.#wake) this.#rest();
    else if (this.size >= this.#want) this.#wake("enough");
  };

  /** Stops the flow, unless a watcher wants to hear of a reset and there is room. */
  #rest(): void {
    if (!this.#watcher || this.size >= WATCHED_BYTES) this.stream.pause();
  }

  readonly #onEnd = (): void => this.#settle(wasReset(this) ? "reset" : "ended");
  readonly #onReset = (): void => this.#settle("reset");
  readonly #onClose = (): void => this.#settle(this.stream.readableEnded ? "ended" : "reset");

  #settle(state: "ended" | "reset"): void {
    if (this.#state !== "reset") this.#state = state;
    this.#wake?.(this.#state);
    this.#alarm?.stop();
    if (this.#state === "reset") this.#watcher?.();
  }

  /** The first chunk is kept as it is; later ones are copied into room that doubles, so trickled bytes cost O(n) in all. */
  #append(chunk: Buffer): void {
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

  /** Moves the unread bytes to new memory: what {@link consume} handed out earlier is never written over. */
  #makeRoom(extra: number): void {
    const room = Buffer.allocUnsafeSlow(Math.max(MIN_ROOM_BYTES, 2 * (this.size + extra)));
    this.#store.copy(room, 0, this.#start, this.#end);
    this.#end = this.size;
    this.#start = 0;
    this.#store = room;
  }
}
