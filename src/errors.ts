/** Whose doing an error is: the client's, the upstream's, or ours. */
export type Side = "client" | "upstream" | "internal";

/** How a session ended, as the access log says it. The table is closed: each word has a test. */
export type EndCause =
  | "client_closed"
  | "peer_closed"
  | "client_reset"
  | "peer_reset"
  | "content_done"
  | "exited"
  | "idle_timeout"
  | "preread_timeout"
  | "preread_full"
  | "proxy_header"
  | "handshake_failed"
  | "handshake_timeout"
  | "no_route"
  | "rejected"
  | "limited"
  | "no_live_peer"
  | "connect_failed"
  | "connect_timeout"
  | "hook_failed"
  | "killed"
  | "drained"
  | "shutdown"
  | "internal";

/** What a session can fail with. `docs/errors.md` explains each one, and says which ends have no code. */
export type ErrorCode =
  | "RC_PROXY_HEADER"
  | "RC_PROXY_HEADER_TIMEOUT"
  | "RC_TLS_HELLO"
  | "RC_TLS_PLAIN"
  | "RC_TLS_NO_CERTIFICATE"
  | "RC_TLS_STORE"
  | "RC_TLS_HANDSHAKE"
  | "RC_TLS_CLIENT_CERTIFICATE"
  | "RC_TLS_HANDSHAKE_TIMEOUT"
  | "RC_PREREAD_FULL"
  | "RC_PREREAD_TIMEOUT"
  | "RC_NO_ROUTE"
  | "RC_REJECTED"
  | "RC_LIMITED"
  | "RC_BANNED"
  | "RC_FRAME"
  | "RC_FRAME_TOO_LARGE"
  | "RC_HTTP"
  | "RC_PEER_FRAME"
  | "RC_PEER_FRAME_TOO_LARGE"
  | "RC_PEER_HTTP"
  | "RC_CLIENT_CLOSED"
  | "RC_CLIENT_RESET"
  | "RC_IDLE_TIMEOUT"
  | "RC_NO_LIVE_PEER"
  | "RC_PEER_RESOLVE"
  | "RC_PEER_CONNECT"
  | "RC_PEER_CONNECT_TIMEOUT"
  | "RC_PEER_TLS"
  | "RC_NO_SOCKET"
  | "RC_HOOK_FAILED"
  | "RC_HOOK_TIMEOUT"
  | "RC_DISPATCH"
  | "RC_REGISTRY"
  | "RC_LOCK_TIMEOUT"
  | "RC_ID_LEASE"
  | "RC_CLOCK"
  | "RC_EXITED"
  | "RC_SHUTDOWN"
  | "RC_INTERNAL";

interface Spec {
  readonly side: Side;
  readonly status: number;
  readonly retry: boolean;
  readonly endCause: EndCause;
  readonly text: string;
}

const client = (status: number, endCause: EndCause, text: string): Spec => ({
  side: "client",
  status,
  retry: false,
  endCause,
  text,
});
const upstream = (retry: boolean, endCause: EndCause, text: string): Spec => ({
  side: "upstream",
  status: 502,
  retry,
  endCause,
  text,
});
const internal = (status: number, endCause: EndCause, text: string): Spec => ({
  side: "internal",
  status,
  retry: false,
  endCause,
  text,
});

/** `status` follows nginx's stream `$status`; `retry` asks: may the next peer be tried? */
export const specs: Readonly<Record<ErrorCode, Spec>> = {
  RC_PROXY_HEADER: client(400, "proxy_header", "malformed PROXY header"),
  RC_PROXY_HEADER_TIMEOUT: client(400, "proxy_header", "no PROXY header in time"),
  RC_TLS_HELLO: client(400, "handshake_failed", "malformed ClientHello"),
  RC_TLS_PLAIN: client(400, "handshake_failed", "plain bytes on a TLS port"),
  RC_TLS_NO_CERTIFICATE: client(400, "handshake_failed", "no certificate for this name"),
  RC_TLS_STORE: internal(500, "handshake_failed", "certificate store failed"),
  RC_TLS_HANDSHAKE: client(400, "handshake_failed", "TLS handshake failed"),
  RC_TLS_CLIENT_CERTIFICATE: client(400, "handshake_failed", "client certificate not accepted"),
  RC_TLS_HANDSHAKE_TIMEOUT: client(400, "handshake_timeout", "TLS handshake not finished in time"),
  RC_PREREAD_FULL: client(400, "preread_full", "preread buffer full"),
  RC_PREREAD_TIMEOUT: client(200, "preread_timeout", "protocol not known in time"),
  RC_NO_ROUTE: client(400, "no_route", "no route matches"),
  RC_REJECTED: client(403, "rejected", "rejected"),
  RC_LIMITED: client(503, "limited", "limit reached"),
  RC_BANNED: client(403, "rejected", "banned"),
  RC_FRAME: client(400, "rejected", "malformed frame"),
  RC_FRAME_TOO_LARGE: client(400, "rejected", "frame too large"),
  RC_HTTP: client(400, "rejected", "malformed HTTP request"),
  RC_CLIENT_CLOSED: client(200, "client_closed", "client closed the connection"),
  RC_CLIENT_RESET: client(200, "client_reset", "client reset the connection"),
  RC_IDLE_TIMEOUT: client(200, "idle_timeout", "no byte in either direction for too long"),
  RC_NO_LIVE_PEER: upstream(false, "no_live_peer", "no live peer"),
  RC_PEER_RESOLVE: upstream(true, "connect_failed", "cannot resolve peer"),
  RC_PEER_CONNECT: upstream(true, "connect_failed", "cannot connect to peer"),
  RC_PEER_CONNECT_TIMEOUT: upstream(true, "connect_timeout", "peer did not accept in time"),
  RC_PEER_TLS: upstream(true, "connect_failed", "TLS to peer failed"),
  RC_PEER_FRAME: upstream(false, "rejected", "malformed frame from the peer"),
  RC_PEER_FRAME_TOO_LARGE: upstream(false, "rejected", "frame from the peer too large"),
  RC_PEER_HTTP: upstream(false, "rejected", "malformed HTTP response"),
  RC_NO_SOCKET: internal(500, "connect_failed", "cannot open a socket to a peer"),
  RC_HOOK_FAILED: internal(500, "hook_failed", "hook failed"),
  RC_HOOK_TIMEOUT: internal(500, "hook_failed", "hook took too long"),
  RC_DISPATCH: internal(500, "hook_failed", "cannot dispatch"),
  RC_REGISTRY: internal(500, "hook_failed", "registry cannot be reached"),
  RC_LOCK_TIMEOUT: internal(500, "hook_failed", "lock not taken in time"),
  RC_ID_LEASE: internal(500, "internal", "no ids: the worker's number is not leased"),
  RC_CLOCK: internal(500, "internal", "no ids: the clock went backwards"),
  RC_EXITED: internal(200, "exited", "a hook ended the session"),
  RC_SHUTDOWN: internal(200, "shutdown", "gateway is stopping"),
  RC_INTERNAL: internal(500, "internal", "internal error"),
};

/** What a client is told that is turned away: each sniffer knows how to say it in its protocol. */
export interface Refusal {
  /** As in HTTP: 403 refused, 429 too many, 502 no peer, 503 busy, …. What a protocol has for it stands in a table of that protocol. */
  readonly status: number;
  /** For the client's eyes. */
  readonly reason: string;
  readonly retryAfterMs?: number | undefined;
  /** Where to go instead: `"host:port"`, or what else the protocol takes for an address. */
  readonly redirect?: string | undefined;
}

/** What may be said of an error besides its code. */
export interface GatewayErrorOptions extends ErrorOptions {
  readonly status?: number;
  readonly refusal?: Partial<Refusal>;
}

/** What ends a session early: a code, and the detail that the log line shows. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly code: ErrorCode;
  /** The session's status in the log; a refusal may choose its own. */
  readonly status: number;
  /** What of it the client may know, where that is more than a standard phrase; nothing else of an error is ever shown to one. */
  readonly refusal: Partial<Refusal> | undefined;

  constructor(code: ErrorCode, detail?: string, options?: GatewayErrorOptions) {
    super(detail ? `${specs[code].text}: ${detail}` : specs[code].text, options);
    this.code = code;
    this.status = options?.status ?? specs[code].status;
    this.refusal = options?.refusal;
  }

  /** The only place where a foreign throw becomes one of ours. */
  static from(cause: unknown, code: ErrorCode = "RC_INTERNAL"): GatewayError {
    return cause instanceof GatewayError ? cause : new GatewayError(code, messageOf(cause), { cause });
  }
}

/** The text of anything thrown; hooks may throw what has none, and nobody may fail of saying so. */
export function messageOf(cause: unknown): string {
  try {
    return String(cause instanceof Error ? cause.message || cause.name : cause);
  } catch {
    return `a thrown ${typeof cause} without text`;
  }
}
