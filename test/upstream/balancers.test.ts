import { describe, expect, test } from "vitest";
import type { Balancer, BalancerInput } from "../../src/upstream/balancer.ts";
import { hash } from "../../src/upstream/hash.ts";
import { leastConn } from "../../src/upstream/least-conn.ts";
import type { Peer } from "../../src/upstream/peer.ts";
import { randomTwo } from "../../src/upstream/random-two.ts";
import { roundRobin } from "../../src/upstream/round-robin.ts";
import { balancerLaws, peersWith, spread } from "../laws/balancer-laws.ts";
import { sampleSession } from "../support/balancer-session.ts";

const byHost = (): Balancer => hash((session) => session.remote.host);

balancerLaws(roundRobin);
balancerLaws(leastConn);
balancerLaws(() => randomTwo(seeded(7)));
balancerLaws(byHost);

/** A fixed sequence of numbers from 0 to 1 (mulberry32), so that a statistic never fails by chance. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const idle: BalancerInput = { session: sampleSession(), attempt: 1, active: () => 0 };

function sequence(balancer: Balancer, peers: readonly [Peer, ...Peer[]], length: number): string {
  const letters = new Map(peers.map((peer, index) => [peer, "abcdef"[index]]));
  return Array.from({ length }, () => letters.get(balancer.pick(peers, idle))).join(" ");
}

describe("roundRobin", () => {
  test.each([
    [[1, 1, 1], "a b c a b c"],
    [[5, 1, 1], "a a b a c a a a a b a c a a"],
    [[4, 2, 1], "a b a c a b a a b a c a b a"],
    [[2, 1], "a b a a b a"],
  ])("spreads weights %j smoothly: %s", (weights, expected) => {
    const length = expected.split(" ").length;
    expect(sequence(roundRobin(), peersWith(...weights), length)).toBe(expected);
  });
  test("is exact over each full turn", () => {
    expect(spread(roundRobin(), peersWith(5, 3, 2), 1_000)).toEqual([500, 300, 200]);
  });
  test("is fair in each of two upstreams that share one balancer", () => {
    const balancer = roundRobin();
    const [one, two] = [peersWith(1, 1), peersWith(1, 1)];
    const turns = Array.from({ length: 4 }, () => sequence(balancer, one, 1) + sequence(balancer, two, 1));
    expect(turns).toEqual(["aa", "bb", "aa", "bb"]);
  });
  test("does not give a peer that was away all that it missed", () => {
    const balancer = roundRobin();
    const [one, two] = peersWith(1, 1);
    if (!two) throw new TypeError("two peers");
    sequence(balancer, [one], 1_000);
    expect(
      sequence(balancer, [one, two], 4)
        .split(" ")
        .filter((letter) => letter === "b"),
    ).toHaveLength(2);
  });
});

describe("leastConn", () => {
  const loads = (...counts: readonly number[]): { peers: readonly [Peer, ...Peer[]]; input: BalancerInput } => {
    const peers = peersWith(1, 1, 4);
    return { peers, input: { ...idle, active: (peer) => counts[peers.indexOf(peer)] ?? 0 } };
  };
  test.each([
    [[3, 2, 12], 1],
    [[1, 2, 3], 2],
    [[0, 1, 1], 0],
  ])("with %j sessions on weights 1, 1, 4 picks peer %i", (counts, expected) => {
    const { peers, input } = loads(...counts);
    expect(peers.indexOf(leastConn().pick(peers, input))).toBe(expected);
  });
  test("takes equals in turn", () => {
    expect(sequence(leastConn(), peersWith(1, 1, 1), 6)).toBe("a b c a b c");
  });
});

describe("randomTwo", () => {
  test("never picks the busiest of three", () => {
    const peers = peersWith(1, 1, 1);
    const balancer = randomTwo(seeded(1));
    const active = (peer: Peer): number => peers.indexOf(peer);
    for (let count = 0; count < 1_000; count++) expect(balancer.pick(peers, { ...idle, active })).not.toBe(peers[2]);
  });
  test.each([0, 0.999_999_999_999])("keeps to the list when the draw is %d", (value) => {
    const peers = peersWith(1, 2, 3);
    expect(peers).toContain(randomTwo(() => value).pick(peers, idle));
  });
  test("keeps the busiest peer far nearer to the mean than chance alone", () => {
    const sessions = 10_000;
    const peers = peersWith(...Array.from({ length: 10 }, () => 1));
    expect(Math.max(...spread(randomTwo(seeded(3)), peers, sessions))).toBeLessThan(sessions / 10 + 20);
  });
});

describe("hash", () => {
  const KEYS = 20_000;
  const weighted = Array.from({ length: 10 }, (_, index) => 1 + (index % 3));
  const place = (peers: readonly [Peer, ...Peer[]]): readonly Peer[] => {
    const balancer = byHost();
    return Array.from({ length: KEYS }, (_, key) =>
      balancer.pick(peers, { ...idle, session: sampleSession(String(key), `198.51.${key >> 8}.${key & 255}`) }),
    );
  };

  test("sends the same key to the same peer, in any order of the list and on any gateway", () => {
    const peers = peersWith(...weighted);
    const [first, ...rest] = peers;
    const [last = first, ...others] = [...rest].reverse();
    expect(place([last, ...others, first])).toEqual(place(peers));
  });
  test("moves only the keys of a peer that goes away, about 1/n of all", () => {
    const peers = peersWith(...Array.from({ length: 10 }, () => 1));
    const [gone, next, ...rest] = peers;
    if (!next) throw new TypeError("two peers");
    const [before, after] = [place(peers), place([next, ...rest])];
    const moved = before.filter((peer, key) => peer !== after[key]);
    expect(new Set(moved)).toEqual(new Set([gone]));
    expect(moved.length).toBeGreaterThan(KEYS / 10 - 200);
    expect(moved.length).toBeLessThan(KEYS / 10 + 200);
  });
  test("spreads the keys of a peer that went away over all others", () => {
    const [gone, next, ...rest] = peersWith(...Array.from({ length: 10 }, () => 1));
    if (!next) throw new TypeError("two peers");
    const before = place([gone, next, ...rest]);
    const after = place([next, ...rest]).filter((_, key) => before[key] === gone);
    for (const peer of [next, ...rest]) {
      const share = after.filter((other) => other === peer).length / after.length;
      expect(share).toBeGreaterThan(0.08);
      expect(share).toBeLessThan(0.145);
    }
  });
  test("moves only keys to the peer whose weight grows", () => {
    const [before, after] = [place(peersWith(1, 1, 1, 1)), place(peersWith(1, 1, 2, 1))];
    const goals = after.filter((peer, key) => peer.address !== before[key]?.address);
    expect(new Set(goals.map(({ address }) => address))).toEqual(new Set(["10.0.0.2:1"]));
    expect(goals.length / KEYS).toBeCloseTo(2 / 5 - 1 / 4, 1);
  });
  test.each([undefined, ""])("takes peers in turn when the key is %j", (key) => {
    expect(
      sequence(
        hash(() => key),
        peersWith(1, 1, 1),
        6,
      ),
    ).toBe("a b c a b c");
  });
});
