import { once } from "node:events";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../../src/errors.ts";
import { BlackHole } from "../../support/black-hole.ts";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { lifeOf } from "../../support/life.ts";
import { openFilesOf } from "../../support/process.ts";
import { type CarrierBench, closed, type Place, relayOptions } from "./bench.ts";

/** How clients are let go, in every state that they can be in. */
export function endingLaws(bench: () => CarrierBench): void {
  describe("closing", () => {
    test.each(["127.0.0.1:0", "[::1]:0", "unix"] as const)("with an end: %s", async (at) => {
      const { incoming, client } = await bench().accept({ at: at as Place });
      incoming.close("end");
      expect((await readAll(client)).length).toBe(0);
      expect(client.errored).toBeNull();
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test("with a reset", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      await incoming.head.grow(1);
      client.resume();
      incoming.close("reset");
      await expect(once(client, "close")).rejects.toThrow("ECONNRESET");
      await closed(incoming);
    });

    test.each(["end", "reset"] as const)("a unix socket knows no reset, but closes: %s", async (how) => {
      const { incoming, client } = await bench().accept({ says: "x", at: "unix" });
      await incoming.head.grow(1);
      incoming.close(how);
      await readAll(client);
      await closed(incoming);
    });

    test.each(["end", "reset"] as const)("twice is as good as once: %s", async (how) => {
      const { incoming, client } = await bench().accept();
      incoming.close(how);
      incoming.close("end");
      incoming.close("reset");
      client.resume();
      await closed(incoming);
      incoming.close("end");
      expect(bench().carrier.sessions()).toBe(0);
    });

    test.each(["end", "reset"] as const)("a client that somebody waits for: %s", async (how) => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const growing = incoming.head.grow(10);
      incoming.close(how);
      client.resume();
      expect(["reset", "timeout"]).toContain(await growing);
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test.each(["end", "reset"] as const)("a client that was taken over: %s", async (how) => {
      const { incoming, client } = await bench().accept({ says: "a" });
      incoming.takeOver();
      incoming.close(how);
      client.resume();
      await closed(incoming);
      expect(bench().carrier.sessions()).toBe(0);
    });

    test("after a peer did not accept", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      const peer = await bench().peer();
      const gone = peer.endpoint;
      await peer.close();
      await expect(incoming.relayTo(gone, relayOptions())).rejects.toThrow("ECONNREFUSED");
      incoming.close("end");
      await readAll(client);
      await closed(incoming);
    });

    test("is told at once to who asks late", async () => {
      const { incoming } = await bench().accept();
      incoming.close("end");
      await closed(incoming);
      await closed(incoming);
    });

    test("is told once to who asked while the bytes were relayed", async () => {
      const { incoming, client, peer: far } = await bench().relayed({ says: "x" });
      let told = 0;
      incoming.whenClosed(() => told++);
      client.end();
      await readAll(far);
      expect(told).toBe(0);
      far.end();
      await eventually(() => expect(told).toBe(1));
      expect(bench().carrier.sessions()).toBe(0);
    });
  });
  stopLaws(bench);
}

function stopLaws(bench: () => CarrierBench): void {
  describe("stopping", () => {
    const over = async (incoming: { whenClosed(listener: () => void): void }, client: Socket): Promise<void> => {
      await readAll(client);
      await new Promise<void>((resolve) => incoming.whenClosed(resolve));
      expect(bench().carrier.sessions()).toBe(0);
    };

    test("a client that nobody has looked at", async () => {
      const { incoming, client } = await bench().accept();
      incoming.stop("killed");
      await over(incoming, client);
    });

    test("a client whose first bytes are being decided on", async () => {
      const { incoming, client } = await bench().accept({ says: "hello" });
      await incoming.head.grow(5);
      incoming.head.watch(() => {});
      incoming.stop("killed");
      incoming.head.unwatch();
      await over(incoming, client);
    });

    test("a client that somebody waits for, and the wait ends", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const growing = incoming.head.grow(10);
      incoming.stop("killed");
      expect(await growing).toBe("reset");
      incoming.close("end");
      await over(incoming, client);
    });

    test("a client whose wait has just ended", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(1);
      client.write("x");
      await sleep(5);
      incoming.stop("killed");
      expect(["enough", "reset"]).toContain(await growing);
      incoming.close("end");
      await over(incoming, client);
    });

    test("a client on its way to a peer", async () => {
      await using hole = await BlackHole.open();
      const { incoming, client } = await bench().accept({ says: "x" });
      await incoming.head.grow(1);
      const endpoint = { kind: "tcp", host: "127.0.0.1", port: hole.port } as const;
      const abort = new AbortController();
      const life = lifeOf(abort.signal);
      const relaying = incoming.relayTo({ address: "", endpoint, connectTimeoutMs: 60_000 }, relayOptions({ life }));
      relaying.catch(() => {});
      await sleep(10);
      abort.abort(new GatewayError("RC_SHUTDOWN"));
      incoming.stop("killed");
      await expect(relaying).rejects.toThrow();
      incoming.close("end");
      await over(incoming, client);
    });

    test("a client whose peer accepts at this moment", async () => {
      for (let round = 0; round < 50; round++) {
        const { incoming, client } = await bench().accept({ says: "x" });
        const peer = await bench().peer();
        const relaying = incoming.relayTo(peer.endpoint, relayOptions());
        if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
        if (round % 4 === 0) await peer.next();
        incoming.stop("killed");
        const relay = await relaying.catch(() => undefined);
        relay?.end("killed");
        incoming.close("end");
        await over(incoming, client);
      }
    });

    test("a client that was taken over", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      incoming.takeOver();
      incoming.stop("killed");
      await over(incoming, client);
    });

    test.each(["end", "reset"] as const)("a client that has gone: %s", async (how) => {
      const { incoming, client } = await bench().accept({ says: "x" });
      if (how === "end") client.destroy();
      else client.resetAndDestroy();
      await once(client, "close");
      incoming.stop("killed");
      incoming.close("end");
      await over(incoming, client);
    });

    test("a client that is closed already, which changes nothing", async () => {
      const { incoming, client } = await bench().accept();
      incoming.close("end");
      incoming.stop("killed");
      await over(incoming, client);
      incoming.stop("killed");
    });

    test("leaves no socket open", async () => {
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
      const before = openFilesOf(process.pid, "socket:");
      const { incoming, client } = await bench().accept({ says: "x" });
      incoming.stop("killed");
      await over(incoming, client);
      client.destroy();
      await eventually(() => expect(openFilesOf(process.pid, "socket:")).toBeLessThanOrEqual(before));
    });
  });
}
