import { GatewayError } from "../../src/errors.ts";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Attempt, Lease } from "../../src/upstream/lease.ts";
import { type LivePeer, LivePeers } from "../../src/upstream/live-peers.ts";
import type { PeerEndpoint } from "../../src/upstream/peer-endpoint.ts";
import { Resolver } from "../../src/upstream/resolve.ts";
import { type ConnectInput, Upstream, type UpstreamConfig, type UpstreamParts } from "../../src/upstream/upstream.ts";
import { sampleSession } from "../support/balancer-session.ts";
import { lifeOf } from "../support/life.ts";

export const A = "10.0.0.1:1";
export const B = "10.0.0.2:1";
export const C = "10.0.0.3:1";

/** What an upstream works with, where a test gives nothing else: an empty registry, and nobody who hears warnings. */
export function upstreamParts(given: Partial<UpstreamParts> = {}): UpstreamParts {
  const parts = { live: new LivePeers(), resolver: new Resolver(), source: memoryRegistry(), warn: () => {} };
  return { ...parts, baseDir: process.cwd(), ...given };
}

/** A session that wants a peer, and nothing special. */
export function connectInput(given: Partial<ConnectInput> = {}): ConnectInput {
  const life = lifeOf(new AbortController().signal);
  return { session: sampleSession(), choose: undefined, life, onAttempt: () => {}, ...given };
}

/** What is known of a peer of an upstream that lists it. */
export function livePeer(live: LivePeers, upstream: string, address: string): LivePeer {
  const peer = live.hold(upstream, address);
  live.drop(upstream, address);
  return peer;
}

/** An upstream whose peers answer as the test says, with a clock that the test moves. */
export class Rig {
  now = 0;
  /** Peers that refuse. */
  readonly broken = new Set<string>();
  /** Peers in the order in which they were dialed. */
  readonly dialed: string[] = [];
  /** All attempts of all sessions. */
  readonly attempts: Attempt[] = [];
  readonly live = new LivePeers();
  readonly upstream: Upstream;
  readonly #peers: readonly string[];

  constructor(config: UpstreamConfig, lookup: (host: string) => Promise<readonly string[]> = async () => []) {
    const resolver = new Resolver({ lookup, now: () => this.now });
    this.upstream = new Upstream("game", config, upstreamParts({ live: this.live, resolver, now: () => this.now }));
    const listed = "kind" in config.peers ? [] : config.peers;
    this.#peers = listed.map((peer) => (typeof peer === "string" ? peer : peer.address));
  }

  readonly dial = async ({ endpoint }: PeerEndpoint): Promise<string> => {
    const address = endpoint.kind === "tcp" ? `${endpoint.host}:${endpoint.port}` : endpoint.path;
    this.dialed.push(address);
    if (this.broken.has(address)) throw new GatewayError("RC_PEER_CONNECT", `${address}: ECONNREFUSED`);
    return `to ${address}`;
  };

  connect(input: Partial<ConnectInput> = {}): Promise<Lease<string>> {
    return this.connectBy(this.dial, input);
  }

  connectBy<T>(dial: (peer: PeerEndpoint) => Promise<T>, input: Partial<ConnectInput> = {}): Promise<Lease<T>> {
    const onAttempt = (attempt: Attempt): void => void this.attempts.push(attempt);
    return this.upstream.connect(connectInput({ onAttempt, ...input }), dial);
  }

  /** Connects once and lets go; answers the peer as configured, or the error's code. */
  async visit(input: Partial<ConnectInput> = {}): Promise<string | undefined> {
    try {
      const lease = await this.connect(input);
      lease.release();
      return this.attempts.at(-1)?.peer;
    } catch (cause) {
      return GatewayError.from(cause).code;
    }
  }

  async visits(count: number): Promise<readonly (string | undefined)[]> {
    const peers: (string | undefined)[] = [];
    for (let visit = 0; visit < count; visit++) peers.push(await this.visit());
    return peers;
  }

  /** Takes a peer out of use, or puts it back. */
  drain(address: string, kind: "drain" | "resume" = "drain"): void {
    livePeer(this.live, "game", address).report({ kind }, { maxFails: 1, failTimeoutMs: 10_000 });
  }

  states(): readonly string[] {
    return this.#peers.map((address) => livePeer(this.live, "game", address).state.kind);
  }

  active(): readonly number[] {
    return this.#peers.map((address) => livePeer(this.live, "game", address).active);
  }
}

/** For code of the user that throws. */
export function fail(text: string): never {
  throw new Error(text);
}
