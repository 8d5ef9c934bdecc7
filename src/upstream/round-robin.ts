import type { Balancer } from "./balancer.ts";
import type { Peer } from "./peer.ts";

/**
 * Peers in turn, by weight and evenly spread: with weights 5, 1, 1 the sequence is a a b a c a a. nginx's default.
 *
 * Smooth weighted round robin: each peer gains its weight, the richest is chosen and pays what all have gained.
 * What a peer has gained belongs to the peer, so one balancer may serve several upstreams and is fair in each.
 */
export function roundRobin(): Balancer {
  const gained = new WeakMap<Peer, number>();
  return {
    name: "round-robin",
    pick(peers) {
      let [best] = peers;
      let most = Number.NEGATIVE_INFINITY;
      let total = 0;
      for (const peer of peers) {
        const current = (gained.get(peer) ?? 0) + peer.weight;
        gained.set(peer, current);
        total += peer.weight;
        if (current > most) {
          best = peer;
          most = current;
        }
      }
      gained.set(best, most - total);
      return best;
    },
  };
}
