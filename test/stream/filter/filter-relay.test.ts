import { FilterRelay } from "../../../src/stream/filter/filter-relay.ts";
import type { Stage } from "../../../src/stream/filter/stage.ts";
import { Inlet } from "../../../src/stream/inlet.ts";
import { drainLaws } from "../../laws/drain-laws.ts";
import { rateLaws } from "../../laws/rate-laws.ts";
import { type RelayBench, type RelayBenchOptions, relayLaws } from "../../laws/relay-laws.ts";
import { socketPair } from "../../support/sockets.ts";

/** Passes all on as it is. */
function passing(): Stage {
  let held: Buffer | undefined;
  return {
    push: (piece) => {
      held = piece;
    },
    next: () => {
      const piece = held;
      held = undefined;
      return piece;
    },
    end: () => undefined,
  };
}

/** The same, later. */
function waiting(): Stage {
  const stage = passing();
  return {
    ...stage,
    next: () => {
      const piece = stage.next();
      return piece && new Promise((resolve) => setImmediate(() => resolve(piece)));
    },
  };
}

const kinds: Record<string, () => readonly Stage[]> = {
  "without a stage": () => [],
  "through a stage": () => [passing()],
  "through stages that wait": () => [waiting(), passing(), waiting()],
};

for (const [name, stages] of Object.entries(kinds)) {
  const make = async ({ before, ...options }: RelayBenchOptions): Promise<RelayBench> => {
    const [left, right] = await Promise.all([socketPair(), socketPair()]);
    const inlet = new Inlet(left.near);
    if (before) {
      left.far.write(before);
      await inlet.grow(before.length);
    }
    const filters = () => ({ up: stages(), down: stages() });
    return {
      relay: new FilterRelay(inlet, new Inlet(right.near), { ...options, filters }),
      client: left.far,
      peer: right.far,
      held: () => left.near.writableLength + right.near.writableLength,
      close: () => {
        for (const socket of [left.near, left.far, right.near, right.far]) socket.destroy();
      },
    };
  };
  relayLaws(`between sockets, ${name}`, make);
  drainLaws(`between sockets, ${name}, ended gently`, make);
  rateLaws(`between sockets, ${name}, slowed down`, make);
}
