import { GatewayError } from "../errors.ts";
import { abortError, type Life } from "./abort.ts";
import type { Balancer } from "./balancer.ts";
import { type CheckedChoice, checkChoice, type PeerChoice } from "./choice.ts";
import { discover, type RegistryPeers } from "./discovery.ts";
import type { Instances, PeerSource } from "./instances.ts";
import { type Attempt, Claim, type Lease } from "./lease.ts";
import { LivePeer, type LivePeers } from "./live-peers.ts";
import {
  limitsOf,
  type Peer,
  type PeerConfig,
  type PeerLimitOptions,
  type PeerLimits,
  peerOf,
  peersOf,
} from "./peer.ts";
import type { PeerEndpoint } from "./peer-endpoint.ts";
import { PeerGroup } from "./peer-group.ts";
import { type PeerSsl, type PeerSslConfig, peerSslOf } from "./peer-ssl.ts";
import type { Resolver } from "./resolve.ts";
import { roundRobin } from "./round-robin.ts";
import type { SessionFacts } from "./session-facts.ts";

import { mayRetry, type Trial, tryPeer } from "./try-peer.ts";

/** An upstream as the user writes it. The limits hold for each peer that does not set its own. */
export interface UpstreamConfig extends PeerLimitOptions {
  readonly peers: readonly PeerConfig[] | RegistryPeers;
  /** Default `roundRobin()`. */
  readonly balancer?: Balancer | undefined;
  /** For each address: TCP and TLS handshake together. Default 5,000. nginx: `proxy_connect_timeout`. */
  readonly connectTimeoutMs?: number | undefined;
  /** Most peers tried for one session. Default 3. nginx: `proxy_next_upstream_tries`. */
  readonly tries?: number | undefined;
  /** Ends a relayed session when no byte moved for so long. Default: the server's. nginx: `proxy_timeout`. */
  readonly idleTimeoutMs?: number | undefined;
  /** Version of the PROXY header sent to peers. nginx: `proxy_protocol`. */
  readonly proxyProtocol?: 1 | 2 | undefined;
  readonly ssl?: PeerSslConfig | undefined;
}

/** What all upstreams of a process share, and what survives a reload. */
export interface UpstreamParts {
  readonly live: LivePeers;
  readonly resolver: Resolver;
  /** Where `peers: registry(…)` looks. */
  readonly source: PeerSource;
  readonly warn: (message: string) => void;
  /** What relative paths in the configuration are relative to. */
  readonly baseDir: string;
  /** A steady clock in milliseconds. */
  readonly now?: (() => number) | undefined;
}

/** One session that wants a peer. */
export interface ConnectInput {
  readonly session: SessionFacts;
  /** The balancer hook, asked before each attempt; undefined leaves the choice to the configured balancer. */
  readonly choose: ChoosePeer | undefined;
  readonly life: Life;
  /** Told of every attempt as it ends, of failed sessions too. */
  readonly onAttempt: (attempt: Attempt) => void;
}

/** The balancer hook of a session: `attempt` counts from 1. It rejects when the session ends while it waits. */
export type ChoosePeer = (
  attempt: number,
  lastFailure: GatewayError | undefined,
) => PeerChoice | undefined | Promise<PeerChoice | undefined>;

const NONE: ReadonlySet<string> = new Set();
const CONNECT_TIMEOUT_MS = 5_000;
const TRIES = 3;

/** What is known of an attempt before its peer is. */
interface Round {
  readonly number: number;
  readonly tried: ReadonlySet<string>;
  readonly choice: CheckedChoice | undefined;
}

/** Where sessions go: a list of peers, who chooses among them, and how often another one is tried. */
export class Upstream {
  readonly name: string;
  readonly #config: UpstreamConfig;
  readonly #limits: PeerLimits;
  readonly #balancer: Balancer;
  readonly #ssl: PeerSsl | undefined;
  readonly #live: LivePeers;
  readonly #tools: { readonly resolver: Resolver; readonly now: () => number };
  readonly #discovery: Instances<Peer> | undefined;
  #group: PeerGroup;

  /** @throws TypeError for a configuration that cannot work. */
  constructor(name: string, config: UpstreamConfig, parts: UpstreamParts) {
    this.name = name;
    this.#config = config;
    this.#limits = limitsOf(config);
    this.#balancer = config.balancer ?? roundRobin();
    this.#ssl = config.ssl && peerSslOf(config.ssl, parts.baseDir);
    this.#live = parts.live;
    this.#tools = { resolver: parts.resolver, now: parts.now ?? (() => performance.now()) };
    const listed = "kind" in config.peers ? [] : peersOf(config.peers, this.#limits);
    this.#group = new PeerGroup(name, listed, parts.live);
    this.#discovery = "kind" in config.peers ? this.#discover(config.peers, parts) : undefined;
  }

  /** Resolves when the peers are known; a registry that cannot be read has none until it can. */
  async ready(): Promise<void> {
    await this.#discovery?.ready;
  }

  /**
   * Connects a session to a peer: chooses, resolves, dials, and tries the next peer where that may help.
   * Each peer is tried at most once, each address of its name in turn.
   * @throws GatewayError: the last failure, or RC_NO_LIVE_PEER, RC_HOOK_FAILED, or the reason of the signal.
   */
  async connect<T>(input: ConnectInput, dial: (peer: PeerEndpoint) => Promise<T>): Promise<Lease<T>> {
    const { session, life, onAttempt: note } = input;
    const { resolver, now } = this.#tools;
    let tried = NONE;
    let failure: GatewayError | undefined;
    for (let number = 1; number <= (this.#config.tries ?? TRIES); number++) {
      const choice = input.choose && (await this.#ask(input.choose, number, failure));
      if (life.isOver) throw abortError(life.signal);
      const trial = this.#place(session, { number, tried, choice });
      if (!trial) break;
      try {
        return trial.claim.leaseOf(await tryPeer(trial, dial, { resolver, now, life, note }));
      } catch (cause) {
        tried = new Set(tried).add(trial.peer.address);
        failure = GatewayError.from(cause);
        if (!mayRetry(failure, life)) throw failure;
      }
    }
    throw failure ?? new GatewayError("RC_NO_LIVE_PEER", this.name);
  }

  /** Stops following the registry. Leases go on until they are released. */
  async close(): Promise<void> {
    await this.#discovery?.close();
    this.#group.close();
  }

  #discover({ service }: RegistryPeers, { source, warn }: UpstreamParts): Instances<Peer> {
    const onPeers = (peers: readonly Peer[]): void => {
      const before = this.#group;
      this.#group = new PeerGroup(this.name, peers, this.#live); // takes hold before the old one lets go
      before.close();
    };
    return discover({ source, service, limits: this.#limits, onPeers, warn });
  }

  /** The hook's word, checked. A hook that throws ends the session: another peer than the one it wanted could be wrong. */
  async #ask(
    choose: ChoosePeer,
    number: number,
    failure: GatewayError | undefined,
  ): Promise<CheckedChoice | undefined> {
    try {
      const choice = await choose(number, failure);
      return choice === undefined ? undefined : checkChoice(choice);
    } catch (cause) {
      throw GatewayError.from(cause, "RC_HOOK_FAILED");
    }
  }

  /** Chooses and counts in one go: an await in between would let sessions at the same time overrun `maxConns`. */
  #place(session: SessionFacts, round: Round): Trial | undefined {
    const { choice } = round;
    const peer = choice ? this.#chosen(choice, round.tried) : this.#pick(session, round);
    if (!peer) return undefined;
    const live = this.#group.live(peer);
    const judged = live !== undefined && !this.#group.single;
    const claim = new Claim(live ?? new LivePeer(), peer, { now: this.#tools.now(), judged });
    return { peer, claim, unresolved: this.#unresolved(peer, choice) };
  }

  #pick(session: SessionFacts, { number, tried }: Round): Peer | undefined {
    const group = this.#group;
    const usable = group.usable(this.#tools.now(), tried);
    if (!usable) return undefined;
    const active = (peer: Peer): number => group.active(peer);
    const peer = this.#balance(() => this.#balancer.pick(usable, { session, attempt: number, active }));
    if (usable.includes(peer)) return peer;
    throw new GatewayError("RC_HOOK_FAILED", `balancer ${this.#balancer.name} chose a peer that it was not offered`);
  }

  /** Balancers and their keys may be the user's code. */
  #balance(pick: () => Peer): Peer {
    try {
      return pick();
    } catch (cause) {
      throw GatewayError.from(cause, "RC_HOOK_FAILED");
    }
  }

  /** A hook may send sessions where no balancer would, to a peer that is down or unknown, but not over `maxConns`. */
  #chosen({ address }: CheckedChoice, tried: ReadonlySet<string>): Peer | undefined {
    if (tried.has(address)) return undefined;
    const peer = this.#group.find(address);
    if (!peer) return peerOf(address, this.#limits);
    return this.#group.active(peer) < peer.maxConns ? peer : undefined;
  }

  #unresolved(peer: Peer, choice: CheckedChoice | undefined): Omit<PeerEndpoint, "endpoint"> {
    const host = peer.endpoint.kind === "tcp" ? peer.endpoint.host : undefined;
    return {
      address: peer.address,
      connectTimeoutMs: choice?.connectTimeoutMs ?? this.#config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      localAddress: choice?.localAddress,
      ssl: this.#ssl && { ...this.#ssl, serverName: this.#ssl.serverName ?? host },
      proxyProtocol: this.#config.proxyProtocol,
      idleTimeoutMs: choice?.idleTimeoutMs ?? this.#config.idleTimeoutMs,
    };
  }
}
