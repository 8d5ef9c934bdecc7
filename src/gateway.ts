import type { Registry } from "./registry/registry.ts";
import type { SslConfig } from "./ssl/settings.ts";
import type { Route } from "./stream/route.ts";
import type { Awaitable, ServerPhases } from "./stream/session.ts";
import type { UpstreamConfig } from "./upstream/upstream.ts";

/** A whole gateway: what `restyconf.config.ts` exports by default. Checked at start, then frozen. */
export interface GatewayConfig<Upstream extends string = string> {
  /** Number of processes, or `auto` for one per core. Default 1; more have no effect yet. */
  readonly workers?: number | "auto";
  /** URL of the Redis that several gateways share. No effect yet: the registry is this process's memory. */
  readonly redis?: string | undefined;
  /** Dictionaries shared by the workers: name to size, `{ sessions: "10m" }`. No effect yet. nginx: `lua_shared_dict`. */
  readonly shared?: Readonly<Record<string, string>>;
  readonly upstreams?: Readonly<Record<Upstream, UpstreamConfig>>;
  readonly servers: Readonly<Record<string, ServerConfig<NoInfer<Upstream>>>>;
  /** Folder for the pid file, snapshots and the socket of the command line. No effect yet. */
  readonly stateDir?: string;
  /** Where the admin API will listen: a loopback address or a unix socket, nothing else is accepted. No effect yet. */
  readonly admin?: { readonly listen: string };
  readonly log?: LogConfig;
  readonly phases?: GatewayPhases;
}

/** One server: where it listens, and what happens to its clients. */
export interface ServerConfig<Upstream extends string = string> {
  /** `host:port`, `[v6]:port` or `unix:/path`, one or several. Port 0 takes a free one. */
  readonly listen: string | readonly string[];
  /** Accepts a PROXY header (v1, v2) from these addresses only; from all others the bytes are the client's own. */
  readonly proxyProtocol?: ProxyProtocolConfig;
  readonly ssl?: SslConfig;
  readonly preread?: PrereadConfig;
  /** Asked in order: the first that matches wins, a later match waits while an earlier one is hungry for bytes. */
  readonly routes: readonly Route<Upstream>[];
  /** Ends a relayed session when no byte moved in either direction for so long. Default 600,000. nginx: `proxy_timeout`. */
  readonly idleTimeoutMs?: number;
  /** Disables Nagle's algorithm on client sockets. Default true. */
  readonly noDelay?: boolean;
  /** Idle time before TCP keepalive probes to the client begin; 0 turns them off. Default 60,000. */
  readonly keepAliveMs?: number;
  /** Sessions at once on this server. Default: no limit of its own, only that of the process (by its limit of open files). */
  readonly maxConns?: number;
  readonly phases?: ServerPhases<Upstream>;
}

export interface ProxyProtocolConfig {
  /** Addresses and ranges (`10.0.0.0/8`, `::1`, `unix:`) that put a PROXY header in front of each connection. */
  readonly trust: readonly string[];
  /** How long a trusted sender may take for its header. Default 3,000. */
  readonly timeoutMs?: number;
}

export interface PrereadConfig {
  /** Most bytes looked at before a protocol must be known. Default 16,384. nginx: `preread_buffer_size`. */
  readonly maxBytes?: number;
  /** Total time for that. Default 5,000. nginx: `preread_timeout`. */
  readonly timeoutMs?: number;
}

export interface LogConfig {
  /** Where access lines go: `stderr`, a path, or false for nowhere. Default `stderr`. */
  readonly access?: string | false;
  /** Default `info`. */
  readonly level?: "debug" | "info" | "warn" | "error";
}

/** What `initWorker` is handed: the process that serves. In this version there is one, and its numbers are 0. */
export interface WorkerContext {
  /** `masterId` × 10 + `number`. */
  readonly id: number;
  readonly number: number;
  readonly masterId: number;
  /** Where `peers: registry(…)` looks; in this version, the memory of this process. */
  readonly registry: Registry;
}

/** Hooks of the gateway itself. */
export interface GatewayPhases {
  /** Runs before any port opens; a rejection means that none does. */
  init?(): Awaitable<void>;
  /** Runs in each worker before its ports open; a rejection means that none does. OpenResty: `init_worker_by_lua`. */
  initWorker?(worker: WorkerContext): Awaitable<void>;
}

/** Types a configuration, and returns it as it is: no side effect, nothing opens. */
export function defineGateway<const Upstream extends string = never>(
  config: GatewayConfig<Upstream>,
): GatewayConfig<Upstream> {
  return config;
}
