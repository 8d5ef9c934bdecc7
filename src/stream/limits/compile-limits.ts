import type { SharedDict } from "../../shared/dict/shared-dict.ts";
import { limitConn } from "../../shared/limits/limit-conn.ts";
import { limitCount } from "../../shared/limits/limit-count.ts";
import { limitRate } from "../../shared/limits/limit-rate.ts";
import { limitReq } from "../../shared/limits/limit-req.ts";
import type { ClusterLimiter, Limiter } from "../../shared/limits/limiter.ts";
import type { Route } from "../route.ts";
import type { RelayRates } from "../throttle.ts";
import type { SharedBandwidth } from "./bandwidth.ts";
import type { BandwidthLimit, LimitConfig } from "./limit-config.ts";
import { type KeyOf, keyOf } from "./limit-key.ts";
import type { LimitStore } from "./limit-store.ts";
import { routeZones } from "./route-zone.ts";

/** nginx: `limit_conn_status`, `limit_req_status`. */
const STATUS_LIMITED = 503;

/** What a client is told where nobody can know when there is room: a session may end at any moment. */
const RETRY_MS = 1_000;

interface Named {
  /** Stands in front of the key, where it is counted. */
  readonly zone: string;
  readonly key: KeyOf;
  /** In words, for log lines: `conn 10 per address`. */
  readonly text: string;
  readonly isDry: boolean;
}

/** A limit that lets sessions in, or does not. */
export interface Gate extends Named {
  readonly kind: "gate";
  readonly limiter: Limiter | ClusterLimiter;
  readonly status: number;
  /** For the client's eyes. */
  readonly reason: string;
  /** Where the limiter does not know. */
  readonly retryMs: number;
}

/** A limit of what sessions may move. */
export interface Pace extends Named {
  readonly kind: "pace";
  readonly rates: RelayRates;
  /** Where sessions share it; undefined: each has it for itself. */
  readonly shared: SharedBandwidth | undefined;
}

/** A limit of a server or route, ready to be asked. */
export type Limit = Gate | Pace;

/** The limits of a server, and of its routes by their configuration. */
export interface ServerLimits {
  readonly own: readonly Limit[];
  readonly ofRoutes: ReadonlyMap<readonly LimitConfig[], readonly Limit[]>;
}

/** What the limits of one generation count with. */
export interface LimitParts {
  readonly store: LimitStore;
  readonly shared: Readonly<Record<string, SharedDict>>;
}

/** Prepares the limits of a server and its routes; undefined where there are none: its sessions then pay nothing. */
export function compileLimits(
  server: string,
  { limits = [], routes }: { readonly limits?: readonly LimitConfig[]; readonly routes: readonly Route[] },
  parts: LimitParts,
): ServerLimits | undefined {
  if (limits.length === 0 && routes.every((route) => !route.limits?.length)) return undefined;
  const ofRoutes = new Map<readonly LimitConfig[], readonly Limit[]>();
  const zones = routeZones(server, routes);
  routes.forEach((route, place) => {
    if (route.limits) ofRoutes.set(route.limits, compileList(zones[place] ?? server, route.limits, parts));
  });
  return { own: compileList(server, limits, parts), ofRoutes };
}

function compileList(owner: string, limits: readonly LimitConfig[], { store, shared }: LimitParts): readonly Limit[] {
  const dict = store.dict(shared);
  const names = new Map<string, number>();
  return limits.map((config): Limit => {
    const key = keyOf(config.per);
    const kind = kindOf(config);
    const plain = `${owner}:${kind}:${key.text}`;
    const count = (names.get(plain) ?? 0) + 1; // two of the same kind and key count each for itself
    names.set(plain, count);
    const zone = config.name === undefined ? `${plain}${count > 1 ? `#${count}` : ""}` : `${config.name}:${kind}`;
    const named = { zone, key, text: `${wordsOf(config)} per ${key.text}`, isDry: config.dryRun ?? false };
    return "bytesPerSecond" in config
      ? paceOf(config, named, store.bandwidth(dict))
      : gateOf(config, named, { store, dict });
  });
}

function kindOf(config: LimitConfig): string {
  if ("conn" in config) return "conn";
  if ("req" in config) return "req";
  if ("count" in config) return "count";
  return "capacity" in config ? "rate" : "bytes";
}

function wordsOf(config: LimitConfig): string {
  if ("conn" in config) return `conn ${config.conn}`;
  if ("req" in config) return `req ${config.req}`;
  if ("count" in config) return `count ${config.count}`;
  return "capacity" in config ? `capacity ${config.capacity}` : "bytesPerSecond";
}

function paceOf({ bytesPerSecond, per }: BandwidthLimit, named: Named, shared: SharedBandwidth): Pace {
  const rates = typeof bytesPerSecond === "number" ? { up: bytesPerSecond, down: bytesPerSecond } : bytesPerSecond;
  return { ...named, kind: "pace", rates, shared: per === "session" ? undefined : shared };
}

type GateConfig = Exclude<LimitConfig, BandwidthLimit>;

function gateOf(config: GateConfig, named: Named, at: { readonly store: LimitStore; readonly dict: SharedDict }): Gate {
  const isConn = "conn" in config;
  return {
    ...named,
    kind: "gate",
    limiter: limiterOf(config, at),
    status: config.status ?? STATUS_LIMITED,
    reason: isConn ? "too many connections" : "too many attempts",
    retryMs: RETRY_MS,
  };
}

function limiterOf(
  config: GateConfig,
  { store, dict }: { readonly store: LimitStore; readonly dict: SharedDict },
): Limiter | ClusterLimiter {
  const cluster = config.cluster ? store.cluster(dict) : undefined;
  if ("conn" in config) {
    const { conn: conns, burst, delayMs } = config;
    return cluster ? cluster.limitConn({ conns, burst, delayMs }) : limitConn({ dict, conns, burst, delayMs });
  }
  if ("req" in config) {
    const { req: rate, burst } = config;
    return cluster ? cluster.limitReq({ rate, burst }) : limitReq({ dict, rate, burst });
  }
  if ("count" in config) {
    const { count: limit, windowMs } = config;
    return cluster ? cluster.limitCount({ limit, windowMs }) : limitCount({ dict, limit, windowMs });
  }
  const { capacity, intervalMs, quantum, maxWaitMs = 0 } = config;
  const settings = { capacity, intervalMs, quantum, maxWaitMs };
  return cluster ? cluster.limitRate(settings) : limitRate({ dict, ...settings });
}
