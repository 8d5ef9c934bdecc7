import { findBindings } from "./bindings.ts";
import { roundTrip } from "./round-trip.ts";
import { Wires } from "./wires.ts";

let loading: Promise<Wires | undefined> | undefined;

/** The process's wires, once a round trip has shown that they work here; undefined: `net.Socket` has to do. */
export function loadWires(): Promise<Wires | undefined> {
  loading ??= tryWires();
  return loading;
}

async function tryWires(): Promise<Wires | undefined> {
  const bindings = findBindings();
  const wires = bindings && new Wires(bindings);
  return wires && (await roundTrip(wires)) ? wires : undefined;
}
