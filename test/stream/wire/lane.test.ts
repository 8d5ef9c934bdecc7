import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Inlet } from "../../../src/stream/inlet.ts";
import { LARGE_BYTES, SMALL_BYTES } from "../../../src/stream/wire/read-buffers.ts";
import { WireRelay } from "../../../src/stream/wire/wire-relay.ts";
import { Wires } from "../../../src/stream/wire/wires.ts";
import { readAll } from "../../support/client.ts";
import { eventually } from "../../support/eventually.ts";
import { bindings, wirePair } from "../../support/wires.ts";

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
});

async function relayed(): Promise<{ wires: Wires; client: Socket; peer: Socket; relay: WireRelay }> {
  const wires = new Wires(bindings());
  const [left, right] = await Promise.all([wirePair(wires), wirePair(wires)]);
  open.push(left.far, right.far);
  const relay = new WireRelay(new Inlet(left.near), left.near, right.near, {
    idleTimeoutMs: 60_000,
    preface: undefined,
  });
  return { wires, client: left.far, peer: right.far, relay };
}

/** Says something, and waits until it has arrived. */
async function say(client: Socket, peer: Socket, what: string | Buffer): Promise<void> {
  const before = peer.bytesRead;
  client.write(what);
  while (peer.bytesRead < before + what.length) await once(peer, "data");
}

const ended = (relay: WireRelay): Promise<unknown> => new Promise((resolve) => relay.onEnd(resolve));

test("a session of small messages never has more than its two small buffers, and gives them back at its end", async () => {
  const { wires, client, peer, relay } = await relayed();
  for (let round = 0; round < 50; round++) await say(client, peer, "small");
  client.end();
  peer.end();
  await ended(relay);
  expect(wires.buffers.kept(SMALL_BYTES)).toBe(2);
  expect(wires.buffers.kept(65_536)).toBe(0);
});

test("a buffer that reads fill is changed for a larger one, and for a smaller one when they are small again", async () => {
  const { wires, client, peer } = await relayed();
  peer.resume();
  const sent = 64 * 1_048_576;
  await say(client, peer, Buffer.alloc(sent));
  expect(wires.buffers.kept(65_536)).toBeGreaterThanOrEqual(1); // it went through this size
  for (let round = 0; round < 40; round++) await say(client, peer, "small");
  expect(wires.buffers.kept(LARGE_BYTES)).toBeGreaterThanOrEqual(1);
});

test("an idle session gives its large buffer back, and goes on with a small one", async () => {
  const { wires, client, peer, relay } = await relayed();
  peer.resume();
  const sent = 64 * 1_048_576;
  await say(client, peer, Buffer.alloc(sent));
  await eventually(() =>
    expect(wires.buffers.kept(LARGE_BYTES) + wires.buffers.kept(65_536)).toBeGreaterThanOrEqual(2),
  );
  await say(client, peer, "still here");
  await say(client, peer, Buffer.alloc(8 * 1_048_576));
  expect(relay.bytesUp).toBe(72 * 1_048_576 + 10);
});

test("a buffer is kept back as long as the kernel has not taken all of it, though its connection is closed", async () => {
  const { wires, client, peer, relay } = await relayed();
  peer.pause();
  client.write(Buffer.alloc(64 * 1_048_576));
  let moved = -1;
  await eventually(() => {
    const before = moved;
    moved = relay.bytesUp;
    expect(moved).toBe(before); // stalled
  });
  relay.end("killed");
  await ended(relay);
  await eventually(() =>
    expect(
      wires.buffers.kept(SMALL_BYTES) + wires.buffers.kept(65_536) + wires.buffers.kept(LARGE_BYTES),
    ).toBeGreaterThanOrEqual(2),
  );
  const taken = [wires.buffers.take(SMALL_BYTES), wires.buffers.take(SMALL_BYTES), wires.buffers.take(SMALL_BYTES)];
  expect(new Set(taken).size).toBe(3); // none was given back twice
});

test("what a proxy header says goes first, and does not count as the client's", async () => {
  const wires = new Wires(bindings());
  const [left, right] = await Promise.all([wirePair(wires), wirePair(wires)]);
  open.push(left.far, right.far);
  const inlet = new Inlet(left.near);
  left.far.end("head");
  await inlet.grow(100);
  const relay = new WireRelay(inlet, left.near, right.near, { idleTimeoutMs: 60_000, preface: Buffer.from("PROXY ") });
  expect((await readAll(right.far)).toString()).toBe("PROXY head");
  right.far.end();
  expect(await ended(relay)).toBe("client_closed");
  expect(relay.bytesUp).toBe(4);
});
