import type { Peer } from "./peer.ts";
import type { SessionFacts } from "./session-facts.ts";

/** What a balancer is told besides the peers. */
export interface BalancerInput {
  readonly session: SessionFacts;
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
