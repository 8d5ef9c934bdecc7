import { Inlet } from "../../src/stream/inlet.ts";
import { NodeRelay } from "../../src/stream/relay.ts";
import { WireRelay } from "../../src/stream/wire/wire-relay.ts";
import { Wires } from "../../src/stream/wire/wires.ts";
import { type RelayBenchOptions, relayLaws } from "../laws/relay-laws.ts";
import { socketPair } from "../support/sockets.ts";
import { bindings, wirePair } from "../support/wires.ts";

relayLaws("between sockets", async ({ before, ...options }: RelayBenchOptions) => {
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
});

relayLaws("between wires", async ({ before, ...options }: RelayBenchOptions) => {
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
});
