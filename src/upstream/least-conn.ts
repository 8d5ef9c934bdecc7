import type { Balancer } from "./balancer.ts";
import type { Peer } from "./peer.ts";
import { roundRobin } from "./round-robin.ts";

/** The peer with the fewest sessions for its weight; among equals, in turn. nginx: `least_conn`. */
export function leastConn(): Balancer {
  const turn = roundRobin();
  return {
    name: "least-conn",
    pick(peers, input) {
      let [first] = peers;
      let ties: Peer[] = [];
      let fewest = Number.POSITIVE_INFINITY;
      for (const peer of peers) {
        const load = input.active(peer) / peer.weight;
        if (load < fewest) {
          fewest = load;
          first = peer;
          ties = [];
        } else if (load === fewest) {
          ties.push(peer);
        }
      }
      return ties.length === 0 ? first : turn.pick([first, ...ties], input);
    },
  };
}
