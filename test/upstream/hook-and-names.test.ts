import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import type { ConnectInput } from "../../src/upstream/upstream.ts";
import { lifeOf } from "../support/life.ts";
import { A, B, C, fail, Rig } from "./rig.ts";

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
  test("may choose timeouts and local address of the attempt", async () => {
    const rig = new Rig({ peers: [A] });
    const choose = () => ({ address: A, connectTimeoutMs: 50, idleTimeoutMs: 70, localAddress: "127.0.0.9" });
    const lease = await rig.connectBy(async (peer) => peer, { choose });
    expect(lease.value).toMatchObject({ connectTimeoutMs: 50, idleTimeoutMs: 70, localAddress: "127.0.0.9" });
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
    ["answers a bad idle timeout", () => ({ address: A, idleTimeoutMs: -1 }), "bad idle timeout"],
    ["answers a local address that is none", () => ({ address: A, localAddress: "lo" }), 'bad local address "lo"'],
    ["answers no number as timeout", () => ({ address: A, connectTimeoutMs: Number.NaN }), "bad connect timeout"],
  ])("ends the session when it %s", async (_, choose, reason) => {
    const rig = new Rig({ peers: [A] });
    const failure = rig.connect({ choose });
    await expect(failure).rejects.toMatchObject({ code: "RC_HOOK_FAILED", message: expect.stringContaining(reason) });
    expect(rig.dialed).toEqual([]);
  });
  test("is asked no more when the session has ended meanwhile", async () => {
    const rig = new Rig({ peers: [A] });
    const control = new AbortController();
    const choose = async (): Promise<undefined> => {
      control.abort(new GatewayError("RC_CLIENT_CLOSED"));
    };
    await expect(rig.connect({ choose, life: lifeOf(control.signal) })).rejects.toMatchObject({
      code: "RC_CLIENT_CLOSED",
    });
    expect(rig.dialed).toEqual([]);
  });
});

describe("a peer with a name", () => {
  test("is tried at each of its addresses before the next peer is", async () => {
    const rig = new Rig({ peers: ["peer.test:1", B] }, async () => ["10.1.0.1", "10.1.0.2", "10.1.0.3"]);
    rig.broken.add("10.1.0.1:1").add("10.1.0.2:1");
    const lease = await rig.connect();
    expect(lease.value).toBe("to 10.1.0.3:1");
    expect(rig.attempts.map(({ peer, address, ok }) => [peer, address, ok])).toEqual([
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
    await rig.connect();
    expect(rig.attempts.map(({ address, code }) => [address, code])).toEqual([
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
