import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { Dialed } from "../../upstream/dial.ts";
import { sayGoodbye } from "../goodbye.ts";
import { Inlet } from "../inlet.ts";
import type { TlsSession } from "./tls-session.ts";

/** One connection to a peer, which sockets use one after the other with rests in a pool between them. */
export class Outgoing {
  /** How often it came out of a pool. */
  reused = 0;
  /** Set once it speaks TLS. */
  session: TlsSession | undefined;
  /** Options that were set, which stay while the connection lives. */
  readonly options: Map<string, number> = new Map([
    ["keepalive", 1],
    ["tcp-nodelay", 1],
  ]);
  #inlet: Inlet;
  #idle: { readonly timer: NodeJS.Timeout | undefined } | undefined;

  constructor({ stream, transport }: Dialed) {
    this.#inlet = new Inlet(stream, transport);
  }

  get inlet(): Inlet {
    return this.#inlet;
  }

  get stream(): Socket {
    return this.#inlet.stream;
  }

  /** TLS is up: the clear text takes the place of the bytes. */
  speakThrough(stream: Socket, session: TlsSession): void {
    this.#inlet = new Inlet(stream, this.#inlet.transport);
    this.session = session;
  }

  /**
   * Bytes or an end have come that nobody asked for. What the kernel has shows to a reader only, and within one turn of the
   * event loop; the first turn may be the rest of the one that runs.
   */
  async isDubious(): Promise<boolean> {
    const { inlet } = this;
    void inlet.grow(1);
    await turn();
    await turn();
    inlet.unwatch(); // gives the wait up
    return inlet.size > 0 || inlet.ended;
  }

  /**
   * Waits in a pool without keeping the process alive, for `idleMs` at most, where 0 is for ever. `onGone` is called when
   * time is over, and when the peer ends or says something: there is no request that this could be the answer to.
   */
  rest(idleMs: number, onGone: () => void): void {
    const { stream, transport } = this.#inlet;
    this.#inlet.detach(); // with it goes the timer of its last read
    this.#inlet = new Inlet(stream, transport);
    transport.unref();
    const idle = { timer: idleMs > 0 ? setTimeout(onGone, idleMs).unref() : undefined };
    this.#idle = idle;
    void this.#inlet.grow(1).then(() => {
      if (this.#idle === idle) onGone();
    });
  }

  /** Comes out of the pool. */
  wake(): void {
    clearTimeout(this.#idle?.timer);
    this.#idle = undefined;
    this.#inlet.unwatch();
    this.#inlet.transport.ref();
    this.reused++;
  }

  /** Ends it: what was written is flushed, unless it is stuck. */
  close({ isStuck = false } = {}): void {
    clearTimeout(this.#idle?.timer);
    this.#idle = undefined;
    const { stream, transport } = this.#inlet;
    this.#inlet.detach();
    if (!isStuck && !stream.destroyed) {
      sayGoodbye(stream, true);
      return;
    }
    stream.destroy();
    transport.destroy();
  }
}
