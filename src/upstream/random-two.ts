import type { Balancer } from "./balancer.ts";
import type { Peer } from "./peer.ts";

/**
 * Draws two peers by weight and takes the one with fewer sessions for its weight. nginx: `random two least_conn`.
 * Right where several gateways share the peers: each sees only its own sessions, and drawing keeps them from all
 * running to the same peer.
 */
export function randomTwo(random: () => number = Math.random): Balancer {
  return {
    name: "random-two",
    pick(peers, input) {
      const one = draw(peers, undefined, random);
      const two = peers.length > 1 ? draw(peers, one, random) : one;
      return input.active(two) / two.weight < input.active(one) / one.weight ? two : one;
    },
  };
}

/** One peer, each with a chance of its weight, `except` with none. */
function draw(peers: readonly [Peer, ...Peer[]], except: Peer | undefined, random: () => number): Peer {
  let total = 0;
  for (const peer of peers) if (peer !== except) total += peer.weight;
  let left = random() * total;
  let [chosen] = peers;
  for (const peer of peers) {
    if (peer === except) continue;
    chosen = peer; // the last one stands in when rounding leaves something over
    left -= peer.weight;
    if (left < 0) break;
  }
  return chosen;
}
