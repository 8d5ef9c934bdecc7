import type { PartyTls, SecuredParty } from "./party-tls.ts";

/**
 * A client or a peer of a run, at the other end of the gateway's connection. It takes in all that comes, whether its script reads
 * that or not. When its script has ended it stays, and answers the gateway's end with its own.
 */
export interface Party {
  /** `client`, or the address of the peer. */
  readonly name: string;
  /** All that has come from the gateway; within TLS, the clear text. */
  readonly received: Buffer;
  /** Sends bytes; text is UTF-8. Resolves when the gateway has room for more; what it does not take any more is lost. */
  send(bytes: string | Uint8Array): Promise<void>;
  /** What has come and was not read yet, at least a byte; empty when nothing comes any more. */
  receive(): Promise<Buffer>;
  /** So many bytes; or these very ones. @throws RunError when the gateway ends before, and when something else comes */
  receive(wanted: number | string | Uint8Array): Promise<Buffer>;
  /** All up to these bytes, and them. @throws RunError when the gateway ends before */
  receiveUntil(delimiter: string | Uint8Array): Promise<Buffer>;
  /** All that still comes, until the gateway ends its side. @throws RunError when it resets */
  receiveAll(): Promise<Buffer>;
  /** Does nothing for a while, by the clock of the run. */
  wait(ms: number): Promise<void>;
  /** Ends its side, behind all that it has sent; the gateway may go on sending. */
  end(bytes?: string | Uint8Array): Promise<void>;
  /** Breaks the connection off. */
  reset(): void;
  /**
   * Speaks TLS from here on: a client as the client, a peer as the server, which needs `cert` and `key`. Resolves when both have agreed.
   * @throws RunError when they do not
   */
  startTls(options?: PartyTls): Promise<SecuredParty>;
}

/** What plays a client or a peer: a function, or steps that follow one another. */
export type Script = Step | readonly Step[];

/** One thing that a client or a peer does. It has ended when what it returns has. */
export type Step = (party: Party) => unknown;
