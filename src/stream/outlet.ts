import type { Writable } from "node:stream";
import { GatewayError } from "../errors.ts";
import { Deadline } from "./deadline.ts";

/** Written and awaited in pieces of this size, so that progress shows, and only what left us counts as sent. */
const PIECE_BYTES = 65_536;

/**
 * Writes of hooks and content handlers, one after the other in the order of their calls. Each resolves when its bytes are with
 * the kernel; a client that takes none for too long is let go.
 */
export class Outlet {
  /** Bytes that are with the kernel. */
  sent = 0;
  readonly #stream: Writable;
  readonly #patience: Deadline;
  #last: Promise<void> = Promise.resolve();
  #failure: GatewayError | undefined;
  /** No byte may follow. */
  isShut = false;

  /** `stallMs`: how long no byte may move. nginx: `proxy_timeout`, OpenResty: `lua_socket_send_timeout`. */
  constructor(stream: Writable, stallMs: number) {
    this.#stream = stream;
    this.#patience = new Deadline(stallMs);
  }

  /** @throws GatewayError RC_CLIENT_RESET, RC_IDLE_TIMEOUT; TypeError after `shutdown` */
  write(bytes: Uint8Array): Promise<void> {
    if (this.isShut) throw new TypeError("write: after shutdown");
    const written = this.#last.then(() => this.#pieces(bytes));
    this.#last = written.catch(() => {}); // its own caller hears of it
    return written;
  }

  /** Half-closes, behind what was written before. @throws TypeError when that was done before */
  shutdown(): Promise<void> {
    if (this.isShut) throw new TypeError("shutdown: already shutdown");
    this.isShut = true;
    return this.#last.then(() => new Promise((resolve) => this.#stream.end(resolve)));
  }

  /** Resolves when nothing waits to be written: somebody else may write now. Rejects when some of it never will be. */
  async flushed(): Promise<void> {
    await this.#last;
    if (this.#failure) throw this.#failure;
  }

  /** Nothing more is written but the piece that is on its way. */
  stop(): void {
    this.#patience.stop();
    this.#failure ??= new GatewayError("RC_CLIENT_CLOSED", "the session has ended");
  }

  async #pieces(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) await this.#piece(bytes.subarray(at, at + PIECE_BYTES));
  }

  #piece(bytes: Uint8Array): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    this.#patience.rearm();
    return new Promise((resolve, reject) => {
      const fail = (error: GatewayError): void => {
        this.#failure ??= error;
        reject(this.#failure);
      };
      this.#patience.onExpire = () => {
        fail(new GatewayError("RC_IDLE_TIMEOUT", "the client does not read"));
        this.#stream.destroy();
      };
      this.#stream.write(bytes, (cause) => {
        this.#patience.onExpire = undefined;
        if (cause) return fail(new GatewayError("RC_CLIENT_RESET", "while writing", { cause }));
        this.sent += bytes.length;
        resolve();
      });
    });
  }
}
