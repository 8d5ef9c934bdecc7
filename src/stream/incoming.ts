import type { Socket } from "node:net";
import type { Address } from "../codecs/address.ts";
import { unmappedText } from "../codecs/ip.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import { type Buckets, nodeBuckets } from "./bucket.ts";
import { type CarryOptions, carry } from "./carry.ts";
import { type Growth, Inlet } from "./inlet.ts";
import type { Relay, RelayCause } from "./relay.ts";
import type { Wire } from "./wire/wire.ts";

/** The first bytes of a client which nobody has consumed. */
export interface Head {
  /** The same object until the bytes change. Valid until the next {@link grow} or {@link consume}. */
  readonly bytes: Buffer;
  readonly size: number;
  /** Bytes that have come in so far. */
  readonly received: number;
  /** Somebody waits for bytes at this moment. */
  readonly busy: boolean;
  /** Resolves once `atLeast` unread bytes are there, or none will come, or it is `until` by `performance.now()`. */
  grow(atLeast: number, until?: number): Promise<Growth>;
  /** Whoever waits for bytes is told `timeout` at once. */
  giveUp(): void;
  consume(size: number): Buffer;
  /**
   * Reports a reset that comes while nobody waits for bytes; those that come meanwhile are kept, within bounds. An end is reported
   * as well where JavaScript owns the bytes.
   */
  watch(onLeft: (how: "ended" | "reset") => void): void;
  unwatch(): void;
}

/** An accepted client, whoever accepted it: `node:net`, or the native carrier. */
export interface Incoming {
  readonly remote: Address;
  readonly local: Address;
  /** Who has the socket at this moment: the engine, or Node. */
  readonly carrier: "native" | "node";
  /** Where its relay would take from, were it relayed as it is. */
  readonly buckets: Buckets;
  /** When, by `performance.now()`. */
  readonly acceptedAt: number;
  /** Somebody has ended it before it said anything: all that is left is to say so. */
  readonly wasKilled?: boolean;
  /** As `wasKilled`, by a drain. */
  readonly wasDrained?: boolean;
  /** For as long as the protocol is not known. */
  readonly head: Head;
  /** From here on JavaScript owns the bytes: TLS, hooks that write, content. */
  takeOver(): Inlet;
  /** Connects and carries: from here on nobody in JavaScript sees the bytes. Rejects while nothing was sent to the peer. */
  relayTo(peer: PeerEndpoint, options: CarryOptions): Promise<Relay>;
  /** Breaks off a wait or a connect, and closes. */
  stop(cause: RelayCause): void;
  /** Closes a client that nothing was written to. */
  close(how: "end" | "reset"): void;
  /** Calls when the socket is closed and its place free again; from then on the addresses are forgotten. */
  whenClosed(listener: () => void): void;
}

/** A client accepted by Node: a socket, or the bare handle of one. */
export class NodeIncoming implements Incoming {
  readonly carrier = "node";
  readonly buckets: Buckets = nodeBuckets;
  readonly remote: Address;
  readonly local: Address;
  readonly acceptedAt: number = performance.now();
  readonly #inlet: Inlet;

  constructor(source: Socket | Wire, addresses: { readonly remote: Address; readonly local: Address }) {
    this.remote = addresses.remote;
    this.local = addresses.local;
    this.#inlet = new Inlet(source);
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

  stop(): void {
    this.#inlet.destroy();
  }

  close(how: "end" | "reset"): void {
    if (how === "reset") this.#inlet.abort();
    else this.#inlet.drop();
  }

  whenClosed(listener: () => void): void {
    this.#inlet.whenClosed(listener);
  }
}

/** A client of a unix socket has no address; nginx writes `unix:`. */
const UNIX_CLIENT: Address = { host: "unix:", port: 0 };

/** An accepted socket as an incoming client. `listening`: where it was accepted. */
export function incomingSocket(socket: Socket, listening: Address): NodeIncoming {
  socket.on("error", ignore); // seen as the inlet's state; between two owners nobody else listens
  if (listening.host.startsWith("unix:")) return new NodeIncoming(socket, { remote: UNIX_CLIENT, local: listening });
  // Asked for at once: a closed socket no longer knows.
  const local = addressOf({ address: socket.localAddress, port: socket.localPort });
  return new NodeIncoming(socket, {
    remote: addressOf({ address: socket.remoteAddress, port: socket.remotePort }),
    local,
  });
}

/** An accepted handle as an incoming client. `local`: where it was accepted, when that is one address. */
export function incomingWire(wire: Wire, local: Address | undefined): NodeIncoming {
  return new NodeIncoming(wire, { remote: addressOf(wire.name("peer")), local: local ?? addressOf(wire.name("own")) });
}

/** A dual-stack socket shows IPv4 clients as `::ffff:1.2.3.4`; everything else wants them as IPv4. */
function addressOf(name: { readonly address?: string | undefined; readonly port?: number | undefined } = {}): Address {
  return { host: unmappedText(name.address ?? ""), port: name.port ?? 0 };
}

function ignore(): void {}
