import { Socket } from "node:net";
import { acceptedSocket } from "../accepted-socket.ts";
import { resetBoth } from "../goodbye.ts";
import type { SocketName, TcpHandle } from "./bindings.ts";
import { bufferedSocket } from "./buffered-socket.ts";
import type { Wires } from "./wires.ts";

/** Who takes a wire's bytes while they are read chunk by chunk. */
export interface WireReader {
  take(chunk: Buffer): void;
  settle(state: "ended" | "reset"): void;
}

/** A TCP socket without a `net.Socket` around it: no stream, no events, no timers. It can become one, for good. */
export class Wire {
  readonly wires: Wires;
  readonly handle: TcpHandle;
  reader: WireReader | undefined;
  /** Told when the wire is closed, or becomes a socket: whoever counts on it must let go. */
  onLeft: (() => void) | undefined;
  #state: "open" | "closing" | "closed" | "socket" = "open";
  #isReading = false;
  /** Reads into a buffer of its user's. */
  #isBuffered = false;
  #keepAliveMs: number;
  #ownEnd: "none" | "asked" | "sent" = "none";
  #whenClosed: (() => void) | undefined;
  #socket: Socket | undefined;

  /** `keepAliveMs`: idle time before keepalive probes; 0: none are sent. */
  constructor(handle: TcpHandle, wires: Wires, keepAliveMs: number) {
    this.wires = wires;
    this.handle = handle;
    this.#keepAliveMs = keepAliveMs;
    if (keepAliveMs > 0) wires.young.add(this);
    handle.onread = (chunk) => this.#onChunk(chunk);
  }

  /** False once somebody has closed it or made a socket of it. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** The other end's address, or our own; undefined when the connection is no more. */
  name(of: "peer" | "own"): SocketName | undefined {
    const name: SocketName = {};
    const error = of === "peer" ? this.handle.getpeername(name) : this.handle.getsockname(name);
    return error === 0 ? name : undefined;
  }

  read(): void {
    if (this.#isReading || !this.isOpen) return;
    this.#isReading = true;
    this.handle.readStart();
  }

  /** From now on bytes are read to there, and `onRead` hears of them, for as long as it is a wire. */
  readInto(buffer: Uint8Array, onRead: TcpHandle["onread"]): void {
    this.reader = undefined;
    this.#isBuffered = true;
    this.handle.onread = onRead;
    this.handle.useUserBuffer(buffer);
  }

  stop(): void {
    if (!this.#isReading || !this.isOpen) return;
    this.#isReading = false;
    this.handle.readStop();
  }

  /** Nothing more can be read: tells what the system's error means. */
  halt(error: number): "ended" | "reset" {
    this.stop();
    return this.wires.isEnd(error) && !this.wasReset() ? "ended" : "reset";
  }

  /** Half-closes, behind what was written. */
  shutdown(): void {
    if (this.#ownEnd !== "none" || !this.isOpen) return;
    this.#ownEnd = "asked";
    this.wires.shutdown(this.handle, () => {
      this.#ownEnd = "sent";
    });
  }

  /**
   * Tells a reset from an end: libuv reports a reset right behind data as a plain end, but the kernel no longer knows the other
   * side of a connection that was reset. Once we have ended our side too, there is no telling, and no need.
   */
  wasReset(): boolean {
    return this.#ownEnd === "none" && this.name("peer") === undefined;
  }

  /** Closes, also as the socket that it has become; with a reset unless an end is on its way: then Node's `reset` fails, and the handle could never be closed. */
  close(how: "end" | "reset" = "end"): void {
    if (this.#socket) closeSocket(this.#socket, how);
    if (!this.isOpen) return;
    this.#state = "closing";
    this.wires.young.delete(this);
    const onClosed = (): void => this.#onClosed();
    if (how === "end" || this.#ownEnd === "asked") this.handle.close(onClosed);
    else this.handle.reset(onClosed);
    this.#left();
  }

  /** Calls once the file descriptor is free. */
  whenClosed(listener: () => void): void {
    const socket = this.#state === "socket" ? this.#socket : undefined;
    if (this.#state === "closed" || socket?.closed) listener();
    else if (socket) socket.once("close", listener);
    else this.#whenClosed = both(this.#whenClosed, listener);
  }

  /** Makes a socket of Node's of it, paused as accepted ones are. */
  toSocket(): Socket {
    this.#socket ??= this.isOpen ? this.#asSocket() : new Socket().destroy();
    return this.#socket;
  }

  #asSocket(): Socket {
    this.#state = "socket";
    this.reader = undefined;
    this.wires.young.delete(this);
    this.#probe();
    this.#left();
    const socket = this.#isBuffered ? bufferedSocket(this.handle) : acceptedSocket({ handle: this.handle });
    if (this.#whenClosed) socket.once("close", this.#whenClosed);
    return socket;
  }

  #left(): void {
    const { onLeft } = this;
    this.onLeft = undefined;
    onLeft?.();
  }

  /** A connection that has lasted gets probes, so that half-dead ones are found; most are over before, and cost none. */
  tick(): void {
    this.wires.young.delete(this);
    if (this.isOpen) this.#probe();
  }

  #probe(): void {
    if (this.#keepAliveMs > 0) this.handle.setKeepAlive(true, Math.trunc(this.#keepAliveMs / 1_000));
    this.#keepAliveMs = 0;
  }

  #onClosed(): void {
    this.#state = "closed";
    this.reader?.settle("reset");
    this.#whenClosed?.();
  }

  #onChunk(chunk?: ArrayBuffer): undefined {
    const { wires } = this;
    const size = wires.lastRead;
    if (size > 0 && chunk) this.reader?.take(Buffer.from(chunk, wires.lastOffset, size));
    if (size >= 0) return;
    const end = this.halt(size); // also when nobody hears of it
    this.reader?.settle(end);
  }
}

function closeSocket(socket: Socket, how: "end" | "reset"): void {
  if (how === "reset") resetBoth({ stream: socket, transport: socket });
  else socket.destroy();
}

function both(first: (() => void) | undefined, second: () => void): () => void {
  if (!first) return second;
  return () => {
    first();
    second();
  };
}
