import type { TLSSocket } from "node:tls";

/**
 * What the next handshake with the same peer needs in order to resume: given to `sslHandshake` as `session`. It stands for the
 * newest ticket of its connection, which with TLS 1.3 comes behind the handshake, at the first read (RFC 8446 §4.6.1).
 */
export class TlsSession {
  /** Whom the peer was asked to be, and how it was verified: only the same question may be answered by resuming. */
  readonly identity: string;
  #ticket: Buffer | undefined;

  constructor(identity: string, stream: TLSSocket) {
    this.identity = identity;
    stream.on("session", (ticket: Buffer) => {
      this.#ticket = ticket;
    });
    // Before TLS 1.3 the session is complete with the handshake, and a resumed one brings no new ticket.
    if (stream.getProtocol() !== "TLSv1.3") this.#ticket = stream.getSession();
  }

  /** Undefined while no ticket has come. */
  get ticket(): Buffer | undefined {
    return this.#ticket;
  }
}
