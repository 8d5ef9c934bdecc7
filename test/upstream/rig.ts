import { GatewayError } from "../../src/errors.ts";
import type { Lease } from "../../src/upstream/lease.ts";
import { LivePeers } from "../../src/upstream/live-peers.ts";
import type { PeerEndpoint } from "../../src/upstream/peer-endpoint.ts";
import { Resolver } from "../../src/upstream/resolve.ts";
import { type ConnectInput, Upstream, type UpstreamConfig } from "../../src/upstream/upstream.ts";
import { sampleSession } from "../support/balancer-session.ts";

export const A = "10.0.0.1:1";
export const B = "10.0.0.2:1";
export const C = "10.0.0.3:1";

/** An upstream whose peers answer as the test says, with a clock that the test moves. */
export class Rig {
  now = 0;
  /** Peers that refuse. */
  readonly broken = new Set<string>();
  /** Peers in the order in which they were dialed. */
  readonly dialed: string[] = [];
  readonly live = new LivePeers();
  readonly upstream: Upstream;

  constructor(config: UpstreamConfig, lookup: (host: string) => Promise<readonly string[]> = async () => []) {
    const resolver = new Resolver({ lookup, now: () => this.now });
    this.upstream = new Upstream("game", config, { live: this.live, resolver, now: () => this.now });
  }

  readonly dial = async (peer: PeerEndpoint): Promise<string> => {
    const { endpoint } = peer;
    const address = endpoint.kind === "tcp" ? `${endpoint.host}:${endpoint.port}` : endpoint.path;
    this.dialed.push(address);
    if (this.broken.has(address)) throw new GatewayError("RC_PEER_CONNECT", `${address}: ECONNREFUSED`);
    return `to ${address}`;
  };

  connect(input: Partial<ConnectInput> = {}): Promise<Lease<string>> {
    return this.upstream.connect({ session: sampleSession(), ...input }, this.dial);
  }

  /** Connects once and lets go; answers the peer, or the error's code. */
  async visit(input: Partial<ConnectInput> = {}): Promise<string> {
    try {
      const lease = await this.connect(input);
      lease.release();
      return lease.peer;
    } catch (cause) {
      return GatewayError.from(cause).code;
    }
  }

  async visits(count: number): Promise<readonly string[]> {
    const peers: string[] = [];
    for (let visit = 0; visit < count; visit++) peers.push(await this.visit());
    return peers;
  }

  states(): readonly string[] {
    return this.upstream.status().map(({ state }) => state);
  }

  active(): readonly number[] {
    return this.upstream.status().map(({ active }) => active);
  }
}

/** For code of the user that throws. */
export function fail(text: string): never {
  throw new Error(text);
}
