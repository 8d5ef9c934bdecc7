import type { Socket } from "node:net";
import type { Address } from "../codecs/address.ts";
import { unmappedText } from "../codecs/ip.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import { type CarryOptions, carry } from "./carry.ts";
import type { Deadline } from "./deadline.ts";
import { type Growth, Inlet } from "./inlet.ts";
import type { Relay } from "./relay.ts";

/** The first bytes of a client which nobody has consumed. */
export interface Head {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly received: number;
  grow(atLeast: number, deadline?: Deadline): Promise<Growth>;
  consume(size: number): Uint8Array;
  /** Reports a reset that comes while nobody waits for bytes; those that come meanwhile are kept, within bounds. */
  watch(onReset: () => void): void;
  unwatch(): void;
}

/** An accepted client, whoever accepted it: `node:net` here; a native carrier has the same ways on. */
export interface Incoming {
  readonly remote: Address;
  readonly local: Address;
  /** For as long as the protocol is not known. */
  readonly head: Head;
  /** From here on JavaScript owns the bytes: TLS, hooks that read or write, content. */
  takeOver(): Inlet;
  /** Connects and carries: from here on nobody in JavaScript sees the bytes. Rejects while nothing was sent to the peer. */
  relayTo(peer: PeerEndpoint, options: CarryOptions): Promise<Relay>;
}

/** A client accepted by `node:net`. */
export class NodeIncoming implements Incoming {
  readonly remote: Address;
  readonly local: Address;
  readonly #inlet: Inlet;

  constructor(socket: Socket, listening: Address) {
    const isUnix = listening.host.startsWith("unix:");
    this.local = isUnix ? listening : addressOf(socket.localAddress, socket.localPort);
    this.remote = isUnix ? UNIX_CLIENT : addressOf(socket.remoteAddress, socket.remotePort);
    socket.on("error", () => {}); // seen as the inlet's state; between two owners nobody else listens
    this.#inlet = new Inlet(socket);
  }

  get head(): Head {
    return this.#inlet;
  }

  takeOver(): Inlet {
    return this.#inlet;
  }

  relayTo(peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
    return carry(this.#inlet, peer, options);
  }
}

/** A client of a unix socket has no address; nginx writes `unix:`. */
const UNIX_CLIENT: Address = { host: "unix:", port: 0 };

/** A dual-stack socket shows IPv4 clients as `::ffff:1.2.3.4`; everything else wants them as IPv4. */
function addressOf(host = "", port = 0): Address {
  return { host: unmappedText(host), port };
}
