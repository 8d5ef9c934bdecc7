import type { Life } from "../upstream/abort.ts";
import { dial } from "../upstream/dial.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import { Inlet } from "./inlet.ts";
import { NodeRelay, type Relay } from "./relay.ts";

export interface CarryOptions {
  readonly idleTimeoutMs: number;
  /** Sent to the peer before anything else, and before TLS: a PROXY header. */
  readonly preface: Uint8Array | undefined;
  readonly life: Life;
}

/**
 * The node path: connects to one peer, then relays in JavaScript, unread bytes of the client first.
 * @throws GatewayError RC_PEER_CONNECT, RC_PEER_CONNECT_TIMEOUT, RC_PEER_TLS, while no byte of the client was sent.
 */
export async function carry(client: Inlet, peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
  const { stream, transport } = await dial(peer, { preface: options.preface, life: options.life });
  return new NodeRelay(client, new Inlet(stream, transport), { idleTimeoutMs: options.idleTimeoutMs });
}
