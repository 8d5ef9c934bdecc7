import { once } from "node:events";
import { createSecureContext, connect as secure, TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { Inlet } from "../../src/stream/inlet.ts";
import { NodeRelay } from "../../src/stream/relay.ts";
import { WireRelay } from "../../src/stream/wire/wire-relay.ts";
import { Wires } from "../../src/stream/wire/wires.ts";
import { drainLaws } from "../laws/drain-laws.ts";
import { rateLaws } from "../laws/rate-laws.ts";
import { recallLaws } from "../laws/recall-laws.ts";
import { type RelayBench, type RelayBenchOptions, relayLaws } from "../laws/relay-laws.ts";
import { made } from "../ssl/made-certificates.ts";
import { readAll } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { socketPair } from "../support/sockets.ts";
import { bindings, wirePair } from "../support/wires.ts";

async function betweenSockets({ before, ...options }: RelayBenchOptions): Promise<RelayBench> {
  const [left, right] = await Promise.all([socketPair(), socketPair()]);
  const inlet = new Inlet(left.near);
  if (before) {
    left.far.write(before);
    await inlet.grow(before.length);
  }
  const all = [left.near, left.far, right.near, right.far];
  return {
    relay: new NodeRelay(inlet, new Inlet(right.near), options),
    client: left.far,
    peer: right.far,
    held: () => left.near.writableLength + right.near.writableLength,
    close: () => {
      for (const socket of all) socket.destroy();
    },
  };
}

async function betweenWires({ before, ...options }: RelayBenchOptions): Promise<RelayBench> {
  const wires = new Wires(bindings());
  const [left, right] = await Promise.all([wirePair(wires), wirePair(wires)]);
  const inlet = new Inlet(left.near);
  if (before) {
    left.far.write(before);
    await inlet.grow(before.length);
  }
  return {
    relay: new WireRelay(inlet, left.near, right.near, { ...options, preface: undefined }),
    client: left.far,
    peer: right.far,
    held: () => 0, // a direction has one buffer, and nothing is read while it is in use
    close: () => {
      for (const socket of [left.far, right.far]) socket.destroy();
    },
  };
}

relayLaws("between sockets", betweenSockets);
relayLaws("between wires", betweenWires);
drainLaws("between sockets, ended gently", betweenSockets);
drainLaws("between wires, ended gently", betweenWires);
rateLaws("between sockets, slowed down", betweenSockets);
rateLaws("between wires, slowed down", betweenWires);
recallLaws("between sockets, recalled", betweenSockets);
recallLaws("between wires, recalled", betweenWires);

test("a relay whose client speaks TLS is recalled with it: what is said afterwards, either way, is whole", async () => {
  const [left, right] = await Promise.all([socketPair(), socketPair()]);
  const near = new TLSSocket(left.near, {
    isServer: true,
    secureContext: createSecureContext(await made({ names: ["a.example"] })),
  });
  const client = secure({ socket: left.far, rejectUnauthorized: false });
  await once(client, "secureConnect");
  const relay = new NodeRelay(new Inlet(near, left.near), new Inlet(right.near), { idleTimeoutMs: 60_000 });
  client.write("before");
  await once(right.far, "data");
  const sides = await eventually(async () => (await relay.recall(5)) ?? Promise.reject(new Error("not at rest")));
  client.write("kept ");
  expect(await sides.client.grow(5)).toBe("enough");
  const next = new NodeRelay(sides.client, sides.peer, { idleTimeoutMs: 60_000 });
  const bulk = Buffer.from(Uint8Array.from({ length: 2_000_000 }, (_, at) => (at * 31) >> 7));
  client.end(bulk);
  right.far.end(bulk);
  const [down, up] = await Promise.all([readAll(client), readAll(right.far)]);
  expect(down.equals(bulk)).toBe(true);
  expect(up.equals(Buffer.concat([Buffer.from("kept "), bulk]))).toBe(true);
  expect([relay.bytesUp, next.bytesUp]).toEqual([6, bulk.length + 5]);
  for (const socket of [client, near, left.near, right.near, right.far]) socket.destroy();
});
