import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** Which Redis several gateways share: the URL of one server, or what Sentinel, Cluster and TLS need. */
export type RedisConfig = string | RedisOptions;

/** One of `url`, `sentinels` (with `name`) and `cluster` says where Redis is. */
export interface RedisOptions {
  /** `redis://user:password@host:6379/0`; `rediss://…` speaks TLS. */
  readonly url?: string;
  /** Addresses `host:port` of sentinels; they know where the master is. */
  readonly sentinels?: readonly string[];
  /** What the sentinels call that master. */
  readonly name?: string;
  /** Addresses `host:port` of some nodes of a Cluster; they know the others. */
  readonly cluster?: readonly string[];
  /** In front of every key and channel. Default `restyconf:`. */
  readonly prefix?: string;
  readonly username?: string;
  readonly password?: string;
  /** Of the sentinels, where they ask for one. */
  readonly sentinelPassword?: string;
  /** Number of the database; a Cluster has only 0. Default 0. */
  readonly database?: number;
  readonly tls?: boolean | RedisTls;
  /** Version of RESP. Default 3; 2 for proxies that answer `HELLO` oddly. */
  readonly protocol?: 2 | 3;
  /** How long a connection may take. Default 3,000. */
  readonly connectTimeoutMs?: number;
  /** How long an answer may take. Default 2,000. */
  readonly commandTimeoutMs?: number;
}

/** TLS to Redis; `true` for the system's authorities and no certificate of our own. */
export interface RedisTls {
  /** PEM text or a path, as `cert` and `key`. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** The name that the certificate must have. Default: the host. */
  readonly serverName?: string;
  /** False accepts any certificate. Default true. */
  readonly verify?: boolean;
}

/** A host and its port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where Redis is, with nothing left to look up. */
export type RedisPlace =
  | { readonly kind: "single"; readonly server: HostPort }
  | { readonly kind: "sentinel"; readonly sentinels: readonly HostPort[]; readonly name: string }
  | { readonly kind: "cluster"; readonly nodes: readonly HostPort[] };

/** A `RedisConfig` with its defaults. */
export interface RedisSettings {
  readonly place: RedisPlace;
  readonly prefix: string;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly sentinelPassword: string | undefined;
  readonly database: number;
  readonly tls: TlsSettings | undefined;
  readonly protocol: 2 | 3;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

/** In Node's words. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: boolean;
}

const DEFAULT_PREFIX = "restyconf:";
const DEFAULT_PORT = 6_379;
const DEFAULT_SENTINEL_PORT = 26_379;
const DEFAULT_CONNECT_MS = 3_000;
const DEFAULT_COMMAND_MS = 2_000;

/** Fills in what a configuration leaves out. @throws TypeError for what cannot be meant, and when a file of `tls` cannot be read */
export function redisSettings(config: RedisConfig, baseDir: string): RedisSettings {
  const options = typeof config === "string" ? { url: config } : config;
  const url = options.url === undefined ? undefined : new URL(options.url);
  const tls = options.tls ?? url?.protocol === "rediss:";
  return {
    place: placeOf(options, url),
    prefix: options.prefix ?? DEFAULT_PREFIX,
    username: options.username ?? textOf(url?.username),
    password: options.password ?? textOf(url?.password),
    sentinelPassword: options.sentinelPassword,
    database: options.database ?? Number(url?.pathname.slice(1) ?? 0),
    tls: tls === false ? undefined : tlsOf(tls === true ? {} : tls, baseDir),
    protocol: options.protocol ?? 3,
    connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_MS,
    commandTimeoutMs: options.commandTimeoutMs ?? DEFAULT_COMMAND_MS,
  };
}

/** What is wrong between the keys of an object, and at which of them; undefined: it says where Redis is. */
export function redisFault(
  options: RedisOptions,
): { readonly key: keyof RedisOptions; readonly text: string } | undefined {
  const places = [options.url, options.sentinels, options.cluster].filter((place) => place !== undefined);
  if (places.length !== 1)
    return { key: "url", text: `expected one of url, sentinels and cluster, got ${places.length || "none"}` };
  if (options.sentinels && options.name === undefined)
    return { key: "name", text: "expected what the sentinels call the master" };
  if (options.cluster && (options.database ?? 0) !== 0)
    return { key: "database", text: "expected 0, a Cluster has no other" };
  return undefined;
}

/** A host and a port, or the host alone: `host:port`, `[v6]:port`. */
export function isHostPort(address: string): boolean {
  return HOST_PORT.test(address);
}

const HOST_PORT = /^(\[[\da-fA-F:.]+\]|[^\s:/@[\]]+)(?::(\d{1,5}))?$/;

function placeOf(options: RedisOptions, url: URL | undefined): RedisPlace {
  const fault = redisFault(options);
  if (fault) throw new TypeError(`redis.${fault.key}: ${fault.text}`);
  const { sentinels, name = "", cluster = [] } = options;
  if (url) return { kind: "single", server: { host: bare(url.hostname), port: Number(url.port || DEFAULT_PORT) } };
  if (sentinels)
    return { kind: "sentinel", sentinels: sentinels.map((at) => hostPortOf(at, DEFAULT_SENTINEL_PORT)), name };
  return { kind: "cluster", nodes: cluster.map((at) => hostPortOf(at, DEFAULT_PORT)) };
}

function hostPortOf(address: string, defaultPort: number): HostPort {
  const [, host = "", port] = HOST_PORT.exec(address) ?? [];
  if (host === "") throw new TypeError(`redis: expected host:port, not ${JSON.stringify(address)}`);
  return { host: bare(host), port: Number(port ?? defaultPort) };
}

function bare(host: string): string {
  return host.startsWith("[") ? host.slice(1, -1) : host;
}

function textOf(encoded: string | undefined): string | undefined {
  return encoded ? decodeURIComponent(encoded) : undefined;
}

function tlsOf({ ca, cert, key, serverName, verify = true }: RedisTls, baseDir: string): TlsSettings {
  return {
    ...(ca !== undefined && { ca: pemOf("ca", ca, baseDir) }),
    ...(cert !== undefined && { cert: pemOf("cert", cert, baseDir) }),
    ...(key !== undefined && { key: pemOf("key", key, baseDir) }),
    ...(serverName !== undefined && { servername: serverName }),
    rejectUnauthorized: verify,
  };
}

function pemOf(name: string, textOrPath: string, baseDir: string): string {
  if (textOrPath.includes("-----BEGIN ")) return textOrPath;
  try {
    return readFileSync(resolve(baseDir, textOrPath), "utf8");
  } catch (cause) {
    throw new TypeError(`redis.tls.${name}: cannot be read`, { cause });
  }
}
