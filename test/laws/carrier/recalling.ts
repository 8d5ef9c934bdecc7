import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { NodeRelay, type Recalled, type Relay } from "../../../src/stream/relay.ts";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { openFilesOf } from "../../support/process.ts";
import {
  type CarrierBench,
  closed,
  type Peer,
  type Place,
  type Relayed,
  type RelayedOptions,
  relayOptions,
} from "./bench.ts";

/** Recalls in all, and so many at a time. */
const MANY = 1_000;
const AT_ONCE = 25;

/** A session whose relay was recalled is JavaScript's, as one that was taken over, and leaves as little behind. */
export function recallingLaws(bench: () => CarrierBench): void {
  describe("recalling", () => {
    const recalled = async (options: RelayedOptions = {}): Promise<Relayed & { readonly sides: Recalled }> => {
      const relayed = await bench().relayed({ says: "hello", ...options });
      await once(relayed.peer, "data");
      return { ...relayed, sides: await atRest(relayed.relay) };
    };
    const recallOne = async (to: Peer, number: number): Promise<void> => {
      const { incoming, client } = await bench().accept({ says: "hello" });
      const relay = await incoming.relayTo(to.endpoint, relayOptions());
      const peer = await to.next();
      const sides = await atRest(relay);
      // Some go on in a new relay, others are closed.
      if (number % 2 === 0) new NodeRelay(sides.client, sides.peer, { idleTimeoutMs: 60_000 }).end("killed");
      else for (const side of [sides.client, sides.peer]) side.close();
      await Promise.all([readAll(client), readAll(peer)]);
      client.end();
      peer.end();
      await closed(incoming);
    };

    test("from then on Node has the socket", async () => {
      const { incoming, sides, client } = await recalled();
      expect(incoming.carrier).toBe("node");
      sides.client.stream.write("bye");
      sides.client.close();
      sides.peer.destroy();
      expect(String(await readAll(client))).toBe("bye");
      client.end();
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test.each(["stop", "end", "reset"] as const)("the client can still be closed: %s", async (how) => {
      const { incoming, sides, client } = await recalled();
      if (how === "stop") incoming.stop("killed");
      else incoming.close(how);
      sides.peer.destroy();
      await readAll(client);
      client.destroy();
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test("who asked before for the close is told once", async () => {
      const { incoming, client, peer, relay } = await bench().relayed({ says: "hello" });
      let told = 0;
      incoming.whenClosed(() => told++);
      await once(peer, "data");
      const sides = await atRest(relay);
      expect(told).toBe(0);
      sides.peer.destroy();
      sides.client.destroy();
      await readAll(client);
      await eventually(() => expect(told).toBe(1));
      expect(bench().carrier.sessions()).toBe(0);
      expect([relay.bytesUp, relay.bytesDown]).toEqual([5, 0]); // also when nobody else knows of it any more
    });

    test.each([
      ["127.0.0.1:0", "unix"],
      ["unix", "127.0.0.1:0"],
      ["[::1]:0", "[::1]:0"],
    ] as const)("from %s to %s", async (at: Place, to: Place) => {
      const { incoming, client, peer, sides } = await recalled({ at, to });
      const relay = new NodeRelay(sides.client, sides.peer, { idleTimeoutMs: 60_000 });
      client.end("question");
      peer.end("answer");
      expect([String(await readAll(peer)), String(await readAll(client))]).toEqual(["question", "answer"]);
      await new Promise((resolve) => relay.onEnd(resolve));
      await closed(incoming);
    });

    test("a relay that ends while it is recalled is closed, and forgotten", async () => {
      for (let round = 0; round < 50; round++) {
        const { incoming, relay, client, peer, ended } = await bench().relayed({ says: "hello" });
        await once(peer, "data");
        const recalling = relay.recall(0);
        if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (round % 3 === 0) relay.end("killed");
        else if (round % 3 === 1) client.resetAndDestroy();
        else peer.resetAndDestroy();
        const sides = await recalling;
        if (sides) for (const side of [sides.client, sides.peer]) side.destroy();
        else await ended;
        await closed(incoming);
        for (const socket of [client, peer]) socket.destroy();
      }
      expect(bench().carrier.sessions()).toBe(0);
    });

    test("a thousand of them leave no file and no session behind", { timeout: 120_000 }, async () => {
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
      const peer = await bench().peer();
      const before = openFilesOf(process.pid, "socket:");
      for (let done = 0; done < MANY; done += AT_ONCE)
        await Promise.all(Array.from({ length: AT_ONCE }, (_, number) => recallOne(peer, number)));
      expect(bench().carrier.sessions()).toBe(0);
      await eventually(() => expect(openFilesOf(process.pid, "socket:")).toBeLessThanOrEqual(before));
    });
  });
}

async function atRest(relay: Relay): Promise<Recalled> {
  return eventually(async () => {
    const sides = await relay.recall(0);
    if (!sides) throw new Error("not at rest");
    return sides;
  });
}
