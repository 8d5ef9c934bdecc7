import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { type CarrierBench, closed, type Place, shut } from "./bench.ts";

/** More than any carrier keeps for a peer. */
const MUCH = 100_000;

/** The first bytes of a client: looked at, waited for, consumed. */
export function headLaws(bench: () => CarrierBench): void {
  describe("head", () => {
    test.each(["127.0.0.1:0", "[::1]:0", "unix"] as const)("the first bytes are there: %s", async (at) => {
      const { incoming } = await bench().accept({ says: "hello", at: at as Place });
      expect(await incoming.head.grow(5)).toBe("enough");
      expect(incoming.head.bytes.toString()).toBe("hello");
      expect([incoming.head.size, incoming.head.received]).toEqual([5, 5]);
      await shut(incoming);
    });

    test("of a client that is silent they are empty", async () => {
      const { incoming } = await bench().accept();
      expect([incoming.head.size, incoming.head.received, incoming.head.bytes.length]).toEqual([0, 0, 0]);
      expect(incoming.head.busy).toBe(false);
      await shut(incoming);
    });

    test("they grow byte by byte, and a wait ends when there are enough", async () => {
      const { incoming, client } = await bench().accept();
      for (let size = 1; size <= 40; size++) {
        const growing = incoming.head.grow(size);
        expect(incoming.head.busy).toBe(true);
        client.write(Buffer.of(size));
        expect(await growing).toBe("enough");
        expect(incoming.head.busy).toBe(false);
      }
      expect([...incoming.head.bytes]).toEqual(Array.from({ length: 40 }, (_, at) => at + 1));
      expect(incoming.head.received).toBe(40);
      await shut(incoming);
    });

    test("a wait for many bytes ends with the last of them, not before", async () => {
      const { incoming, client } = await bench().accept();
      let isOver = false;
      const growing = incoming.head.grow(3).finally(() => {
        isOver = true;
      });
      client.write("ab");
      await sleep(30); // nothing may happen meanwhile
      expect(isOver).toBe(false);
      client.write("c");
      expect(await growing).toBe("enough");
      expect(incoming.head.bytes.toString()).toBe("abc");
      await shut(incoming);
    });

    test("their buffer is the same object until they change", async () => {
      const { incoming, client } = await bench().accept({ says: "abc" });
      await incoming.head.grow(3);
      const { bytes } = incoming.head;
      expect(incoming.head.bytes).toBe(bytes);
      expect(await incoming.head.grow(2)).toBe("enough");
      expect(incoming.head.bytes).toBe(bytes);
      client.write("d");
      await incoming.head.grow(4);
      expect(incoming.head.bytes).not.toBe(bytes);
      incoming.head.consume(1);
      expect(incoming.head.bytes.toString()).toBe("bcd");
      await shut(incoming);
    });

    test("consumed bytes are gone from them, but have been received", async () => {
      const { incoming, client } = await bench().accept({ says: "PROXY hello" });
      await incoming.head.grow(11);
      expect(incoming.head.consume(6).toString()).toBe("PROXY ");
      expect([incoming.head.bytes.toString(), incoming.head.size, incoming.head.received]).toEqual(["hello", 5, 11]);
      expect(incoming.head.consume(100).toString()).toBe("hello");
      expect([incoming.head.bytes.length, incoming.head.received]).toEqual([0, 11]);
      client.write("more");
      expect(await incoming.head.grow(4)).toBe("enough");
      expect([incoming.head.bytes.toString(), incoming.head.received]).toEqual(["more", 15]);
      await shut(incoming);
    });

    test("what was consumed stays as it is when more bytes come", async () => {
      const { incoming, client } = await bench().accept({ says: "abcdef" });
      await incoming.head.grow(6);
      const taken = incoming.head.consume(3);
      client.write("x".repeat(MUCH));
      const growing = incoming.head.grow(3 + 1_000);
      await growing;
      expect(incoming.head.bytes.subarray(0, 4).toString()).toBe("defx");
      expect(taken.length).toBe(3);
      await shut(incoming);
    });

    test("more of them than any carrier keeps for a peer can be waited for", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      client.write(Buffer.alloc(MUCH, "y"));
      expect(await incoming.head.grow(MUCH + 1)).toBe("enough");
      expect(incoming.head.bytes.equals(Buffer.concat([Buffer.from("x"), Buffer.alloc(MUCH, "y")]))).toBe(true);
      await shut(incoming);
    });

    test("a wait ends at its time, and the next one goes on from there", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      const began = performance.now();
      expect(await incoming.head.grow(2, began + 50)).toBe("timeout");
      expect(performance.now() - began).toBeGreaterThan(45);
      expect(performance.now() - began).toBeLessThan(10_000); // it would wait for ever
      expect(await incoming.head.grow(2, performance.now() - 1)).toBe("timeout");
      client.write("b");
      expect(await incoming.head.grow(2)).toBe("enough");
      expect(incoming.head.bytes.toString()).toBe("ab");
      await shut(incoming);
    });

    test("bytes that came too late for a wait are there, and the time of one wait is not the next one's", async () => {
      const { incoming, client } = await bench().accept();
      expect(await incoming.head.grow(3, performance.now() + 20)).toBe("timeout");
      const growing = incoming.head.grow(3, performance.now() + 60_000);
      client.write("ab");
      await sleep(60);
      client.write("c");
      expect(await growing).toBe("enough");
      await shut(incoming);
    });

    test("a client's end ends the wait, and the bytes before it stay", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(10);
      client.end("bye");
      expect(await growing).toBe("ended");
      expect(incoming.head.bytes.toString()).toBe("bye");
      expect(await incoming.head.grow(3)).toBe("enough");
      expect(await incoming.head.grow(4)).toBe("ended");
      expect(incoming.head.consume(3).toString()).toBe("bye");
      expect(await incoming.head.grow(1)).toBe("ended");
      await shut(incoming);
    });

    test("an end right at the first byte is no reset", async () => {
      const { incoming, client } = await bench().accept({ says: "x" });
      client.end();
      expect(await incoming.head.grow(2)).toBe("ended");
      expect(incoming.head.bytes.toString()).toBe("x");
      await shut(incoming);
    });

    test("a client's reset ends the wait", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(10);
      client.write("abc");
      await sleep(10);
      client.resetAndDestroy();
      expect(await growing).toBe("reset");
      expect(await incoming.head.grow(10)).toBe("reset");
      incoming.close("reset");
      await closed(incoming);
    });

    test("a reset that comes while nobody waits shows to the next who does", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      client.resetAndDestroy();
      await once(client, "close");
      await sleep(10);
      expect(await incoming.head.grow(2)).toBe("reset");
      expect(incoming.head.received).toBe(1);
      incoming.close("reset");
      await closed(incoming);
    });

    test("two waits at once are a programmer's mistake, and the first goes on", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(1);
      await expect((async () => incoming.head.grow(2))()).rejects.toThrow("two waits");
      client.write("x");
      expect(await growing).toBe("enough");
      await shut(incoming);
    });
  });
  watchLaws(bench);
}

function watchLaws(bench: () => CarrierBench): void {
  describe("watching", () => {
    test("tells of a reset that comes while nobody waits for bytes", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      const told = new Promise((resolve) => incoming.head.watch(resolve));
      client.resetAndDestroy();
      await told;
      expect(await incoming.head.grow(5)).toBe("reset");
      incoming.close("reset");
      await closed(incoming);
    });

    test("tells of a reset that came before", async () => {
      const { incoming, client } = await bench().accept();
      const growing = incoming.head.grow(1);
      client.resetAndDestroy();
      expect(await growing).toBe("reset");
      let told = 0;
      incoming.head.watch(() => told++);
      expect(told).toBe(1);
      incoming.close("reset");
      await closed(incoming);
    });

    test("tells of a reset behind bytes that nobody has read", async () => {
      const { incoming, client } = await bench().accept();
      const told = new Promise((resolve) => incoming.head.watch(resolve));
      await new Promise((resolve) => client.write("last words", resolve));
      client.resetAndDestroy();
      await told;
      incoming.close("reset");
      await closed(incoming);
    });

    test("tells of a reset that ends a wait, too", async () => {
      const { incoming, client } = await bench().accept();
      let told = 0;
      incoming.head.watch(() => told++);
      const growing = incoming.head.grow(1);
      client.resetAndDestroy();
      expect(await growing).toBe("reset");
      await eventually(() => expect(told).toBe(1));
      incoming.close("reset");
      await closed(incoming);
    });

    test("does not take an end for a reset, and loses no byte", async () => {
      const { incoming, client } = await bench().accept();
      const told: string[] = [];
      incoming.head.watch((how) => told.push(how));
      client.end("all of it");
      await once(client, "finish");
      await sleep(20);
      incoming.head.unwatch();
      expect(told).not.toContain("reset");
      expect(await incoming.head.grow(100)).toBe("ended");
      expect(incoming.head.bytes.toString()).toBe("all of it");
      await shut(incoming);
    });

    test("tells of an end where JavaScript owns the bytes", async () => {
      const { incoming, client } = await bench().accept();
      incoming.takeOver();
      const told = new Promise((resolve) => incoming.head.watch(resolve));
      client.end("bye");
      expect(await told).toBe("ended");
      await shut(incoming);
    });

    test("is over after unwatch: bytes and a reset tell nobody", async () => {
      const { incoming, client } = await bench().accept();
      let told = 0;
      incoming.head.watch(() => told++);
      incoming.head.unwatch();
      client.write("abc");
      expect(await incoming.head.grow(3)).toBe("enough");
      client.resetAndDestroy();
      await once(client, "close");
      expect(await incoming.head.grow(4)).toBe("reset");
      expect(told).toBe(0);
      incoming.close("reset");
      await closed(incoming);
    });

    test("gives up a wait that a hook left behind, when it is over", async () => {
      const { incoming, client } = await bench().accept({ says: "a" });
      await incoming.head.grow(1);
      incoming.head.watch(() => {});
      const left = incoming.head.grow(10);
      incoming.head.unwatch();
      expect(await left).toBe("timeout");
      expect(incoming.head.busy).toBe(false);
      client.write("b");
      expect(await incoming.head.grow(2)).toBe("enough");
      expect(incoming.head.bytes.toString()).toBe("ab");
      await shut(incoming);
    });
  });
}
