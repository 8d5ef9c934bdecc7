import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import type { Balancer } from "../../src/upstream/balancer.ts";
import { hash } from "../../src/upstream/hash.ts";
import { leastConn } from "../../src/upstream/least-conn.ts";
import { LivePeers } from "../../src/upstream/live-peers.ts";
import type { PeerEndpoint } from "../../src/upstream/peer-endpoint.ts";
import { randomTwo } from "../../src/upstream/random-two.ts";
import { roundRobin } from "../../src/upstream/round-robin.ts";
import { Upstream, type UpstreamConfig } from "../../src/upstream/upstream.ts";
import { lifeOf } from "../support/life.ts";
import { A, B, C, connectInput, fail, livePeer, Rig, upstreamParts } from "./rig.ts";

describe("connect", () => {
  test("answers what the dial function made, and tells what was tried, where, and how long it took", async () => {
    const rig = new Rig({ peers: [A, B] });
    rig.broken.add(A);
    const lease = await rig.connect();
    expect(lease.value).toBe(`to ${B}`);
    expect(rig.attempts).toEqual([
      { peer: A, address: A, ok: false, connectMs: undefined, code: "RC_PEER_CONNECT" },
      { peer: B, address: B, ok: true, connectMs: 0, code: undefined },
    ]);
  });

  test("hands the dial function all that the upstream was configured with", async () => {
    const rig = new Rig(
      { peers: ["peer.test:1"], connectTimeoutMs: 7, idleTimeoutMs: 8, proxyProtocol: 2, ssl: {} },
      async () => ["10.1.1.1"],
    );
    const dialed: PeerEndpoint[] = [];
    await rig.connectBy(async (peer) => dialed.push(peer));
    expect(dialed).toEqual([
      {
        address: "peer.test:1",
        endpoint: { kind: "tcp", host: "10.1.1.1", port: 1 },
        connectTimeoutMs: 7,
        localAddress: undefined,
        ssl: expect.objectContaining({ serverName: "peer.test", verify: true }),
        proxyProtocol: 2,
        idleTimeoutMs: 8,
      },
    ]);
  });

  test.each([
    [1, [A]],
    [2, [A, B]],
    [3, [A, B, C]],
    [9, [A, B, C]],
  ])("with tries %i dials %j and throws the last failure", async (tries, expected) => {
    const rig = new Rig({ peers: [A, B, C], tries, maxFails: 0 });
    for (const peer of [A, B, C]) rig.broken.add(peer);
    await expect(rig.connect()).rejects.toMatchObject({
      code: "RC_PEER_CONNECT",
      message: expect.stringContaining(String(expected.at(-1))),
    });
    expect(rig.dialed).toEqual(expected);
    expect(rig.active()).toEqual([0, 0, 0]);
  });

  test.each([
    ["round robin", roundRobin()],
    ["least connections", leastConn()],
    ["two choices", randomTwo()],
    ["hash", hash(({ id }) => id)],
  ])("never tries a peer twice for one session with %s", async (_, balancer) => {
    const rig = new Rig({ peers: [A, B, C], tries: 100, maxFails: 0, balancer });
    for (const peer of [A, B, C]) rig.broken.add(peer);
    expect(await rig.visit()).toBe("RC_PEER_CONNECT");
    expect(rig.dialed.toSorted()).toEqual([A, B, C]);
  });

  test("does not try another peer after an error that is not the peer's fault", async () => {
    const rig = new Rig({ peers: [A, B] });
    const dial = (): Promise<never> => Promise.reject(new TypeError("bug"));
    const failure = rig.connectBy(dial);
    await expect(failure).rejects.toMatchObject({ code: "RC_INTERNAL" });
    expect(rig.attempts.map(({ peer }) => peer)).toEqual([A]);
    expect(rig.states()).toEqual(["up", "up"]);
  });

  test("blames no peer and tries none when the session has ended", async () => {
    const rig = new Rig({ peers: [A, B] });
    const control = new AbortController();
    const dial = async (): Promise<never> => {
      control.abort(new GatewayError("RC_CLIENT_CLOSED"));
      throw new GatewayError("RC_PEER_CONNECT", "torn down");
    };
    const life = lifeOf(control.signal);
    const failure = rig.connectBy(dial, { life });
    await expect(failure).rejects.toThrow(GatewayError);
    expect(rig.states()).toEqual(["up", "up"]);
    expect(await rig.visit({ life })).toBe("RC_CLIENT_CLOSED");
    expect(rig.dialed).toEqual([]);
  });

  test.each<[string, Balancer["pick"], string]>([
    ["throws", () => fail("no idea"), "no idea"],
    ["makes a peer up", ([peer]) => ({ ...peer, address: "made up" }), "chose a peer that it was not offered"],
  ])("ends the session when a balancer of the user %s", async (_, pick, reason) => {
    const rig = new Rig({ peers: [A, B], balancer: { name: "mine", pick } });
    const failure = rig.connect();
    await expect(failure).rejects.toMatchObject({
      code: "RC_HOOK_FAILED",
      message: expect.stringContaining(reason),
    });
    expect(rig.active()).toEqual([0, 0]);
  });
});

describe("a lease", () => {
  test("counts from the choice to the release, once", async () => {
    const rig = new Rig({ peers: [A] });
    const lease = await rig.connect();
    expect(rig.active()).toEqual([1]);
    lease.release();
    lease.release();
    lease[Symbol.dispose]();
    expect(rig.active()).toEqual([0]);
  });
  test("is given up at the end of its scope", async () => {
    const rig = new Rig({ peers: [A] });
    {
      using lease = await rig.connect();
      expect(lease.value).toBe(`to ${A}`);
      expect(rig.active()).toEqual([1]);
    }
    expect(rig.active()).toEqual([0]);
  });
});

describe("maxConns", () => {
  test("holds for sessions that connect at the same time", async () => {
    const rig = new Rig({ peers: [{ address: A, maxConns: 3 }, B], maxConns: 2 });
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => rig.connect()));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    expect(rig.active()).toEqual([3, 2]);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "RC_NO_LIVE_PEER" });
      else result.value.release();
    }
    expect(await rig.visit()).toBe(A);
  });
  test("holds for a single peer, and for the peer that a hook chose", async () => {
    const rig = new Rig({ peers: [A], maxConns: 1 });
    const lease = await rig.connect();
    expect(await rig.visit()).toBe("RC_NO_LIVE_PEER");
    expect(await rig.visit({ choose: () => A })).toBe("RC_NO_LIVE_PEER");
    lease.release();
    expect(await rig.visit({ choose: () => A })).toBe(A);
  });
});

describe("a reload", () => {
  const parts = (live: LivePeers) => upstreamParts({ live, now: () => 0 });

  test("keeps what is known of peers, and forgets peers that are gone and free", async () => {
    const live = new LivePeers();
    const before = new Upstream("game", { peers: [A, B, C] }, parts(live));
    const dial = async ({ address }: PeerEndpoint): Promise<string> => {
      if (address === A) throw new GatewayError("RC_PEER_CONNECT");
      return address;
    };
    const input = connectInput();
    const lease = await before.connect(input, dial);
    const other = await before.connect(input, dial);
    expect([lease.value, other.value]).toEqual([B, C]);
    const after = new Upstream("game", { peers: [A, B] }, parts(live));
    await before.close();
    expect(livePeer(live, "game", A).state).toMatchObject({ kind: "down" });
    expect(livePeer(live, "game", B)).toMatchObject({ state: { kind: "up" }, active: 1 });
    expect(live.size).toBe(3);
    other.release();
    expect(live.size).toBe(2);
    lease.release();
    await after.close();
    expect(live.size).toBe(0);
  });
  test("does not mix upstreams with the same peers", async () => {
    const live = new LivePeers();
    const [one] = ["one", "two"].map((name) => new Upstream(name, { peers: [A] }, parts(live)));
    await one?.connect(connectInput(), async () => "");
    expect(["one", "two"].map((name) => livePeer(live, name, A).active)).toEqual([1, 0]);
  });
});

describe("a configuration", () => {
  test.each<[string, UpstreamConfig, string]>([
    ["no peers", { peers: [] }, "at least one"],
    ["a bad address", { peers: ["nowhere"] }, 'peer "nowhere": expected host:port or unix:/path'],
    ["a bad weight", { peers: [{ address: A, weight: 0 }] }, "weight: expected 1 to 65535"],
    ["a peer twice", { peers: [A, B, A] }, `${A} is there twice`],
    ["a certificate file that is not there", { peers: [A], ssl: { ca: "/nowhere/ca.pem" } }, "ssl.ca"],
  ])("with %s is refused", (_, config, reason) => {
    expect(() => new Rig(config)).toThrow(TypeError);
    expect(() => new Rig(config)).toThrow(reason);
  });
});
