import { type Endpoint, formatEndpoint, parseEndpoint } from "../codecs/address.ts";
import type { FailPolicy } from "./peer-state.ts";

/** One peer as the user writes it: an address alone, or with what nginx's `server` directive knows. */
export type PeerConfig = string | PeerOptions;

/** Limits that an upstream sets for all its peers, and a peer for itself. */
export interface PeerLimitOptions {
  /** Sessions at once on one peer. Default: no limit. nginx: `max_conns`. */
  readonly maxConns?: number | undefined;
  /** Failed connects after which a peer is down; 0: never. Default 1. nginx: `max_fails`. */
  readonly maxFails?: number | undefined;
  /** How long a failure counts, and how long a peer then stays down. Default 10,000. nginx: `fail_timeout`. */
  readonly failTimeoutMs?: number | undefined;
}

/** A peer with options. */
export interface PeerOptions extends PeerLimitOptions {
  /** `host:port`, `[v6]:port` or `unix:/path`; the host may be a name. */
  readonly address: string;
  /** Share of the sessions, relative to the other peers. Default 1. */
  readonly weight?: number | undefined;
  /** Used only while no other peer can be. */
  readonly backup?: boolean | undefined;
}

/** What the operator wants of a peer. Both `drain` and `maint` take no new session. */
export type PeerMode = "ready" | "drain" | "maint";

/** What holds for a peer: nginx's failure rule, and its limit of sessions. */
export interface PeerLimits extends FailPolicy {
  readonly maxConns: number;
}

/** Where a session may go. Frozen: what changes while the gateway runs is its `LivePeer`, found by upstream and address. */
export interface Peer extends PeerLimits {
  /** The text form of `endpoint`, and its name everywhere: in logs, hooks and tables. */
  readonly address: string;
  readonly endpoint: Endpoint;
  readonly weight: number;
  readonly backup: boolean;
  readonly mode: PeerMode;
  /** What the peer says of itself in the registry, for hooks and balancers. */
  readonly tags: readonly string[];
}

/** nginx's defaults. */
const MAX_FAILS = 1;
const FAIL_TIMEOUT_MS = 10_000;

/** Enough to tell a large machine from a small one; a bound keeps sums of weights exact. */
export const MAX_WEIGHT = 65_535;

/** The limits of an upstream's peers, with nginx's defaults for what is not set. */
export function limitsOf(options: PeerLimitOptions): PeerLimits {
  return {
    maxConns: options.maxConns ?? Number.POSITIVE_INFINITY,
    maxFails: options.maxFails ?? MAX_FAILS,
    failTimeoutMs: options.failTimeoutMs ?? FAIL_TIMEOUT_MS,
  };
}

/**
 * Compiles what the user wrote.
 * @throws TypeError for an address that is none, and for a weight that is no whole number from 1 to 65,535.
 */
export function peerOf(config: PeerConfig, limits: PeerLimits): Peer {
  const options = typeof config === "string" ? { address: config } : config;
  const endpoint = parseEndpoint(options.address);
  if (!endpoint) throw new TypeError(`peer ${JSON.stringify(options.address)}: expected host:port or unix:/path`);
  const { weight = 1, backup = false } = options;
  if (!isWeight(weight)) throw new TypeError(`peer ${options.address}: weight: expected 1 to ${MAX_WEIGHT}`);
  return Object.freeze({
    address: formatEndpoint(endpoint),
    endpoint,
    weight,
    backup,
    mode: "ready",
    tags: [],
    maxConns: options.maxConns ?? limits.maxConns,
    maxFails: options.maxFails ?? limits.maxFails,
    failTimeoutMs: options.failTimeoutMs ?? limits.failTimeoutMs,
  });
}

/**
 * Compiles a whole list.
 * @throws TypeError for an empty list, a bad peer, and two peers with one address.
 */
export function peersOf(configs: readonly PeerConfig[], limits: PeerLimits): readonly Peer[] {
  if (configs.length === 0) throw new TypeError("peers: expected at least one");
  const peers = configs.map((config) => peerOf(config, limits));
  const seen = new Set<string>();
  for (const { address } of peers) {
    if (seen.has(address)) throw new TypeError(`peers: ${address} is there twice; give it a weight instead`);
    seen.add(address);
  }
  return peers;
}

/** True for what may be a peer's weight, wherever it was written. */
export function isWeight(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MAX_WEIGHT;
}
