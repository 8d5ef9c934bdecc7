import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { type CarrierBench, closed, type Place, shut } from "./bench.ts";

/** Accepting: who comes in, and what is known of him. */
export function acceptingLaws(bench: () => CarrierBench): void {
  describe("accepting", () => {
    test.each(["127.0.0.1:0", "[::1]:0", "[::]:0"] as const)("an accepted client has its addresses: %s", async (at) => {
      const { incoming, client } = await bench().accept({ at });
      const host = at === "[::1]:0" ? "::1" : "127.0.0.1"; // IPv4 is IPv4, also on the wildcard of IPv6
      expect(incoming.remote).toEqual({ host, port: client.localPort });
      expect(incoming.local).toEqual({ host, port: client.remotePort });
      await shut(incoming);
    });

    test("a client of a unix socket has none, and the socket's path is where it came in", async () => {
      const { incoming } = await bench().accept({ at: "unix", says: "x" });
      expect(incoming.remote).toEqual({ host: "unix:", port: 0 });
      expect(incoming.local.host).toMatch(/^unix:\/.*\.sock$/);
      expect(incoming.local.port).toBe(0);
      await shut(incoming);
    });

    test("it is known when a client was accepted, however late its first byte came", async () => {
      const before = performance.now();
      const { incoming, client } = await bench().accept();
      const after = performance.now();
      expect(incoming.acceptedAt).toBeGreaterThan(before - 1);
      expect(incoming.acceptedAt).toBeLessThan(after + 1);
      client.write("x");
      await incoming.head.grow(1);
      expect(incoming.acceptedAt).toBeLessThan(after + 1);
      await shut(incoming);
    });

    test.each(["127.0.0.1:0", "unix"] as const)("a client without room is turned away: %s", async (at) => {
      const { endpoint } = await bench().port("open", at as Place);
      bench().hasRoom = false;
      const client = bench().dial(endpoint);
      expect((await readAll(client)).length).toBe(0);
      bench().hasRoom = true;
      await eventually(() => expect(bench().carrier.sessions()).toBe(0));
    });

    test("a closed port accepts no more, and its clients go on", async () => {
      const { incoming, client } = await bench().accept();
      const { endpoint } = await bench().port("open");
      bench().closePort("open");
      await expect(once(bench().dial(endpoint), "connect")).rejects.toThrow("ECONNREFUSED");
      client.write("still here");
      expect(await incoming.head.grow(10)).toBe("enough");
      incoming.close("end");
      await closed(incoming);
    });
  });
}
