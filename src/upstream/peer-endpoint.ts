import type { Endpoint } from "../codecs/address.ts";
import type { PeerSsl } from "./peer-ssl.ts";

/** One concrete place to connect to, chosen and resolved. */
export interface PeerEndpoint {
  /** The peer's address as configured; a name where the user wrote one. */
  readonly address: string;
  /** An IP address and port, or a unix path. Never a name. */
  readonly endpoint: Endpoint;
  /** For TCP and, when there is one, the TLS handshake together. */
  readonly connectTimeoutMs: number;
  /** Source address of the connection. nginx: `proxy_bind`. */
  readonly localAddress?: string | undefined;
  /** TLS to the peer, with the name to ask for. */
  readonly ssl?: PeerSsl | undefined;
  /** The version of the PROXY header that the peer expects. */
  readonly proxyProtocol?: 1 | 2 | undefined;
  /** The upstream's own; undefined: the server's holds. */
  readonly idleTimeoutMs?: number | undefined;
}
