import { setImmediate as turn } from "node:timers/promises";
import type { BanTable } from "../../stream/bans/ban-table.ts";
import { stageOf } from "../../stream/bans/stage-of.ts";
import type { Carrier } from "../../stream/carrier/carrier.ts";
import type { Connection } from "../../stream/connection.ts";

/** Sessions looked at before others get their turn: below a millisecond of work. */
const SESSIONS_PER_TURN = 500;

/** Ends the sessions that bans hold, each looked at once. Answers how many. */
export async function killBanned(bans: BanTable, all: Iterable<Connection>): Promise<number> {
  let killed = 0;
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

/** Turns banned clients away that the carrier keeps until they speak. */
export function killSilent(bans: BanTable, carrier: Carrier): void {
  for (const { remote, session } of carrier.silent())
    if (bans.ofAddress(remote.host) !== undefined) carrier.killSilent(session);
}

function isBanned(session: Connection, bans: BanTable): boolean {
  if (bans.ofAddress(session.remote.host) !== undefined) return true;
  if (!bans.hasKeys) return false;
  // A variable is computed once: it must not be asked for before its time. Whoever has not come so far is asked on the way.
  try {
    return bans.ofSession(session, stageOf(session)) !== undefined;
  } catch {
    return false; // a variable of the configuration's that fails
  }
}
