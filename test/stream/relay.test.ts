import { Inlet } from "../../src/stream/inlet.ts";
import { NodeRelay } from "../../src/stream/relay.ts";
import { WireRelay } from "../../src/stream/wire/wire-relay.ts";
import { Wires } from "../../src/stream/wire/wires.ts";
import { drainLaws } from "../laws/drain-laws.ts";
import { rateLaws } from "../laws/rate-laws.ts";
import { recallLaws } from "../laws/recall-laws.ts";
import { type RelayBench, type RelayBenchOptions, relayLaws } from "../laws/relay-laws.ts";
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
