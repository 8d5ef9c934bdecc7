import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import type { Balancer } from "../../src/upstream/balancer.ts";
import { hash } from "../../src/upstream/hash.ts";
import type { Attempt, Lease } from "../../src/upstream/lease.ts";
import { leastConn } from "../../src/upstream/least-conn.ts";
import { LivePeers } from "../../src/upstream/live-peers.ts";
import { randomTwo } from "../../src/upstream/random-two.ts";
import { Resolver } from "../../src/upstream/resolve.ts";
import { roundRobin } from "../../src/upstream/round-robin.ts";
import type { Target } from "../../src/upstream/target.ts";
import { type ConnectInput, Upstream, type UpstreamConfig } from "../../src/upstream/upstream.ts";
import { sampleSession } from "../support/balancer-session.ts";

const A = "10.0.0.1:1";
const B = "10.0.0.2:1";
const C = "10.0.0.3:1";

/** An upstream whose peers answer as the test says, with a clock that the test moves. */
class Rig {
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

  readonly dial = async (target: Target): Promise<string> => {
    const { endpoint } = target;
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

describe("connect", () => {
  test("answers what the dial function made, where, how long it took and what was tried", async () => {
    const rig = new Rig({ peers: [A, B] });
    rig.broken.add(A);
    const noted: Attempt[] = [];
    const lease = await rig.connect({ onAttempt: (attempt) => noted.push(attempt) });
    expect(lease).toMatchObject({ value: `to ${B}`, peer: B, connectMs: 0 });
    expect(lease.attempts).toEqual([
      { peer: A, address: A, ok: false, connectMs: undefined, code: "RC_PEER_CONNECT" },
      { peer: B, address: B, ok: true, connectMs: 0, code: undefined },
    ]);
    expect(noted).toEqual(lease.attempts);
  });

  test("hands the dial function all that the upstream was configured with", async () => {
    const rig = new Rig(
      { peers: ["peer.test:1"], connectTimeoutMs: 7, idleTimeoutMs: 8, proxyProtocol: 2, ssl: {} },
      async () => ["10.1.1.1"],
    );
    const targets: Target[] = [];
    await rig.upstream.connect({ session: sampleSession() }, async (target) => targets.push(target));
    expect(targets).toEqual([
      {
        peer: "peer.test:1",
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
    const failure = rig.upstream.connect({ session: sampleSession() }, dial);
    await expect(failure).rejects.toMatchObject({ code: "RC_INTERNAL" });
    expect(rig.upstream.status().map(({ failed, state }) => [failed, state])).toEqual([
      [0, "up"],
      [0, "up"],
    ]);
  });

  test("blames no peer and tries none when the session has ended", async () => {
    const rig = new Rig({ peers: [A, B] });
    const control = new AbortController();
    const dial = async (): Promise<never> => {
      control.abort(new GatewayError("RC_CLIENT_CLOSED"));
      throw new GatewayError("RC_PEER_CONNECT", "torn down");
    };
    const { signal } = control;
    const failure = rig.upstream.connect({ session: sampleSession(), signal }, dial);
    await expect(failure).rejects.toThrow(GatewayError);
    expect(rig.states()).toEqual(["up", "up"]);
    expect(await rig.visit({ signal })).toBe("RC_CLIENT_CLOSED");
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

function fail(text: string): never {
  throw new Error(text);
}

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
      expect(lease.peer).toBe(A);
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

describe("a peer that fails", () => {
  test("is left out for failTimeoutMs, then tried again", async () => {
    const rig = new Rig({ peers: [A, B] });
    rig.broken.add(A);
    expect(await rig.visit()).toBe(B);
    expect(rig.states()).toEqual(["down", "up"]);
    rig.broken.delete(A);
    rig.now = 9_999;
    expect(await rig.visits(4)).toEqual([B, B, B, B]);
    rig.now = 10_000;
    expect(await rig.visits(4)).toContain(A);
    expect(rig.states()).toEqual(["up", "up"]);
  });
  test("is down after maxFails failures, its own or the upstream's", async () => {
    const rig = new Rig({ peers: [{ address: A, maxFails: 3 }, B], maxFails: 2, tries: 1 });
    rig.broken.add(A).add(B);
    await rig.visits(4);
    expect(rig.states()).toEqual(["up", "down"]);
    await rig.visit();
    expect(rig.states()).toEqual(["down", "down"]);
    expect(await rig.visit()).toBe("RC_NO_LIVE_PEER");
  });
  test("gets exactly one session as a probe, however many want to connect", async () => {
    const rig = new Rig({ peers: [A, B], tries: 1, balancer: { name: "first", pick: ([first]) => first } });
    rig.broken.add(A);
    await rig.visit();
    rig.now = 10_000;
    let letGo: (answer: string) => void = () => {};
    const held = new Promise<string>((resolve) => {
      letGo = resolve;
    });
    const seen: string[] = [];
    const sessions = Array.from({ length: 20 }, () =>
      rig.upstream.connect({ session: sampleSession() }, ({ peer }) => {
        seen.push(peer);
        return peer === A ? held : Promise.resolve(peer);
      }),
    );
    await Promise.allSettled(sessions.slice(1));
    expect(seen.filter((peer) => peer === A)).toHaveLength(1);
    expect(rig.states()).toEqual(["probing", "up"]);
    letGo("up again");
    await Promise.all(sessions);
    expect(rig.states()).toEqual(["up", "up"]);
  });
  test("may be probed by the next session when the probing one went away", async () => {
    const rig = new Rig({ peers: [A, B], balancer: { name: "first", pick: ([first]) => first } });
    rig.broken.add(A);
    await rig.visit();
    rig.now = 10_000;
    const control = new AbortController();
    const dial = async (): Promise<never> => {
      control.abort(new GatewayError("RC_CLIENT_CLOSED"));
      throw GatewayError.from(control.signal.reason);
    };
    const gone = rig.upstream.connect({ session: sampleSession(), signal: control.signal }, dial);
    await expect(gone).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
    expect(rig.states()).toEqual(["down", "up"]);
    rig.broken.delete(A);
    expect(await rig.visit()).toBe(A);
  });
  test("is never taken down when it is the only one", async () => {
    const rig = new Rig({ peers: [A] });
    rig.broken.add(A);
    expect(await rig.visits(3)).toEqual(["RC_PEER_CONNECT", "RC_PEER_CONNECT", "RC_PEER_CONNECT"]);
    expect(rig.upstream.status()).toMatchObject([{ state: "up", failed: 3 }]);
    rig.broken.delete(A);
    expect(await rig.visit()).toBe(A);
  });
  test("is not taken down with maxFails 0", async () => {
    const rig = new Rig({ peers: [A, B], maxFails: 0, tries: 1 });
    rig.broken.add(A);
    expect((await rig.visits(6)).filter((peer) => peer === B)).toHaveLength(3);
  });
});

describe("backup peers", () => {
  test("are used only while no other can be, also within one session", async () => {
    const rig = new Rig({ peers: [{ address: C, backup: true }, A, B] });
    expect(await rig.visits(4)).toEqual([A, B, A, B]);
    rig.broken.add(A).add(B);
    expect(await rig.visit()).toBe(C);
    expect(rig.dialed.slice(4)).toEqual([A, B, C]);
    rig.now = 10_000;
    rig.broken.clear();
    expect(new Set(await rig.visits(4))).toEqual(new Set([A, B]));
  });
  test("take what is over maxConns", async () => {
    const rig = new Rig({
      peers: [
        { address: A, maxConns: 1 },
        { address: B, backup: true },
      ],
    });
    const first = await rig.connect();
    expect([first.peer, await rig.visit()]).toEqual([A, B]);
  });
});

describe("the balancer hook", () => {
  test("is asked before each attempt and told why the last one failed", async () => {
    const rig = new Rig({ peers: [A, B, C] });
    rig.broken.add(B).add(C);
    const asked: unknown[] = [];
    const choose: ConnectInput["choose"] = async (attempt, lastFailure) => {
      asked.push([attempt, lastFailure?.code]);
      return [C, B, undefined][attempt - 1];
    };
    expect(await rig.visit({ choose })).toBe(A);
    expect(asked).toEqual([
      [1, undefined],
      [2, "RC_PEER_CONNECT"],
      [3, "RC_PEER_CONNECT"],
    ]);
  });
  test("may name an address that is not in the list, by name too, of which no state is kept", async () => {
    const rig = new Rig({ peers: [A, B] }, async () => ["10.9.9.9"]);
    rig.broken.add("10.9.9.8:9");
    expect(await rig.visit({ choose: () => "other.test:9" })).toBe("other.test:9");
    expect(await rig.visit({ choose: (attempt) => (attempt === 1 ? "10.9.9.8:9" : undefined) })).toBe(A);
    expect(rig.dialed).toEqual(["10.9.9.9:9", "10.9.9.8:9", A]);
    expect(rig.live.size).toBe(2);
  });
  test("may choose timeout and local address of the attempt", async () => {
    const rig = new Rig({ peers: [A] });
    const choose = () => ({ address: A, connectTimeoutMs: 50, localAddress: "127.0.0.9" });
    const lease = await rig.upstream.connect({ session: sampleSession(), choose }, async (target) => target);
    expect(lease.value).toMatchObject({ connectTimeoutMs: 50, localAddress: "127.0.0.9" });
  });
  test("may send a session to a peer that is down", async () => {
    const rig = new Rig({ peers: [A, B], tries: 1 });
    rig.broken.add(A);
    await rig.visit();
    rig.broken.delete(A);
    expect(await rig.visit({ choose: () => A })).toBe(A);
    expect(rig.states()).toEqual(["up", "up"]);
  });
  test("does not get the same peer twice", async () => {
    const rig = new Rig({ peers: [A, B] });
    rig.broken.add(A);
    expect(await rig.visit({ choose: () => A })).toBe("RC_PEER_CONNECT");
    expect(rig.dialed).toEqual([A]);
  });
  test.each<[string, ConnectInput["choose"], string]>([
    ["throws", () => fail("no shard"), "no shard"],
    ["rejects", async () => fail("no shard"), "no shard"],
    ["answers no address", () => "somewhere", 'bad address "somewhere"'],
    ["answers a bad timeout", () => ({ address: A, connectTimeoutMs: 0 }), "bad connect timeout"],
    ["answers no number as timeout", () => ({ address: A, connectTimeoutMs: Number.NaN }), "bad connect timeout"],
  ])("ends the session when it %s", async (_, choose, reason) => {
    const rig = new Rig({ peers: [A] });
    const failure = rig.connect({ choose });
    await expect(failure).rejects.toMatchObject({ code: "RC_HOOK_FAILED", message: expect.stringContaining(reason) });
    expect(rig.dialed).toEqual([]);
  });
  test("does not hold a session that has ended", async () => {
    const rig = new Rig({ peers: [A] });
    const control = new AbortController();
    const waiting = rig.connect({ choose: () => new Promise(() => {}), signal: control.signal });
    control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    await expect(waiting).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
  });
});

describe("a peer with a name", () => {
  test("is tried at each of its addresses before the next peer is", async () => {
    const rig = new Rig({ peers: ["peer.test:1", B] }, async () => ["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    rig.broken.add("10.1.0.1:1").add("10.1.0.2:1");
    const lease = await rig.connect();
    expect(lease).toMatchObject({ peer: "peer.test:1", value: "to 10.1.0.3:1" });
    expect(lease.attempts.map(({ peer, address, ok }) => [peer, address, ok])).toEqual([
      ["peer.test:1", "10.1.0.1:1", false],
      ["peer.test:1", "10.1.0.2:1", false],
      ["peer.test:1", "10.1.0.3:1", true],
    ]);
    expect(rig.states()).toEqual(["up", "up"]);
    rig.broken.add("10.1.0.3:1");
    expect(await rig.visits(2)).toEqual([B, B]);
    expect(rig.states()).toEqual(["down", "up"]);
  });
  test("costs one attempt when it cannot be resolved", async () => {
    const rig = new Rig({ peers: ["peer.test:1", B] }, async () => fail("EAI_AGAIN"));
    const lease = await rig.connect();
    expect(lease.attempts.map(({ address, code }) => [address, code])).toEqual([
      ["peer.test:1", "RC_PEER_RESOLVE"],
      [B, undefined],
    ]);
  });
  test("is tried at eight addresses at most", async () => {
    const many = Array.from({ length: 100 }, (_, index) => `10.2.0.${index}`);
    const rig = new Rig({ peers: ["peer.test:1"] }, async () => many);
    for (const host of many) rig.broken.add(`${host}:1`);
    expect(await rig.visit()).toBe("RC_PEER_CONNECT");
    expect(rig.dialed).toHaveLength(8);
  });
});

describe("draining", () => {
  test("gives a peer no new session until it is resumed, and leaves its sessions alone", async () => {
    const rig = new Rig({ peers: [A, B] });
    const lease = await rig.connect();
    expect(lease.peer).toBe(A);
    expect(rig.upstream.drain(A)).toBe(true);
    expect(await rig.visits(3)).toEqual([B, B, B]);
    expect(rig.active()).toEqual([1, 0]);
    expect(rig.upstream.drain(A, false)).toBe(true);
    expect(await rig.visits(4)).toContain(A);
    expect(rig.upstream.drain(C)).toBe(false);
  });
  test("holds for a single peer too", async () => {
    const rig = new Rig({ peers: [A] });
    rig.upstream.drain(A);
    expect(await rig.visit()).toBe("RC_NO_LIVE_PEER");
  });
});

describe("a reload", () => {
  const parts = (live: LivePeers) => ({ live, resolver: new Resolver(), now: () => 0 });

  test("keeps what is known of peers, and forgets peers that are gone and free", async () => {
    const live = new LivePeers();
    const before = new Upstream("game", { peers: [A, B, C] }, parts(live));
    const dial = async ({ peer }: Target): Promise<string> => {
      if (peer === A) throw new GatewayError("RC_PEER_CONNECT");
      return peer;
    };
    const input = { session: sampleSession() };
    const lease = await before.connect(input, dial);
    const other = await before.connect(input, dial);
    expect([lease.peer, other.peer]).toEqual([B, C]);
    const after = new Upstream("game", { peers: [A, B] }, parts(live));
    await before.close();
    expect(after.status()).toMatchObject([
      { peer: { address: A }, state: "down", failed: 1 },
      { peer: { address: B }, state: "up", active: 1, connected: 1 },
    ]);
    expect(live.size).toBe(3);
    other.release();
    expect(live.size).toBe(2);
    lease.release();
    await after.close();
    expect(live.size).toBe(0);
  });
  test("does not mix upstreams with the same peers", async () => {
    const live = new LivePeers();
    const [one, two] = ["one", "two"].map((name) => new Upstream(name, { peers: [A] }, parts(live)));
    await one?.connect({ session: sampleSession() }, async () => "");
    expect(two?.status()).toMatchObject([{ active: 0, connected: 0 }]);
  });
});

describe("a configuration", () => {
  test.each<[string, UpstreamConfig, string]>([
    ["no peers", { peers: [] }, "at least one"],
    ["a bad address", { peers: ["nowhere"] }, 'peer "nowhere": expected host:port or unix:/path'],
    ["a bad weight", { peers: [{ address: A, weight: 0 }] }, "weight: expected 1 to 65535"],
    ["a peer twice", { peers: [A, B, A] }, `${A} is there twice`],
    ["a registry where there is none", { peers: { kind: "registry", service: "game" } }, "without a registry"],
    ["a certificate file that is not there", { peers: [A], ssl: { ca: "/nowhere/ca.pem" } }, "ssl.ca"],
  ])("with %s is refused", (_, config, reason) => {
    expect(() => new Rig(config)).toThrow(TypeError);
    expect(() => new Rig(config)).toThrow(reason);
  });
});
