import type { Session } from "../session.ts";

/**
 * What a limit counts by. `subnet`: /24 of IPv4, /64 of IPv6. A session that has no such thing, as a plain client has no server name,
 * is not counted. nginx: the key of `limit_conn_zone`.
 */
export type LimitKey =
  | "address"
  | "subnet"
  | "serverName"
  | "clientId"
  | "ja4"
  /** One of `session.vars`. */
  | { readonly var: string }
  /** Synchronous, since the session waits for it; not asked before the session's protocol is known. */
  | ((session: Session) => string | number | undefined);

interface LimitCommon {
  readonly per: LimitKey;
  /** Limits of the same name and kind count together, wherever they stand. Default: each counts for itself. */
  readonly name?: string;
  /** Counts, and says in the log what it would do, but does nothing. */
  readonly dryRun?: boolean;
  /** Of those that are turned away: in the log, and for the client. Default 503. */
  readonly status?: number;
}

/** Counted for all gateways on one Redis, where `redis` is configured. */
interface ClusterWide {
  readonly cluster?: boolean;
}

/** Sessions at once. nginx: `limit_conn`. */
export interface ConnLimit extends LimitCommon, ClusterWide {
  readonly conn: number;
  /** So many besides, who wait first. Default 0. */
  readonly burst?: number;
  /** How long they wait, times how often all places are taken. Default 0. */
  readonly delayMs?: number;
}

/** Sessions per second; those ahead of their time wait for it. nginx: `limit_req`. */
export interface ReqLimit extends LimitCommon, ClusterWide {
  readonly req: number;
  /** So many may be ahead of their time. Default 0. */
  readonly burst?: number;
}

/** Sessions in a window of time. OpenResty: `resty.limit.count`. */
export interface CountLimit extends LimitCommon, ClusterWide {
  readonly count: number;
  readonly windowMs: number;
}

/** Sessions by a bucket of tokens. OpenResty: `resty.limit.rate`. */
export interface RateLimit extends LimitCommon, ClusterWide {
  readonly capacity: number;
  readonly intervalMs: number;
  /** Default 1. */
  readonly quantum?: number;
  /** Longest wait for a token. Default 0: who finds none is turned away. */
  readonly maxWaitMs?: number;
}

/** Bytes per second of what is relayed. nginx: `proxy_upload_rate`, `proxy_download_rate`. */
export interface BandwidthLimit {
  /** For each direction; or for each of its own: `up` from the client, `down` to it. */
  readonly bytesPerSecond: number | { readonly up?: number; readonly down?: number };
  /** `session`: each has the rate for itself. Else all sessions of a key share it, in all workers of the gateway. */
  readonly per: LimitKey | "session";
  readonly name?: string;
  readonly dryRun?: boolean;
}

/** One limit of a server or a route. */
export type LimitConfig = ConnLimit | ReqLimit | CountLimit | RateLimit | BandwidthLimit;

/** What a route may have besides its action. */
export interface RouteOptions {
  /** Hold for the sessions that take this route, before anything is done with them. */
  readonly limits?: readonly LimitConfig[] | undefined;
}
