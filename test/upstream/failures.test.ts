import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { lifeOf } from "../support/life.ts";
import { A, B, C, Rig } from "./rig.ts";

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
      rig.connectBy(({ address }) => {
        seen.push(address);
        return address === A ? held : Promise.resolve(address);
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
    const gone = rig.connectBy(dial, { life: lifeOf(control.signal) });
    await expect(gone).rejects.toMatchObject({ code: "RC_CLIENT_CLOSED" });
    expect(rig.states()).toEqual(["down", "up"]);
    rig.broken.delete(A);
    expect(await rig.visit()).toBe(A);
  });
  test("is never taken down when it is the only one", async () => {
    const rig = new Rig({ peers: [A] });
    rig.broken.add(A);
    expect(await rig.visits(3)).toEqual(["RC_PEER_CONNECT", "RC_PEER_CONNECT", "RC_PEER_CONNECT"]);
    expect(rig.states()).toEqual(["up"]);
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
    expect([first.value, await rig.visit()]).toEqual([`to ${A}`, B]);
  });
});

describe("draining", () => {
  test("gives a peer no new session until it is resumed, and leaves its sessions alone", async () => {
    const rig = new Rig({ peers: [A, B] });
    const lease = await rig.connect();
    expect(lease.value).toBe(`to ${A}`);
    rig.drain(A);
    expect(await rig.visits(3)).toEqual([B, B, B]);
    expect(rig.active()).toEqual([1, 0]);
    rig.drain(A, "resume");
    expect(await rig.visits(4)).toContain(A);
  });
  test("holds for a single peer too", async () => {
    const rig = new Rig({ peers: [A] });
    rig.drain(A);
    expect(await rig.visit()).toBe("RC_NO_LIVE_PEER");
  });
});
