/** What a client is told whose session the gateway ends in good order, between two messages: each sniffer knows how its protocol says it. */
export interface Goodbye {
  /** `drained`: its turn in a drain has come, and another server will have it; `shutdown`: the gateway stops now. */
  readonly why: "drained" | "shutdown";
  /** Bytes that the client has got so far. While there are none, the peer has not answered yet, and most protocols have no place for a goodbye. */
  readonly bytesSent: number;
}
