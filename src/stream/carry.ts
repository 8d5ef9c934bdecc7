import type { Life } from "../upstream/abort.ts";
import { dial } from "../upstream/dial.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import type { JudgePeer } from "../upstream/peer-verdict.ts";
import { FilterRelay } from "./filter/filter-relay.ts";
import type { MakeStages } from "./filter/stage.ts";
import { Inlet } from "./inlet.ts";
import { NodeRelay, type Relay } from "./relay.ts";
import type { RelayRates } from "./throttle.ts";
import type { Wire } from "./wire/wire.ts";
import { dialWire, type WireTarget, wireTarget } from "./wire/wire-dial.ts";
import { WireRelay } from "./wire/wire-relay.ts";

export interface CarryOptions {
  readonly idleTimeoutMs: number;
  /** Sent to the peer before anything else, and before TLS: a PROXY header. */
  readonly preface: Uint8Array | undefined;
  readonly life: Life;
  /** Judges the certificate of a peer with TLS. */
  readonly judge?: JudgePeer | undefined;
  /** Puts filters between the two; the session's bytes then pass through JavaScript. */
  readonly filters?: MakeStages | undefined;
  /** Holds from the first byte, where the bytes may be on their way before anybody here hears of it. */
  readonly rates?: RelayRates | undefined;
}

/**
 * The node path: connects to one peer, then relays in JavaScript, unread bytes of the client first.
 * @throws GatewayError RC_PEER_CONNECT, RC_PEER_CONNECT_TIMEOUT, RC_PEER_TLS, while no byte of the client was sent.
 */
export function carry(client: Inlet, peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
  const target = !options.filters && client.wire?.isOpen ? wireTarget(peer) : undefined;
  return target && client.wire
    ? byWire(client, client.wire, { to: target, timeoutMs: peer.connectTimeoutMs }, options)
    : bySocket(client, peer, options);
}

async function bySocket(client: Inlet, peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
  const { stream, transport } = await dial(peer, options);
  const { idleTimeoutMs, filters } = options;
  const to = new Inlet(stream, transport);
  if (!filters) return new NodeRelay(client, to, { idleTimeoutMs });
  try {
    return new FilterRelay(client, to, { idleTimeoutMs, filters });
  } catch (cause) {
    to.destroy(); // nobody else knows of it yet
    throw cause;
  }
}

/** Neither side is a socket of Node's: nobody has asked for one. */
async function byWire(
  client: Inlet,
  from: Wire,
  { to, timeoutMs }: { readonly to: WireTarget; readonly timeoutMs: number },
  options: CarryOptions,
): Promise<Relay> {
  const wire = await dialWire(from, to, { timeoutMs, life: options.life });
  return new WireRelay(client, from, wire, options);
}
