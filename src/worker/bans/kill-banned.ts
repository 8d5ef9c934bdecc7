import { setImmediate as turn } from "node:timers/promises";
import type { BanTable } from "../../stream/bans/ban-table.ts";
import type { Carrier } from "../../stream/carrier/carrier.ts";
import type { Connection } from "../../stream/connection.ts";
import { stages } from "../../stream/limits/limit-key.ts";

/** Sessions looked at before others get their turn: below a millisecond of work. */
const SESSIONS_PER_TURN = 500;

/** Ends the sessions that bans hold, each looked at once, and clients that have said nothing yet. Answers how many. */
export async function killBanned(
  bans: BanTable,
  { all, carrier }: { readonly all: Iterable<Connection>; readonly carrier: Carrier | undefined },
): Promise<number> {
  let killed = bans.hasAddresses ? killSilent(bans, carrier) : 0;
  let looked = 0;
  for (const session of all) {
    if (!session.isOver && isBanned(session, bans)) {
      session.stop("killed");
      killed++;
    }
    if (++looked % SESSIONS_PER_TURN === 0) await turn();
  }
  return killed;
}

function killSilent(bans: BanTable, carrier: Carrier | undefined): number {
  const banned = (carrier?.silent() ?? []).filter(({ remote }) => bans.ofAddress(remote.host) !== undefined);
  return banned.filter(({ session }) => carrier?.killSilent(session)).length;
}

function isBanned(session: Connection, bans: BanTable): boolean {
  if (bans.ofAddress(session.remote.host) !== undefined) return true;
  if (!bans.hasKeys) return false;
  // A variable is computed once: it must not be asked for before its time. Whoever has not come so far is asked on the way.
  const stage = session.isDecided && session.phase !== "preread" ? stages.routed : stages.hello;
  try {
    return bans.ofSession(session, stage) !== undefined;
  } catch {
    return false; // a variable of the configuration's that fails
  }
}
