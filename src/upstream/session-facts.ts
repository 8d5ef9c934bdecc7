import type { Address } from "../codecs/address.ts";

/**
 * What hooks of one session share, from the first phase to the log. Empty until you declare your fields:
 * `declare module "restyconf" { interface SessionCtx { player?: string } }`.
 */
// biome-ignore lint/suspicious/noEmptyInterface: filled by declaration merging
export interface SessionCtx {}

/** What is known of a client's TLS. */
export interface SessionSsl {
  readonly serverName: string | undefined;
  /** `TLSv1.3`; undefined while the handshake has not ended, and on passthrough. */
  readonly protocol: string | undefined;
  readonly cipher: string | undefined;
  /** The protocol agreed by ALPN; on passthrough, and before the handshake, undefined. */
  readonly alpn: string | undefined;
  readonly ja3: string;
  readonly ja4: string;
  /** `SUCCESS`, `NONE` (no certificate shown or asked for) or `FAILED:reason`, as nginx's `$ssl_client_verify`. */
  readonly verify: string;
  readonly clientCertificate:
    | { readonly subject: string; readonly fingerprint: string; readonly pem: string }
    | undefined;
}

/** The facts of a session, without its sockets: what every hook sees, and what a balancer may decide by. */
export interface SessionFacts {
  /** Unique in this gateway; the `session` field of the log line. */
  readonly id: string;
  readonly server: string;
  /** Name of the sniffer that matched. */
  readonly protocol: string | undefined;
  /** What that sniffer learned, e.g. `{ clientId, username, version }` for MQTT. */
  readonly info: unknown;
  readonly remote: Address;
  readonly local: Address;
  readonly ssl: SessionSsl | undefined;
  ctx: SessionCtx;
  /** Values for log lines and keys, by name. */
  readonly vars: Record<string, boolean | number | string | undefined>;
}
