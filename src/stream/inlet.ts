import { Socket } from "node:net";
import { Alarm } from "./alarm.ts";
import { resetBoth, sayGoodbye } from "./goodbye.ts";
import { wasReset } from "./reset.ts";
import { Unread } from "./unread.ts";
import { Wire, type WireReader } from "./wire/wire.ts";

/** Why a wait for bytes ended. */
export type Growth = "enough" | "ended" | "reset" | "timeout";

/** Unread bytes in memory while a hook runs, before the rest has to wait in the kernel. nginx: preread_buffer_size. */
const WATCHED_BYTES = 16_384;

/**
 * The reading half of a socket: first bytes that nobody has consumed yet, and the end of the stream.
 * The socket flows only while somebody waits, so unread bytes stay in the kernel and memory stays bounded.
 * Head, reader, filters and relay take bytes from here, one after the other, so that none is lost in between.
 */
export class Inlet implements WireReader {
  /** Bytes that have come in so far. */
  received = 0;
  #wire: Wire | undefined;
  #stream: Socket | undefined;
  #transport: Socket | undefined;
  #taps: Taps | undefined;
  readonly #unread: Unread;
  #state: "open" | "ended" | "reset" = "open";
  #want = 0;
  #wake: ((growth: Growth) => void) | undefined;
  #alarm: Alarm | undefined;
  #watcher: ((how: "ended" | "reset") => void) | undefined;

  /** `transport`: the socket that carries the stream's TLS. `unread`: bytes that came before those of the stream. */
  constructor(source: Socket | Wire, transport?: Socket, unread?: Buffer) {
    this.#unread = new Unread(unread);
    if (source instanceof Wire) {
      this.#wire = source;
      source.reader = this;
    } else this.#listen(source, transport ?? source);
  }

  /** Set while there is no socket around the client's handle; asking for {@link stream} makes one, for good. */
  get wire(): Wire | undefined {
    return this.#wire;
  }

  get stream(): Socket {
    return this.#stream ?? this.#makeStream();
  }

  /** The socket below `stream`: the same one, or the one that carries its TLS. */
  get transport(): Socket {
    return this.#transport ?? this.stream;
  }

  /** The unread bytes. Valid until the next call of {@link grow} or {@link consume}. */
  get bytes(): Buffer {
    return this.#unread.bytes;
  }

  get size(): number {
    return this.#unread.size;
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
      this.#flow();
    });
  }

  /**
   * Reports a reset or an end that comes while nobody waits for bytes. A reset shows only to who reads, so the socket flows on until
   * as many bytes are unread as a phase may leave in memory.
   */
  watch(onLeft: (how: "ended" | "reset") => void): void {
    this.#watcher = onLeft;
    if (this.#state !== "open") onLeft(this.#state);
    else if (this.size < WATCHED_BYTES) this.#flow();
  }

  /** Nobody is behind a hook's reads any more: one that it left behind is given up, so that it cannot stop a relay later. */
  unwatch(): void {
    this.#watcher = undefined;
    if (this.#wake) this.#wake("timeout");
    else this.#stop();
  }

  giveUp(): void {
    this.#wake?.("timeout");
  }

  /** Somebody waits for bytes at this moment. */
  get busy(): boolean {
    return this.#wake !== undefined;
  }

  /** Takes the first `size` unread bytes out. The buffer is the caller's until it awaits {@link grow} again. */
  consume(size: number): Buffer {
    return this.#unread.consume(size);
  }

  /** Gives the stream away, paused and without our listeners, or the wire as it is; returns what is unread. */
  detach(): Buffer {
    this.#watcher = undefined;
    if (this.#wire) this.#wire.reader = undefined;
    else this.#unlisten();
    const unread = this.consume(this.size);
    this.#wake?.("timeout");
    this.#alarm?.stop();
    this.#alarm = undefined;
    this.#state = "reset"; // there is nothing to be had here any more
    return unread;
  }

  /** Ends the connection: what was written is flushed, then no more is heard of it. `later`: as {@link sayGoodbye}. */
  close(later?: readonly Uint8Array[]): void {
    this.#alarm?.stop();
    const { stream, ended } = this;
    if (this.#taps) stream.off("data", this.#taps.data);
    sayGoodbye(stream, ended, later);
  }

  /** Ends the connection with a reset, so that the other end does not take it for a clean close. */
  abort(): void {
    if (this.#wire) this.#wire.close("reset");
    else resetBoth(this);
  }

  /** Closes a connection that nothing was written to. */
  drop(): void {
    if (this.#wire) this.#wire.close();
    else this.stream.destroySoon();
  }

  /** Breaks it off. */
  destroy(): void {
    if (this.#wire) this.#wire.close();
    else this.stream.destroy();
  }

  whenClosed(listener: () => void): void {
    if (this.#wire) this.#wire.whenClosed(listener);
    else if (this.stream.closed) listener();
    else this.stream.once("close", listener);
  }

  /** Takes a chunk from the source. */
  take(chunk: Buffer): void {
    this.received += chunk.length;
    this.#unread.append(chunk);
    if (!this.#wake) this.#rest();
    else if (this.size >= this.#want) this.#wake("enough");
  }

  /** Hears from the source that no more will come. */
  settle(state: "ended" | "reset"): void {
    if (this.#state !== "reset") this.#state = state;
    this.#wake?.(this.#state);
    this.#alarm?.stop();
    this.#watcher?.(this.#state);
  }

  #listen(stream: Socket, transport: Socket): void {
    this.#stream = stream;
    this.#transport = transport;
    stream.pause();
    const taps = this.#tapsOf(stream);
    this.#taps = taps;
    stream.on("data", taps.data).on("end", taps.end).on("error", taps.error).on("close", taps.close);
    if (stream.readableEnded) this.#state = "ended";
    else if (stream.destroyed) this.#state = "reset";
  }

  #makeStream(): Socket {
    const socket = this.#wire?.toSocket() ?? new Socket().destroy();
    this.#wire = undefined;
    this.#listen(socket, socket);
    if (this.#state === "reset") socket.destroy();
    else if (this.#state === "ended" || this.#wake || this.#watcher) socket.resume(); // an end that was read is read again
    return socket;
  }

  #flow(): void {
    if (this.#wire) this.#wire.read();
    else this.#stream?.resume();
  }

  #stop(): void {
    if (this.#wire) this.#wire.stop();
    else this.#stream?.pause();
  }

  /** Stops the flow, unless a watcher wants to hear of a reset and there is room. */
  #rest(): void {
    if (!this.#watcher || this.size >= WATCHED_BYTES) this.#stop();
  }

  /** Made for a stream only: most clients never become one. */
  #tapsOf(stream: Socket): Taps {
    return {
      data: (chunk) => this.take(chunk),
      end: () => this.settle(wasReset(this) ? "reset" : "ended"),
      error: () => this.settle("reset"),
      close: () => this.settle(stream.readableEnded ? "ended" : "reset"),
    };
  }

  #unlisten(): void {
    const { stream } = this;
    stream.pause();
    if (!this.#taps) return;
    const { data, end, error, close } = this.#taps;
    stream.off("data", data).off("end", end).off("error", error).off("close", close);
  }
}

/** Listeners on a stream. */
interface Taps {
  readonly data: (chunk: Buffer) => void;
  readonly end: () => void;
  readonly error: () => void;
  readonly close: () => void;
}
