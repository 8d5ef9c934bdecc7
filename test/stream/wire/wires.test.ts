import { expect, test } from "vitest";
import { findBindings } from "../../../src/stream/wire/bindings.ts";
import { loadWires } from "../../../src/stream/wire/load-wires.ts";
import { roundTrip } from "../../../src/stream/wire/round-trip.ts";
import { Wires } from "../../../src/stream/wire/wires.ts";
import { bindings } from "../../support/wires.ts";

test("the Node.js that runs this has what wires need, and a round trip shows that it works", async () => {
  expect(await loadWires()).toBeInstanceOf(Wires);
});

test.each(["18.20.0", "23.1.0", "25.0.0", "27.0.0"])("Node.js %s is not known, and left alone", (version) => {
  expect(findBindings({ io: undefined, version, platform: "linux" })).toBeUndefined();
});

test("nor are other systems: nobody has tried what their handles say of a reset", () => {
  const version = process.versions.node;
  expect(findBindings({ io: undefined, version, platform: "darwin" })).toBeUndefined();
});

test("whoever asks for streams gets no bindings", () => {
  const version = process.versions.node;
  expect(findBindings({ io: "streams", version, platform: "linux" })).toBeUndefined();
});

test("internals that tell other numbers than expected fail the round trip", async () => {
  const real = bindings();
  expect(await roundTrip(new Wires({ ...real, at: { ...real.at, read: real.at.offset } }))).toBe(false);
});

test("internals that throw fail the round trip", async () => {
  class Refuses {
    constructor() {
      throw new Error("not any more");
    }
  }
  expect(await roundTrip(new Wires({ ...bindings(), ConnectRequest: Refuses }))).toBe(false);
});
