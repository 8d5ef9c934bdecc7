import { type Bindings, type Request, SOCKET, type TcpHandle } from "./bindings.ts";
import { ReadBuffers } from "./read-buffers.ts";
import { Ticker } from "./ticker.ts";
import { Wire } from "./wire.ts";

/** The answer of a write: the kernel has it all. */
export const WRITTEN = 0;
/** The answer of a write: the rest follows, and until then the bytes must stay as they are. */
export const LATER = 1;

/** libuv's number for the end of a stream, on every platform. */
const UV_EOF = -4_095;

/** Who hears what became of a write that is finished later: 0, or the system's error. */
export interface Writer {
  onWritten(status: number): void;
}

/** TCP sockets without `net.Socket`: makes them, and does for them what needs Node's internals. One per process. */
export class Wires {
  readonly buffers = new ReadBuffers();
  /** Who has a large buffer, and gives it back when it is idle. */
  readonly shrinking = new Ticker();
  /** Who has not lasted long enough for keepalive probes. */
  readonly young = new Ticker();
  readonly #bindings: Bindings;
  /** Used again and again: a write that is done at once leaves no trace on it. */
  #spare: Request | undefined;

  constructor(bindings: Bindings) {
    this.#bindings = bindings;
  }

  /** Bytes of the read that is being told of, 0 for none, or the system's error. */
  get lastRead(): number {
    return this.#bindings.state[this.#bindings.at.read] ?? 0;
  }

  /** Where the bytes of the last read begin in the chunk that was handed out. */
  get lastOffset(): number {
    return this.#bindings.state[this.#bindings.at.offset] ?? 0;
  }

  /** Whether an error is the end of the stream. */
  isEnd(error: number): boolean {
    return error === UV_EOF;
  }

  /** {@link WRITTEN}, {@link LATER}, or the system's error. The writer hears of it after `LATER` only. */
  write(handle: TcpHandle, bytes: Uint8Array, writer: Writer): number {
    const { state, at } = this.#bindings;
    if (at.error !== undefined) return this.#writeTold(handle, bytes, writer, at.error);
    const request = this.#spare ?? new this.#bindings.WriteRequest();
    this.#spare = undefined;
    const error = handle.writeBuffer(request, bytes);
    if (error !== 0) return typeof error === "number" ? error : LATER;
    if (state[at.isAsync] === 0) {
      this.#spare = request;
      return WRITTEN;
    }
    request.bytes = bytes;
    request.oncomplete = (status) => writer.onWritten(status);
    return LATER;
  }

  /** Node 26 makes the request itself, and only for a write that goes on. */
  #writeTold(handle: TcpHandle, bytes: Uint8Array, writer: Writer, errorAt: number): number {
    const answer: number | Request = handle.writeBuffer(null, bytes);
    if (typeof answer === "number") return answer;
    const error = this.#bindings.state[errorAt] ?? 0;
    if (error !== 0) return error;
    if (typeof answer.writeStatus === "number") return Math.min(answer.writeStatus, WRITTEN);
    answer.bytes = bytes;
    answer.oncomplete = (status) => writer.onWritten(status);
    return LATER;
  }

  /** Half-closes, behind what was written. Whether that worked shows to who reads. */
  shutdown(handle: TcpHandle, onShut: () => void): void {
    const request = new this.#bindings.ShutdownRequest();
    request.oncomplete = onShut;
    if (handle.shutdown(request) !== 0) onShut();
  }

  /** Begins to connect to an IP address; 0, or the system's error. */
  connect({ host, port, keepAliveMs }: WireAddress, onConnect: (status: number) => void): Dialing {
    const { Tcp, ConnectRequest } = this.#bindings;
    const handle = new Tcp(SOCKET);
    const request = new ConnectRequest();
    request.oncomplete = onConnect;
    const error = host.includes(":") ? handle.connect6(request, host, port) : handle.connect(request, host, port);
    return { wire: new Wire(handle, this, keepAliveMs), error };
  }

  /** Takes over a handle that libuv accepted. */
  adopt(handle: TcpHandle, keepAliveMs: number): Wire {
    return new Wire(handle, this, keepAliveMs);
  }
}

/** Where a wire goes. */
export interface WireAddress {
  readonly host: string;
  readonly port: number;
  /** Idle time before keepalive probes; 0: none. */
  readonly keepAliveMs: number;
}

/** A connect that has begun. */
export interface Dialing {
  readonly wire: Wire;
  readonly error: number;
}
