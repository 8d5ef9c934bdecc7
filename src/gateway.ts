import type { Codec } from "./codecs/codec.ts";
import type { RedisConfig } from "./registry/redis/redis-config.ts";
import type { SslConfig } from "./ssl/settings.ts";
import type { LimitConfig } from "./stream/limits/limit-config.ts";
import type { Route } from "./stream/route.ts";
import type { Awaitable, HookPhase, ServerPhases } from "./stream/session.ts";
import type { WorkerContext } from "./stream/worker-context.ts";
import type { UpstreamConfig } from "./upstream/upstream.ts";

/** A whole gateway: what `restyconf.config.ts` exports by default. Checked at start, then frozen. */
export interface GatewayConfig<Upstream extends string = string> {
  /** Number of processes, or `auto` for one per core. Default 1. nginx: `worker_processes`. */
  readonly workers?: number | "auto";
  /** The Redis that several gateways share: a URL, or what Sentinel, Cluster and TLS need. */
  readonly redis?: RedisConfig | undefined;
  /** Folder, or file whose name ends in `.json`, with the keys of the registry, instead of Redis. */
  readonly registry?: string;
  /** Without Redis, the number of this gateway: ids of its workers begin with it. Default 0. */
  readonly masterId?: number;
  /**
   * Bits of an id that hold the worker's number; the same at all gateways of one Redis. Each more doubles the gateways there may
   * be, and halves the ids per millisecond. Default 10: 102 gateways of ten workers, 4,096 ids per millisecond and worker.
   */
  readonly machineBits?: number;
  /** Where others reach this gateway, for the registry and game servers. Default: the first address that it listens at; of a wildcard, the machine's own. */
  readonly advertise?: string;
  /** How game servers are spoken to; see `docs/link.md`. Only the first configuration's counts, as for all of `START_KEYS`: links outlive reloads. */
  readonly links?: LinksConfig;
  /** Dictionaries shared by the workers: name to size, `{ sessions: "10m" }`. OpenResty: `lua_shared_dict`. */
  readonly shared?: Readonly<Record<string, string>>;
  readonly upstreams?: Readonly<Record<Upstream, UpstreamConfig>>;
  readonly servers: Readonly<Record<string, ServerConfig<NoInfer<Upstream>>>>;
  /** Folder for the socket of the command line. Default: a private folder for this configuration. */
  readonly stateDir?: string;
  /** Where the admin API will listen: a loopback address or a unix socket, nothing else is accepted. No effect yet. */
  readonly admin?: { readonly listen: string };
  readonly log?: LogConfig;
  readonly phases?: GatewayPhases<NoInfer<Upstream>>;
}

/** Links to game servers. */
export interface LinksConfig {
  /** Frames in another form: all of their bytes, length included. Default: four bytes of length, big-endian, and msgpack. */
  readonly codec?: Codec<unknown>;
}

/** One server: where it listens, and what happens to its clients. */
export interface ServerConfig<Upstream extends string = string> {
  /** `host:port`, `[v6]:port` or `unix:/path`, one or several; `[]` for a server that only `dispatch` reaches. Port 0 takes a free one. */
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
  /** Hold for all its sessions, each as soon as its key is known; routes may have limits of their own. */
  readonly limits?: readonly LimitConfig[];
  readonly phases?: ServerPhases<Upstream>;
  /**
   * How long a hook of each phase may take, by the phase's name; one that takes longer ends the session with status 500.
   * Default 60,000, and no limit for `content`.
   */
  readonly phaseTimeoutMs?: Readonly<Partial<Record<HookPhase, number>>>;
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

/** Hooks of the gateway itself, and hooks of sessions that run at every server, in front of the server's own. */
export interface GatewayPhases<Upstream extends string = string> extends ServerPhases<Upstream> {
  /** Runs before any port opens; a rejection means that none does. */
  init?(): Awaitable<void>;
  /** The last word on a configuration before it serves, at start and at each reload; a rejection means that it does not. */
  check?(): Awaitable<void>;
  /** Runs in each worker before its ports open; a rejection means that none does. OpenResty: `init_worker_by_lua`. */
  initWorker?(worker: WorkerContext): Awaitable<void>;
  /** Runs in each worker when it stops, after its last session; given up after 5 s. OpenResty: `exit_worker_by_lua`. */
  exitWorker?(worker: WorkerContext): Awaitable<void>;
}

/** Types a configuration, and returns it as it is: no side effect, nothing opens. */
export function defineGateway<const Upstream extends string = never>(
  config: GatewayConfig<Upstream>,
): GatewayConfig<Upstream> {
  return config;
}
