import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import type { Endpoint } from "../../../src/codecs/address.ts";
import type { Incoming } from "../../../src/stream/incoming.ts";
import type { PeerEndpoint } from "../../../src/upstream/peer-endpoint.ts";
import { BlackHole } from "../../support/black-hole.ts";
import { readAll } from "../../support/client.ts";
import { type CarrierBench, closed, endOf, type Peer, type Place, relayOptions, shut } from "./bench.ts";

/** The way to a peer: what it gets first, and what becomes of the client when it does not accept. */
export function connectingLaws(bench: () => CarrierBench): void {
  describe("connecting", () => {
    test.each([
      ["127.0.0.1:0", "127.0.0.1:0"],
      ["127.0.0.1:0", "[::1]:0"],
      ["127.0.0.1:0", "unix"],
      ["[::1]:0", "127.0.0.1:0"],
      ["unix", "127.0.0.1:0"],
      ["unix", "unix"],
    ] as const)("a client of %s can go to a peer of %s", async (at, to) => {
      const { incoming, client } = await bench().accept({ says: "question", at: at as Place });
      const peer = await bench().peer(to as Place);
      const relay = await incoming.relayTo(peer.endpoint, relayOptions());
      const far = await peer.next();
      client.end();
      expect((await readAll(far)).toString()).toBe("question");
      far.end("answer");
      expect((await readAll(client)).toString()).toBe("answer");
      expect(await endOf(relay)).toBe("client_closed");
      expect([relay.bytesUp, relay.bytesDown]).toEqual([8, 6]);
      await closed(incoming);
    });

    test("the peer gets the first bytes without those that were consumed, and the preface in front", async () => {
      const { incoming, client } = await bench().accept({ says: "gone head " });
      await incoming.head.grow(10);
      incoming.head.consume(5);
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions({ preface: Buffer.from("preface ") }));
      client.end("tail");
      const far = await peer.next();
      far.end();
      expect((await readAll(far)).toString()).toBe("preface head tail");
      await endOf(relay);
      expect(relay.bytesUp).toBe(9); // the preface is ours
      await closed(incoming);
    });

    test("a preface goes to a peer whose client is silent", async () => {
      const { incoming, client } = await bench().accept();
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions({ preface: Buffer.from("preface") }));
      const far = await peer.next();
      expect(String((await once(far.resume(), "data"))[0])).toBe("preface");
      client.end();
      far.end();
      await endOf(relay);
      expect(relay.bytesUp).toBe(0);
      await closed(incoming);
    });

    test("a peer may speak first", async () => {
      const { incoming, client } = await bench().accept();
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions());
      const far = await peer.next();
      far.write("220 ready");
      expect(String((await once(client, "data"))[0])).toBe("220 ready");
      client.end("QUIT");
      expect((await readAll(far)).toString()).toBe("QUIT");
      far.end();
      expect(await endOf(relay)).toBe("client_closed");
      await closed(incoming);
    });

    test("from an address of ours", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      const peer = await bench().peer();
      const relay = await incoming.relayTo({ ...peer.endpoint, localAddress: "127.0.0.9" }, relayOptions());
      const far = await peer.next();
      expect(far.remoteAddress).toBe("127.0.0.9");
      client.destroy();
      far.resume().end();
      await endOf(relay);
      await closed(incoming);
    });

    test("the bytes of a big head arrive, too", async () => {
      const head = Buffer.alloc(60_000, "abcdefg");
      const { incoming, client } = await bench().accept({ says: head });
      await incoming.head.grow(head.length);
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions());
      const far = await peer.next();
      client.end();
      far.end();
      expect((await readAll(far)).equals(head)).toBe(true);
      await endOf(relay);
      expect(relay.bytesUp).toBe(60_000);
      await closed(incoming);
    });

    test("a wait that was left behind does not stop it", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const left = incoming.head.grow(10);
      const peer = await bench().peer();
      const relaying = incoming.relayTo(peer.endpoint, relayOptions());
      expect(await left).toBe("timeout");
      const relay = await relaying;
      const far = await peer.next();
      client.end("b");
      far.end();
      expect((await readAll(far)).toString()).toBe("ab");
      await endOf(relay);
      await closed(incoming);
    });
  });
  failingLaws(bench);
}

function failingLaws(bench: () => CarrierBench): void {
  describe("a peer that does not accept", () => {
    test.each(["127.0.0.1:0", "[::1]:0", "unix"] as const)("refuses, and the next gets all bytes: %s", async (at) => {
      const { incoming, client } = await bench().accept({ says: "head " });
      await incoming.head.grow(5);
      const gone = await nobody(bench(), at as Place);
      await expect(incoming.relayTo(gone, relayOptions({ preface: Buffer.from("!") }))).rejects.toMatchObject({
        code: "RC_PEER_CONNECT",
        message: expect.stringMatching(/ECONNREFUSED|ENOENT/),
      });
      expect(incoming.head.bytes.toString()).toBe("head ");
      client.write("tail");
      expect(await incoming.head.grow(9)).toBe("enough");
      const peer = await bench().peer();
      expect(await relayedTo(peer, incoming, client)).toBe("head tail");
      await closed(incoming);
    });

    test("consumed bytes stay consumed when the next is tried", async () => {
      const { incoming, client } = await bench().accept({ says: "gone head" });
      await incoming.head.grow(9);
      incoming.head.consume(5);
      const gone = await nobody(bench());
      await expect(incoming.relayTo(gone, relayOptions())).rejects.toThrow("ECONNREFUSED");
      const peer = await bench().peer();
      expect(await relayedTo(peer, incoming, client)).toBe("head");
      await closed(incoming);
    });

    test("has an address that no socket can have: the next is tried", async () => {
      const { incoming, client } = await bench().accept({ says: "head" });
      const peer = await bench().peer();
      const nowhere: Endpoint = { kind: "tcp", host: "fe80::1%nowhere", port: 80 };
      for (const misled of [{ endpoint: nowhere }, { localAddress: "fe80::1%nowhere" }]) {
        // libuv of Node.js 22 and newer forgets an unknown zone, and tries for as long as it may.
        const trying = incoming.relayTo({ ...peer.endpoint, connectTimeoutMs: 300, ...misled }, relayOptions());
        await expect(trying).rejects.toMatchObject({ code: expect.stringMatching(/^RC_PEER_CONNECT/) });
      }
      expect(await relayedTo(peer, incoming, client)).toBe("head");
      await closed(incoming);
    });

    test.each([10, 20_000])("while a read of %i bytes was left behind: the next gets all bytes", async (atLeast) => {
      await using hole = await BlackHole.open();
      const { incoming, client } = await bench().accept({ says: "head" });
      await incoming.head.grow(4);
      const { head } = incoming;
      const trying = incoming.relayTo(late(hole, 80), relayOptions());
      const left = head.grow(atLeast, performance.now() + 40);
      await expect(trying).rejects.toMatchObject({ code: "RC_PEER_CONNECT_TIMEOUT" });
      expect(await left).not.toBe("enough");
      let resets = 0;
      head.watch(() => resets++);
      head.unwatch();
      expect(resets).toBe(0);
      const peer = await bench().peer();
      expect(await relayedTo(peer, incoming, client)).toBe("head");
      await closed(incoming);
    });

    test("in time, and the client can still be taken over", async () => {
      await using hole = await BlackHole.open();
      const { incoming, client } = await bench().accept({ says: "head" });
      const began = performance.now();
      await expect(incoming.relayTo(late(hole, 80), relayOptions())).rejects.toMatchObject({
        code: "RC_PEER_CONNECT_TIMEOUT",
      });
      expect(performance.now() - began).toBeGreaterThan(75);
      expect(performance.now() - began).toBeLessThan(15_000); // the kernel would try for two minutes
      expect(await incoming.head.grow(4)).toBe("enough");
      const inlet = incoming.takeOver();
      inlet.stream.end("sorry");
      expect((await readAll(client)).toString()).toBe("sorry");
      client.destroy();
      inlet.close();
      await closed(incoming);
    });

    test("cannot be reached from an address that is not ours", async () => {
      const { incoming } = await bench().accept({ says: "x" });
      const peer = await bench().peer();
      const from = { ...peer.endpoint, localAddress: "192.0.2.1" };
      await expect(incoming.relayTo(from, relayOptions())).rejects.toMatchObject({
        code: "RC_PEER_CONNECT",
        message: expect.stringContaining("EADDRNOTAVAIL"),
      });
      await shut(incoming);
    });

    test("while the client resets: it is not carried, and known to have reset", async () => {
      await using hole = await BlackHole.open();
      const { incoming, client } = await bench().accept({ says: "x" });
      await incoming.head.grow(1);
      const relaying = incoming.relayTo(late(hole, 300), relayOptions());
      const code = relaying.then(
        () => "connected",
        (cause) => cause.code,
      );
      await sleep(20);
      client.resetAndDestroy();
      expect(["RC_CLIENT_RESET", "RC_PEER_CONNECT_TIMEOUT"]).toContain(await code); // it shows to who reads, who may not
      expect(await incoming.head.grow(2)).toBe("reset");
      incoming.close("reset");
      await closed(incoming);
    });

    test("while the client half-closes: it is waited for all the same", async () => {
      await using hole = await BlackHole.open();
      const { incoming, client } = await bench().accept({ says: "x" });
      client.end();
      expect(await incoming.head.grow(2)).toBe("ended");
      await expect(incoming.relayTo(late(hole, 60), relayOptions())).rejects.toMatchObject({
        code: "RC_PEER_CONNECT_TIMEOUT",
      });
      const peer = await bench().peer();
      const relay = await incoming.relayTo(peer.endpoint, relayOptions());
      const far = await peer.next();
      expect((await readAll(far)).toString()).toBe("x");
      far.end("answer");
      expect((await readAll(client)).toString()).toBe("answer");
      expect(await endOf(relay)).toBe("client_closed");
      await closed(incoming);
    });

    test("when the client was reset before: it is not even asked", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      const growing = incoming.head.grow(2);
      client.resetAndDestroy();
      expect(await growing).toBe("reset");
      const peer = await bench().peer();
      const outcome = await incoming.relayTo(peer.endpoint, relayOptions()).then(endOf, (cause) => cause.code);
      expect(["RC_CLIENT_RESET", "client_reset"]).toContain(outcome);
      incoming.close("reset");
      await closed(incoming);
    });
  });
}

const late = (hole: BlackHole, connectTimeoutMs: number): PeerEndpoint => ({
  address: "hole",
  endpoint: { kind: "tcp", host: "127.0.0.1", port: hole.port },
  connectTimeoutMs,
});

/** Relays to a peer until both sides have ended: all that the peer got. */
async function relayedTo(peer: Peer, incoming: Incoming, client: Socket): Promise<string> {
  const relay = await incoming.relayTo(peer.endpoint, relayOptions());
  const far = await peer.next();
  client.end();
  far.end();
  const got = (await readAll(far)).toString();
  await endOf(relay);
  return got;
}

/** An address at which nobody listens any more. */
async function nobody(bench: CarrierBench, at: Place = "127.0.0.1:0"): Promise<PeerEndpoint> {
  const peer = await bench.peer(at);
  const endpoint: Endpoint = peer.endpoint.endpoint;
  await peer.close();
  return { ...peer.endpoint, endpoint };
}
