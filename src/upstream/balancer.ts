import type { Address } from "../codecs/address.ts";
import type { Peer } from "./peer.ts";

/** The facts of a session that a balancer may decide by. */
export interface BalancerSession {
  readonly id: string;
  readonly server: string;
  /** Name of the sniffer that matched, and what it learned. */
  readonly protocol: string | undefined;
  readonly info: unknown;
  readonly remote: Address;
  readonly local: Address;
  readonly ssl:
    | {
        readonly serverName?: string | undefined;
        readonly alpn?: string | undefined;
        readonly ja4?: string | undefined;
      }
    | undefined;
}

/** What a balancer is told besides the peers. */
export interface BalancerInput {
  readonly session: BalancerSession;
  /** 1 for the first attempt of a session. */
  readonly attempt: number;
  /** Sessions on that peer at this moment. */
  active(peer: Peer): number;
}

/**
 * Chooses one of the peers that can be used now. It only chooses: who is up, what was tried before and when to give up
 * is decided around it. Synchronous, because nothing may change between the choice and the count of sessions.
 */
export interface Balancer {
  readonly name: string;
  pick(peers: readonly [Peer, ...Peer[]], input: BalancerInput): Peer;
}
