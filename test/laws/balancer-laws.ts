import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Balancer } from "../../src/upstream/balancer.ts";
import { limitsOf, type Peer, peersOf } from "../../src/upstream/peer.ts";
import { sampleSession } from "../support/balancer-session.ts";
import { RUNS } from "./sniffer-laws.ts";

/** Peers `10.0.0.1:1`, `10.0.0.2:1` and so on, with these weights. */
export function peersWith(...weights: readonly number[]): readonly [Peer, ...Peer[]] {
  const [first, ...rest] = peersOf(
    weights.map((weight, index) => ({ address: `10.0.${index >> 8}.${index & 255}:1`, weight })),
    limitsOf({}),
  );
  if (!first) throw new TypeError("no peers");
  return [first, ...rest];
}

/** Sends `count` new sessions, which all stay, and answers how many each peer got. */
export function spread(balancer: Balancer, peers: readonly [Peer, ...Peer[]], count: number): readonly number[] {
  const active = new Map<Peer, number>(peers.map((peer) => [peer, 0]));
  const load = (peer: Peer): number => active.get(peer) ?? 0;
  for (let index = 0; index < count; index++) {
    const session = sampleSession(String(index), `client-${index}`);
    const peer = balancer.pick(peers, { session, attempt: 1, active: load });
    active.set(peer, load(peer) + 1);
  }
  return peers.map(load);
}

/** What every balancer must obey, however it chooses. */
export function balancerLaws(make: () => Balancer): void {
  const { name } = make();
  describe(`balancer ${name}`, () => {
    test("picks one of the peers that it is offered, whatever their weights and loads", () => {
      const weights = fc.array(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 12 });
      fc.assert(
        fc.property(weights, fc.array(fc.nat(), { maxLength: 30 }), (given, loads) => {
          const balancer = make();
          const peers = peersWith(...given);
          for (const [index, load] of loads.entries()) {
            const [first, ...rest] = peers.slice(index % peers.length);
            if (!first) continue;
            const active = (peer: Peer): number => (load * peer.weight) % 7;
            const picked = balancer.pick([first, ...rest], {
              session: sampleSession(String(load)),
              attempt: 1,
              active,
            });
            expect([first, ...rest]).toContain(picked);
          }
        }),
        { numRuns: RUNS / 10 },
      );
    });
    test("picks the only peer, again and again", () => {
      expect(spread(make(), peersWith(3), 100)).toEqual([100]);
    });
    test("works on frozen lists", () => {
      const peers = Object.freeze(peersWith(1, 2));
      expect(spread(make(), peers, 10).reduce((sum, got) => sum + got)).toBe(10);
    });
    test.each([[[1, 1, 1]], [[5, 1, 1]], [[1, 2, 3, 4]], [[10, 1]]])("gives weights %j their share", (weights) => {
      const sessions = 20_000;
      const total = weights.reduce((sum, weight) => sum + weight);
      const got = spread(make(), peersWith(...weights), sessions);
      for (const [index, weight] of weights.entries()) {
        const fair = (sessions * weight) / total;
        const tolerance = 4 * Math.sqrt(fair * (1 - weight / total)); // four sigma of a fair draw
        expect(Math.abs((got[index] ?? 0) - fair)).toBeLessThanOrEqual(tolerance);
      }
    });
    test("gives sessions to a peer that comes back", () => {
      const balancer = make();
      const [one, two, three] = peersWith(1, 1, 1);
      if (!two || !three) throw new TypeError("three peers");
      spread(balancer, [one, two], 1_000);
      for (const share of spread(balancer, [one, two, three], 900)) expect(share).toBeGreaterThan(200);
    });
  });
}
