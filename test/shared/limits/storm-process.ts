import process from "node:process";
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";
import { KINDS, stormLimits, talliedAs } from "./storm-limits.ts";

// Asks limiters of all kinds at full speed until it is killed, or left alone by whoever would kill it.

/** Leases that it holds at most; so it is always killed with some. */
const HELD = 5;

const { handles } = JSON.parse(process.argv[2] ?? "{}") as { handles: Parameters<typeof attachDicts>[0] };
const dict = attachDicts(handles).dicts["dict"];
if (dict === undefined) throw new Error("no dictionary");
const { conn, counting } = stormLimits(dict);
const leases: (() => void)[] = [];
const parent = process.ppid;
for (let round = 0; round % 100 !== 0 || process.ppid === parent; round++) {
  const lease = conn.incoming("conn");
  if (lease.err === undefined) leases.push(() => lease.release());
  if (leases.length > HELD) leases.shift()?.();
  for (const kind of KINDS) if (counting[kind].incoming(kind).err === undefined) dict.incr(talliedAs(kind), 1, 0);
  if (round === 20) process.send?.("stormy");
}
