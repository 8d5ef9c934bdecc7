import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { dial } from "../../src/upstream/dial.ts";
import type { Attempt, Lease } from "../../src/upstream/lease.ts";
import { LivePeers } from "../../src/upstream/live-peers.ts";
import { Resolver, type ResolverOptions } from "../../src/upstream/resolve.ts";
import { Upstream, type UpstreamConfig } from "../../src/upstream/upstream.ts";
import { BlackHole } from "../support/black-hole.ts";
import { readUntil } from "../support/client.ts";
import { echo, named } from "../support/servers.ts";
import { connectInput, livePeer, upstreamParts } from "./rig.ts";

/** Connects to real peers and answers who greeted. */
class Visitor {
  readonly attempts: Attempt[] = [];
  readonly live = new LivePeers();
  readonly #upstream: Upstream;

  constructor(config: UpstreamConfig, options: ResolverOptions = {}) {
    this.#upstream = new Upstream("real", config, upstreamParts({ live: this.live, resolver: new Resolver(options) }));
  }

  connect(): Promise<Lease<Socket>> {
    const onAttempt = (attempt: Attempt): void => void this.attempts.push(attempt);
    return this.#upstream.connect(connectInput({ onAttempt }), async (peer) => (await dial(peer)).stream);
  }

  async greeting(): Promise<string> {
    using lease = await this.connect();
    const greeting = await readUntil(lease.value, (text) => text.endsWith("\n"));
    lease.value.destroy();
    return greeting.trim();
  }
}

async function closedPort(): Promise<number> {
  await using server = await echo();
  return server.port;
}

describe("connect over real sockets", () => {
  test("finds a peer called localhost where only IPv4 listens", async () => {
    await using server = await named("four");
    const visitor = new Visitor({ peers: [`localhost:${server.port}`] });
    expect(await visitor.greeting()).toBe("four");
    expect(await visitor.greeting()).toBe("four");
  });

  test("goes on with the IPv4 address when the IPv6 one refuses", async () => {
    await using server = await named("four");
    const lookup = async (): Promise<readonly string[]> => ["::1", "127.0.0.1"];
    const visitor = new Visitor({ peers: [`peer.test:${server.port}`] }, { lookup });
    const lease = await visitor.connect();
    lease.value.destroy();
    expect(visitor.attempts).toMatchObject([
      { address: `[::1]:${server.port}`, ok: false, code: "RC_PEER_CONNECT" },
      { address: `127.0.0.1:${server.port}`, ok: true },
    ]);
    expect(visitor.attempts.at(-1)?.connectMs).toBeGreaterThan(0);
    lease.release();
  });

  test("goes on with the next peer when one refuses and one does not answer at all", async () => {
    await using hole = await BlackHole.open();
    await using server = await named("third");
    const peers = [`127.0.0.1:${await closedPort()}`, `127.0.0.1:${hole.port}`, server.address];
    const visitor = new Visitor({ peers, connectTimeoutMs: 3_000 });
    const lease = await visitor.connect();
    lease.value.destroy();
    expect(visitor.attempts.map(({ code }) => code)).toEqual(["RC_PEER_CONNECT", "RC_PEER_CONNECT_TIMEOUT", undefined]);
    expect(peers.map((peer) => livePeer(visitor.live, "real", peer).state.kind)).toEqual(["down", "down", "up"]);
    lease.release();
    expect(await visitor.greeting()).toBe("third");
  });

  test("goes on with the next peer when one speaks no TLS", async () => {
    await using plain = await named("plain");
    const visitor = new Visitor({ peers: [plain.address], ssl: { verify: false } });
    await expect(visitor.connect()).rejects.toMatchObject({ code: "RC_PEER_TLS" });
    expect(visitor.attempts).toMatchObject([{ ok: false, code: "RC_PEER_TLS" }]);
    expect(livePeer(visitor.live, "real", plain.address).active).toBe(0);
  });

  test("takes peers in turn", async () => {
    await using one = await named("one");
    await using two = await named("two");
    const visitor = new Visitor({ peers: [one.address, { address: two.address, weight: 2 }] });
    const greetings: string[] = [];
    for (let visit = 0; visit < 6; visit++) greetings.push(await visitor.greeting());
    expect(greetings).toEqual(["two", "one", "two", "two", "one", "two"]);
  });
});
