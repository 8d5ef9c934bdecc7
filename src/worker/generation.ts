import { type Endpoint, parseEndpoint } from "../codecs/address.ts";
import type { GatewayConfig, ServerConfig } from "../gateway.ts";
import { compileSsl } from "../ssl/settings.ts";
import type { BanTable } from "../stream/bans/ban-table.ts";
import { compileRoutes } from "../stream/choose-route.ts";
import type { HookWatch } from "../stream/hook-watch.ts";
import { compileLimits } from "../stream/limits/compile-limits.ts";
import { LimitStore } from "../stream/limits/limit-store.ts";
import type { Log } from "../stream/log.ts";
import { joinPhases } from "../stream/phase-chain.ts";
import type { Server } from "../stream/server.ts";
import type { HookPhase, ServerPhases } from "../stream/session.ts";
import { trusts } from "../stream/trust.ts";
import { compileVars } from "../stream/vars.ts";
import type { WorkerContext } from "../stream/worker-context.ts";
import type { LivePeers } from "../upstream/live-peers.ts";
import type { Resolver } from "../upstream/resolve.ts";
import { Upstream } from "../upstream/upstream.ts";

/** What a configuration becomes: frozen, and kept by each session from its begin to its end. */
export interface Generation {
  /** Counts the generations of a process, from 1. */
  readonly number: number;
  readonly config: GatewayConfig;
  readonly worker: WorkerContext;
  readonly servers: readonly Server[];
  close(): Promise<void>;
}

/** What a generation is made of, besides its configuration. */
export interface GenerationParts {
  readonly number: number;
  /** Paths in the configuration are relative to it. */
  readonly baseDir: string;
  readonly log: Log;
  readonly hookWatch: HookWatch | undefined;
  readonly worker: WorkerContext;
  /** With which TLS sessions are resumed; absent: each certificate has its own. */
  readonly ticketKeys?: Buffer | undefined;
  /** What is known of peers; it survives a new generation. */
  readonly live: LivePeers;
  readonly resolver: Resolver;
  /** What limits have counted; it survives a new generation. Absent: they begin anew. */
  readonly limits?: LimitStore;
  /** Who is banned, by all generations. Absent: nobody. */
  readonly bans?: BanTable | undefined;
}

export const DEFAULT_PREREAD_BYTES = 16_384; // nginx: preread_buffer_size 16k
export const DEFAULT_PREREAD_MS = 5_000;
const DEFAULT_IDLE_MS = 600_000; // nginx: proxy_timeout 10m
const DEFAULT_PROXY_HEADER_MS = 3_000;
const DEFAULT_KEEPALIVE_MS = 60_000;
/** A hook that waits for a dead service must let its session go. OpenResty's sockets wait as long: `lua_socket_read_timeout`. */
const DEFAULT_PHASE_MS = 60_000;
/** `content` is a server itself and may talk for hours; its reads and writes have limits of their own. */
const LIMITED_PHASES = [
  "sslClientHello",
  "sslCertificate",
  "preread",
  "rewrite",
  "access",
  "balancer",
  "upstreamCertificate",
  "upstreamVerify",
  "headerFilter",
  "bodyFilter",
] as const satisfies readonly HookPhase[];

/** Builds everything that a checked configuration names. Nothing is open to clients yet; a failure leaves nothing behind. */
export async function compileGeneration(config: GatewayConfig, parts: GenerationParts): Promise<Generation> {
  const upstreams = new Map<string, Upstream>();
  const servers = new Map<string, Server>();
  const close = async (): Promise<void> => {
    for (const server of servers.values()) await server.ssl?.close();
    for (const upstream of upstreams.values()) await upstream.close();
  };
  try {
    for (const [name, upstream] of Object.entries(config.upstreams ?? {})) {
      const warn = (text: string): void => parts.log.warn(text, { upstream: name });
      upstreams.set(name, new Upstream(name, upstream, { ...parts, source: parts.worker.registry, warn }));
    }
    await Promise.all([...upstreams.values()].map((upstream) => upstream.ready()));
    const { limits = new LimitStore(parts) } = parts;
    const shared = { gateway: config.phases ?? {}, upstreams, servers, limits };
    for (const [name, server] of Object.entries(config.servers)) {
      servers.set(name, await compileServer(name, server, shared, parts));
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return { number: parts.number, config, worker: parts.worker, servers: [...servers.values()], close };
}

/** What the servers of one generation share. */
interface Shared {
  readonly gateway: ServerPhases;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly servers: ReadonlyMap<string, Server>;
  readonly limits: LimitStore;
}

async function compileServer(
  name: string,
  config: ServerConfig,
  { gateway, upstreams, servers, limits }: Shared,
  { number, baseDir, log, hookWatch, worker, bans, ticketKeys }: GenerationParts,
): Promise<Server> {
  const { proxyProtocol, ssl, preread } = config;
  const phases = joinPhases(gateway, config.phases ?? {});
  const warn = (text: string): void => log.warn(text, { server: name });
  return Object.freeze({
    name,
    generation: number,
    listen: endpointsOf(config.listen),
    proxyHeader: proxyProtocol && {
      trusts: trusts(proxyProtocol.trust),
      timeoutMs: proxyProtocol.timeoutMs ?? DEFAULT_PROXY_HEADER_MS,
    },
    ssl: ssl && (await compileSsl(ssl, { serverName: name, baseDir, warn, ticketKeys })),
    preread: {
      maxBytes: preread?.maxBytes ?? DEFAULT_PREREAD_BYTES,
      timeoutMs: preread?.timeoutMs ?? DEFAULT_PREREAD_MS,
    },
    routes: compileRoutes(config.routes),
    upstreams,
    idleTimeoutMs: config.idleTimeoutMs ?? DEFAULT_IDLE_MS,
    noDelay: config.noDelay ?? true,
    keepAliveMs: config.keepAliveMs ?? DEFAULT_KEEPALIVE_MS,
    maxConns: config.maxConns,
    limits: compileLimits(name, config, { store: limits, shared: worker.shared }),
    bans,
    phases,
    phaseLimitsMs: phaseLimits(config.phaseTimeoutMs),
    makeVars: compileVars(phases.set ?? {}, log),
    servers,
    log,
    hookWatch,
    worker,
  });
}

function phaseLimits(own: ServerConfig["phaseTimeoutMs"] = {}): ReadonlyMap<HookPhase, number> {
  const limits = new Map<HookPhase, number>(LIMITED_PHASES.map((phase) => [phase, own[phase] ?? DEFAULT_PHASE_MS]));
  if (own.content !== undefined) limits.set("content", own.content);
  return limits;
}

/** Where a server listens. @throws TypeError for what is no address */
export function endpointsOf(listen: ServerConfig["listen"]): readonly Endpoint[] {
  return [listen].flat().map((text) => {
    const endpoint = parseEndpoint(text);
    if (endpoint) return endpoint;
    throw new TypeError(`listen: expected host:port, [v6]:port or unix:/path, got ${JSON.stringify(text)}`);
  });
}
