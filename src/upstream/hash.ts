import type { Balancer } from "./balancer.ts";
import type { Peer } from "./peer.ts";
import { roundRobin } from "./round-robin.ts";
import type { SessionFacts } from "./session-facts.ts";

/**
 * Sessions with the same key go to the same peer, on every gateway with the same peers. A session without a key goes
 * in turn. nginx: `hash … consistent`.
 *
 * Rendezvous hashing: each peer draws a lot for the key, the best lot wins. When a peer goes away only its own keys
 * move, and they spread over all others by weight; when it returns exactly these come back. There is no ring to build,
 * so a peer that is down or full for a moment costs nothing either.
 */
export function hash(key: (session: SessionFacts) => string | undefined): Balancer {
  const seeds = new WeakMap<Peer, number>();
  const turn = roundRobin();
  const seedOf = (peer: Peer): number => {
    const seed = seeds.get(peer) ?? hashText(peer.address);
    seeds.set(peer, seed);
    return seed;
  };
  return {
    name: "hash",
    pick(peers, input) {
      const text = String(key(input.session) ?? ""); // no compiler has seen a key made in JavaScript
      if (text === "") return turn.pick(peers, input);
      const hashed = hashText(text);
      let [best] = peers;
      let bestLot = Number.NEGATIVE_INFINITY;
      for (const peer of peers) {
        const lot = lotOf(hashed, seedOf(peer), peer.weight);
        if (lot > bestLot) {
          best = peer;
          bestLot = lot;
        }
      }
      return best;
    },
  };
}

const GOLDEN = 0x9e37_79b1; // 2^32 divided by the golden ratio: spreads seeds that differ in few bits
const RANGE = 2 ** 32;

/** The lot of one peer for one key: weight over an exponential variable, so that the best one wins by weight exactly. */
function lotOf(key: number, seed: number, weight: number): number {
  const uniform = (mix(mix(key ^ seed) + Math.imul(seed, GOLDEN)) + 0.5) / RANGE; // never 0 and never 1
  return -weight / Math.log(uniform);
}

/** FNV-1a over UTF-16 units, then mixed, since FNV's high bits hardly know the last letters. */
function hashText(text: string): number {
  let state = 0x811c_9dc5;
  for (let index = 0; index < text.length; index++) {
    state = Math.imul(state ^ text.charCodeAt(index), 0x0100_0193);
  }
  return mix(state);
}

/** MurmurHash3's finalizer: each bit of the result depends on each bit of the input. */
function mix(value: number): number {
  let state = value | 0;
  state = Math.imul(state ^ (state >>> 16), 0x85eb_ca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2_ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
