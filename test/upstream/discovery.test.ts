import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { memoryRegistry } from "../../src/registry/memory.ts";
import type { Registry } from "../../src/registry/registry.ts";
import { discover, registry as fromRegistry } from "../../src/upstream/discovery.ts";
import type { Instances, PeerSource } from "../../src/upstream/instances.ts";
import { LivePeers } from "../../src/upstream/live-peers.ts";
import { limitsOf, type Peer } from "../../src/upstream/peer.ts";
import { Upstream } from "../../src/upstream/upstream.ts";
import { eventually } from "../support/eventually.ts";
import { connectInput, livePeer, upstreamParts } from "./rig.ts";

const A = "10.0.0.1:7000";
const B = "10.0.0.2:7000";

let registry: Registry;
let live: LivePeers;
let warnings: string[];
let peers: readonly Peer[];
let open: { close(): Promise<void> }[];

beforeEach(() => {
  registry = memoryRegistry();
  live = new LivePeers();
  warnings = [];
  peers = [];
  open = [];
});
afterEach(async () => {
  for (const follower of open) await follower.close();
  expect(live.size).toBe(0);
  await registry[Symbol.asyncDispose]();
});

const warn = (message: string): void => void warnings.push(message);

/** Follows the service alone: its peers are in `peers`. */
async function follow(source: PeerSource = registry): Promise<Instances<Peer>> {
  const onPeers = (list: readonly Peer[]): void => {
    peers = list;
  };
  const discovery = discover({ source, service: "game", limits: limitsOf({}), onPeers, warn });
  open.push(discovery);
  await discovery.ready;
  return discovery;
}

/** An upstream that has its peers from the registry. */
async function following(source: PeerSource = registry): Promise<Upstream> {
  const upstream = new Upstream("game", { peers: fromRegistry("game") }, upstreamParts({ live, source, warn }));
  open.push(upstream);
  await upstream.ready();
  return upstream;
}

const register = (instance: string, value: unknown, ttlMs?: number): Promise<void> =>
  registry.put(`service:game:${instance}`, JSON.stringify(value), ttlMs === undefined ? {} : { ttlMs });

const addresses = (): readonly string[] => peers.map(({ address }) => address);

async function visits(upstream: Upstream, count: number): Promise<readonly string[]> {
  const visited: string[] = [];
  for (let visit = 0; visit < count; visit++) {
    using lease = await upstream.connect(connectInput(), async ({ address }) => address);
    visited.push(lease.value);
  }
  return visited;
}

describe("peers from the registry", () => {
  test("are those that have registered, with weight and tags", async () => {
    await register("b", { address: B });
    await register("a", { address: A, weight: 2, state: "ready", tags: ["eu"], version: 3 });
    await registry.put("service:games:x", JSON.stringify({ address: "10.9.9.9:1" }));
    await follow();
    expect(peers).toMatchObject([
      { address: A, weight: 2, tags: ["eu"], mode: "ready", backup: false, maxFails: 1 },
      { address: B, weight: 1, tags: [] },
    ]);
    expect(await visits(await following(), 6)).toEqual([A, B, A, A, B, A]);
  });
  test("come, change and go while the gateway runs", async () => {
    await follow();
    await expect(visits(await following(), 1)).rejects.toMatchObject({ code: "RC_NO_LIVE_PEER" });
    await register("a", { address: A });
    await eventually(() => expect(addresses()).toEqual([A]));
    await register("b", { address: B }, 4_000);
    await eventually(() => expect(addresses()).toEqual([A, B]));
    await eventually(() => expect(addresses()).toEqual([A])); // its time to live is over
    await register("a", { address: B });
    await eventually(() => expect(addresses()).toEqual([B]));
    await registry.delete("service:game:a");
    await eventually(() => expect(addresses()).toEqual([]));
  });
  test.each(["drain", "maint"])("get no new session in state %s, and their sessions stay counted", async (state) => {
    await register("a", { address: A });
    await register("b", { address: B });
    const upstream = await following();
    const lease = await upstream.connect(connectInput(), async ({ address }) => address);
    expect(lease.value).toBe(A);
    await register("a", { address: A, state });
    await eventually(async () => expect(await visits(upstream, 3)).toEqual([B, B, B]));
    expect(livePeer(live, "game", A).active).toBe(1);
    await register("a", { address: A, state: "ready" });
    await eventually(async () => expect(await visits(upstream, 2)).toContain(A));
    expect(livePeer(live, "game", A).active).toBe(1);
    lease.release();
  });
  test.each([
    ["{", "expected a JSON object"],
    ["null", "expected a JSON object"],
    ["[]", "address: expected text"],
    ['{"address":1}', "address: expected text"],
    ['{"address":"nowhere"}', 'peer "nowhere": expected host:port or unix:/path'],
    [`{"address":"${A}","weight":0}`, "weight: expected a whole number from 1"],
    [`{"address":"${A}","weight":"2"}`, "weight: expected a whole number from 1"],
    [`{"address":"${A}","capacity":0}`, "capacity: expected a whole number from 1"],
    [`{"address":"${A}","state":"gone"}`, "state: expected ready, drain or maint"],
    [`{"address":"${A}","tags":"eu"}`, "tags: expected a list of texts"],
  ])("are left out with a warning when they say %s", async (value, reason) => {
    await registry.put("service:game:bad", value);
    await register("good", { address: B });
    await follow();
    expect(addresses()).toEqual([B]);
    expect(warnings).toEqual([`service:game:bad is ignored: ${reason}`]);
  });
  test("are 4,096 at most; that is said once, and when some go others take their places", async () => {
    const name = (index: number): string => String(index).padStart(5, "0");
    const address = (index: number): string => `10.1.${index >> 8}.${index & 255}:7000`;
    for (let index = 4_999; index >= 0; index--) await register(name(index), { address: address(index) });
    await follow();
    expect(addresses()).toEqual(Array.from({ length: 4_096 }, (_, index) => address(index)));
    expect(warnings).toEqual(["service:game:*: 904 of 5000 are ignored, more than 4096 instances"]);
    for (let index = 0; index < 100; index++) await registry.delete(`service:game:${name(index)}`);
    await eventually(() => expect(addresses().at(-1)).toBe(address(4_195)));
    expect(addresses()).toHaveLength(4_096);
    for (let index = 1_000; index < 2_000; index++) await registry.delete(`service:game:${name(index)}`);
    await eventually(() => expect(addresses()).toHaveLength(3_900));
    await register("more", { address: B });
    await eventually(() => expect(addresses()).toContain(B));
    expect(warnings).toHaveLength(1);
  });
  test("that come when there are 4,096 are said once, too", async () => {
    for (let index = 0; index < 4_096; index++)
      await register(String(index), { address: `10.1.${index >> 8}.${index & 255}:7000` });
    await follow();
    expect(warnings).toEqual([]);
    await register("more", { address: A });
    await register("and more", { address: B });
    await eventually(() =>
      expect(warnings).toEqual(["service:game:*: 2 of 4098 are ignored, more than 4096 instances"]),
    );
    await registry.delete("service:game:0");
    await eventually(() => expect(addresses()).toContain(B));
    expect(addresses()).not.toContain(A);
    expect(warnings).toHaveLength(1);
  });
  test("take as many sessions at once as their capacity says", async () => {
    await register("a", { address: A, capacity: 1 });
    await register("b", { address: B });
    const upstream = await following();
    using lease = await upstream.connect(connectInput(), async ({ address }) => address);
    expect(lease.value).toBe(A);
    expect(await visits(upstream, 3)).toEqual([B, B, B]);
  });
  test("are each there once, however many instances name the same address", async () => {
    await register("2", { address: A, weight: 5 });
    await register("1", { address: A, weight: 3 });
    await follow();
    expect(peers).toMatchObject([{ address: A, weight: 3 }]);
  });
  test("keep their turn when another one changes", async () => {
    await register("a", { address: A });
    await register("b", { address: B });
    await follow();
    const [, before] = peers;
    await register("a", { address: A, weight: 9 });
    await eventually(() => expect(peers[0]).toMatchObject({ weight: 9 }));
    expect(peers[1]).toBe(before);
  });
  test("a burst of changes ends in the right list", async () => {
    await follow();
    for (let index = 0; index < 500; index++)
      await register(`i${index}`, { address: `10.1.${index >> 8}.${index & 255}:1` });
    for (let index = 0; index < 499; index++) await registry.delete(`service:game:i${index}`);
    await eventually(() => expect(addresses()).toEqual(["10.1.1.243:1"]));
  });
});

describe("a registry that fails", () => {
  /** Fails while told to; ends its watches with an error when it begins to. */
  class Shaky implements PeerSource {
    isDown = false;
    #round = new AbortController();
    watching = 0;

    list(prefix: string): Promise<ReadonlyMap<string, string>> {
      return this.isDown ? Promise.reject(new Error("connection lost")) : registry.list(prefix);
    }

    async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<{ key: string; value: string | undefined }> {
      const round = this.#round.signal;
      this.watching++;
      try {
        yield* registry.watch(prefix, AbortSignal.any([signal, round]));
      } finally {
        this.watching--;
      }
      if (round.aborted) throw new Error("connection lost");
    }

    goDown(): void {
      this.isDown = true;
      this.#round.abort();
    }

    comeBack(): void {
      this.isDown = false;
      this.#round = new AbortController();
    }
  }

  test("leaves the last known peers, says so, and is followed again when it is back", async () => {
    const shaky = new Shaky();
    await register("a", { address: A });
    const discovery = await follow(shaky);
    shaky.goDown();
    await registry.delete("service:game:a");
    await register("b", { address: B });
    await eventually(() => expect(warnings).toContain("service:game:* cannot be read: connection lost"));
    expect(addresses()).toEqual([A]);
    shaky.comeBack();
    await eventually(() => expect(addresses()).toEqual([B]));
    await register("a", { address: A });
    await eventually(() => expect(addresses()).toEqual([A, B]));
    await discovery.close();
    expect(shaky.watching).toBe(0);
  });

  test("is not asked again by all who lost it in the moment in which they lost it", async () => {
    const rounds: number[][] = [];
    const followers = Array.from({ length: 30 }, (_, number): PeerSource => {
      let round = 0;
      const list = (): Promise<never> => {
        rounds[round] = [...(rounds[round] ?? []), number];
        round++;
        return Promise.reject(new Error("connection lost"));
      };
      return { list, watch: (prefix, signal) => registry.watch(prefix, signal) };
    });
    await Promise.all(followers.map((source) => follow(source)));
    await eventually(() => expect(rounds[1]).toHaveLength(30));
    expect(rounds[1]).not.toEqual(rounds[0]); // timers of one time fire in their order
    expect(rounds[1]?.toSorted((one, other) => one - other)).toEqual(rounds[0]);
  });

  test("does not keep the gateway from starting", async () => {
    const shaky = new Shaky();
    shaky.isDown = true;
    await follow(shaky);
    expect(addresses()).toEqual([]);
    expect(warnings).toEqual(["service:game:* cannot be read: connection lost"]);
    await register("a", { address: A });
    shaky.comeBack();
    await eventually(() => expect(addresses()).toEqual([A]));
  });
  test("does not hold up closing while it does not answer", async () => {
    const silent: PeerSource = {
      list: () => new Promise(() => {}),
      watch: (prefix, signal) => registry.watch(prefix, signal),
    };
    const upstream = new Upstream("game", { peers: fromRegistry("game") }, upstreamParts({ live, source: silent }));
    await upstream.close();
    expect(live.size).toBe(0);
  });
});
