import { Socket } from "node:net";
import type { Address } from "../codecs/address.ts";
import { BUFFER_BYTES } from "../upstream/dial.ts";

/** One end of a connection in memory. */
export interface MemoryEnd {
  readonly local: Address;
  readonly remote: Address;
  /** What this end sends arrives byte by byte, each in a turn of the event loop of its own. */
  readonly oneByOne?: boolean;
  /** It is still to be connected. */
  readonly isDialed?: boolean;
}

/** The two ends of a connection without a network. */
export function memoryPair(left: MemoryEnd, right: MemoryEnd): [MemorySocket, MemorySocket] {
  const near = new MemorySocket(left);
  const far = new MemorySocket(right, near);
  return [near, far];
}

/**
 * A socket of Node's without a network: what is written arrives at the other end a turn of the event loop later, an end and a
 * reset as well; who does not read stops the other's writes; who closes with unread bytes resets, as a kernel does.
 */
export class MemorySocket extends Socket {
  readonly #oneByOne: boolean;
  #other: MemorySocket | undefined;
  /** The other end's next piece waits for room here. */
  #onRoom: (() => void) | undefined;
  #isSending = false;
  #onSent: (() => void) | undefined;
  #isReset = false;
  #hasEnd = false;
  #isConnected: boolean;

  constructor({ local, remote, oneByOne = false, isDialed = false }: MemoryEnd, other?: MemorySocket) {
    super({ allowHalfOpen: true, ...{ highWaterMark: BUFFER_BYTES } });
    this.#oneByOne = oneByOne;
    this.#isConnected = !isDialed;
    this.#other = other;
    if (other) other.#other = this;
    const names = {
      localAddress: local.host,
      localPort: local.port,
      remoteAddress: remote.host,
      remotePort: remote.port,
    };
    for (const [name, value] of Object.entries(names)) Object.defineProperty(this, name, { value });
    this.on("error", ignore); // seen by who owns it; between two owners nobody else listens
    // Node's TLS takes a socket without a handle for one that is still to be connected, and waits for the event.
    this.on("newListener", (event) => {
      if (event === "connect" && this.#isConnected) process.nextTick(() => this.emit("connect"));
    });
  }

  /** For who dials: from here on it is connected. */
  arrive(): void {
    this.#isConnected = true;
    this.emit("connect");
  }

  /** It keeps no process alive. */
  override ref(): this {
    return this;
  }

  override unref(): this {
    return this;
  }

  override resetAndDestroy(): this {
    this.#isReset = true;
    return this.destroy();
  }

  override _read(): void {
    const next = this.#onRoom;
    this.#onRoom = undefined;
    next?.();
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#send(Buffer.from(chunk), done);
  }

  override _writev(
    chunks: readonly { readonly chunk: Buffer; readonly encoding: string }[],
    done: (error?: Error) => void,
  ): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  override _final(done: (error?: Error) => void): void {
    setImmediate(() => {
      if (this.#other) this.#other.#close("end");
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const how = this.#isReset || this.readableLength > 0 ? "reset" : "end";
    const tell = (): void => {
      setImmediate(() => {
        if (this.#other) this.#other.#close(how);
      });
    };
    if (this.#isSending && how === "end") this.#onSent = tell;
    else tell();
    this._read(); // what is on its way here is lost
    super._destroy(error, done);
  }

  #send(bytes: Buffer, done: (error?: Error) => void): void {
    const step = this.#oneByOne ? 1 : BUFFER_BYTES; // as much as one read takes
    this.#isSending = true;
    const finish = (error?: Error): void => {
      this.#isSending = false;
      this.#onSent?.();
      done(error);
    };
    const next = (at: number): void => {
      if (at >= bytes.length) finish();
      else setImmediate(() => this.#deliver(bytes.subarray(at, at + step), () => next(at + step), finish));
    };
    next(0);
  }

  #deliver(piece: Buffer, next: () => void, fail: (error: Error) => void): void {
    const other = this.#other;
    if (!other || other.destroyed) fail(systemError("EPIPE"));
    else if (other.push(piece)) next();
    else other.#onRoom = next;
  }

  #close(how: "end" | "reset"): void {
    if (this.destroyed) return;
    if (how === "reset") this.destroy(systemError("ECONNRESET"));
    else if (!this.#hasEnd) {
      this.#hasEnd = true;
      this.push(null);
    }
  }
}

/** An error as the system's calls have it. */
export function systemError(code: "ECONNREFUSED" | "ECONNRESET" | "ENOTFOUND" | "EPIPE"): Error {
  return Object.assign(new Error(code), { code });
}

function ignore(): void {}
