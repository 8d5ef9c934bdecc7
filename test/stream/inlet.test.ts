import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { Inlet } from "../../src/stream/inlet.ts";
import { socketPair } from "../support/sockets.ts";
import { wirePair } from "../support/wires.ts";

const open: { destroy(): unknown }[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

describe.each([
  ["socket", socketPair],
  ["wire", wirePair],
] as const)("of a %s", (_kind, connected) => {
  async function pair(): Promise<{ inlet: Inlet; far: Socket }> {
    const { near, far } = await connected();
    const inlet = new Inlet(near);
    open.push(inlet, far);
    return { inlet, far };
  }

  test("unread bytes grow until there are enough, and are consumed from the front", async () => {
    const { inlet, far } = await pair();
    far.write("hello ");
    expect(await inlet.grow(6)).toBe("enough");
    const growing = inlet.grow(11);
    far.write("world");
    expect(await growing).toBe("enough");
    expect(inlet.consume(6).toString()).toBe("hello ");
    expect(inlet.bytes.toString()).toBe("world");
    expect(inlet.received).toBe(11);
  });

  test("bytes handed out are never written over by bytes that follow", async () => {
    const { inlet, far } = await pair();
    const taken: Buffer[] = [];
    const sent = Buffer.from(Array.from({ length: 4_000 }, (_, index) => index % 251));
    for (const byte of sent) {
      far.write(Buffer.of(byte));
      await inlet.grow(1);
      if (inlet.size > 2) taken.push(inlet.consume(inlet.size - 1));
    }
    far.end();
    await inlet.grow(sent.length);
    taken.push(inlet.consume(inlet.size));
    expect(Buffer.concat(taken).equals(sent)).toBe(true);
  });

  test("the end of the client's bytes is an answer, and what came before it stays readable", async () => {
    const { inlet, far } = await pair();
    far.end("bye");
    expect(await inlet.grow(10)).toBe("ended");
    expect(inlet.bytes.toString()).toBe("bye");
    expect(await inlet.grow(10)).toBe("ended");
  });

  test("a reset is not taken for an end", async () => {
    const { inlet, far } = await pair();
    const growing = inlet.grow(1);
    far.resetAndDestroy();
    expect(await growing).toBe("reset");
    expect(inlet.reset).toBe(true);
  });

  test("nor is a reset that comes right behind data", async () => {
    const { inlet, far } = await pair();
    const growing = inlet.grow(10);
    await new Promise((resolve) => far.write("abc", resolve));
    far.resetAndDestroy();
    expect(await growing).toBe("reset");
  });

  test("time ends the wait and leaves the bytes", async () => {
    const { inlet, far } = await pair();
    far.write("abc");
    expect(await inlet.grow(3)).toBe("enough");
    const soon = performance.now() + 20;
    expect(await inlet.grow(4, soon)).toBe("timeout");
    expect(performance.now()).toBeGreaterThanOrEqual(soon - 1);
    expect(inlet.bytes.toString()).toBe("abc");
    expect(await inlet.grow(4, soon)).toBe("timeout");
    far.write("d");
    expect(await inlet.grow(4, soon + 60_000)).toBe("enough");
  });

  test("while nobody waits, the sender is held back by the kernel and memory stays bounded", async () => {
    const { inlet, far } = await pair();
    far.write("x");
    await inlet.grow(1);
    const block = Buffer.alloc(1_048_576);
    let sent = 0;
    while (far.write(block) || (await Promise.race([once(far, "drain").then(() => true), settled(far)])))
      sent += block.length;
    expect(sent).toBeGreaterThan(0);
    expect(inlet.size).toBeLessThan(256 * 1_024);
    expect(inlet.stream.readableLength).toBeLessThan(256 * 1_024);
  });

  test("a stream that is given away has its unread bytes and nothing of ours on it", async () => {
    const { inlet, far } = await pair();
    far.write("first");
    await inlet.grow(5);
    const { stream } = inlet;
    expect(inlet.detach().toString()).toBe("first");
    for (const event of ["data", "end", "close"]) expect(stream.listenerCount(event), event).toBeLessThanOrEqual(1);
    const next = once(stream, "data");
    stream.resume();
    far.write("second");
    expect(String((await next)[0])).toBe("second");
  });

  test("closing says goodbye before a reset can overtake it, though the client still talks", async () => {
    const { inlet, far } = await pair();
    far.write("unread");
    inlet.stream.write("last words");
    inlet.close();
    far.write("more");
    const chunks: Buffer[] = [];
    for await (const chunk of far) chunks.push(chunk);
    expect(Buffer.concat(chunks).toString()).toBe("last words");
  });

  test("a connection whose end is on its way can still be broken off, and closes", async () => {
    const { inlet } = await pair();
    const near = inlet.stream;
    near.write(Buffer.alloc(16_777_216)); // more than the kernel takes, so that the end has to wait
    near.end();
    inlet.abort();
    await new Promise((resolve) => near.once("close", resolve));
    expect(near.destroyed).toBe(true);
  });
});

/** False once the kernel has taken nothing for a while: the one case where only time can tell. */
function settled(socket: { bytesWritten: number; writableLength: number }): Promise<boolean> {
  return new Promise((resolve) => {
    let before = -1;
    const timer = setInterval(() => {
      if (socket.writableLength !== before) before = socket.writableLength;
      else {
        clearInterval(timer);
        resolve(false);
      }
    }, 50);
  });
}
