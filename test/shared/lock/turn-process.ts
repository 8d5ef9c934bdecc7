import process from "node:process";
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";
import { type Lease, lock } from "../../../src/shared/lock/lock.ts";

// A worker that takes a lock and lets it go when it is told to, and says what became of it.

/** What it is told. */
export type TurnOrder = { readonly kind: "ask"; readonly exptimeMs: number } | { readonly kind: "release" };

/** What it says. */
export type TurnWord =
  | { readonly kind: "had" }
  | { readonly kind: "released"; readonly isHeld: boolean; readonly ok: boolean };

const { handles } = JSON.parse(process.argv[2] ?? "{}") as { handles: Parameters<typeof attachDicts>[0] };
const dict = attachDicts(handles).dicts["dict"];
if (dict === undefined) throw new Error("no dictionary");
const shared = dict;
const leases: Lease[] = [];

const say = (word: TurnWord): void => void process.send?.(word);

async function ask(exptimeMs: number): Promise<void> {
  leases.push(await lock(shared, "turn", { timeoutMs: 60_000, exptimeMs }));
  say({ kind: "had" });
}

function release(): void {
  const lease = leases.shift();
  const isHeld = lease?.isHeld === true;
  say({ kind: "released", isHeld, ok: lease?.unlock().ok === true });
}

process.on("message", (order: TurnOrder) => (order.kind === "ask" ? void ask(order.exptimeMs) : release()));
