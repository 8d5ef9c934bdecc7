import { GatewayError } from "../../errors.ts";
import type { Connection } from "../connection.ts";
import type { Stage } from "../limits/limit-key.ts";
import type { HeldBan } from "./ban.ts";

/** What the client is told; why it was banned is not its business. */
const REASON = "banned";

/** The address is known: the socket's, or what a PROXY header told. Who is banned is told nothing. @throws GatewayError RC_BANNED */
export function turnAwayAddress(session: Connection): void {
  const { bans } = session.settings;
  const ban = bans?.hasAddresses ? bans.ofAddress(session.remote.host) : undefined;
  if (ban) throw new GatewayError("RC_BANNED", detailOf(ban));
}

/** More of the session is known. Who is banned by it is told so in its protocol. @throws GatewayError RC_BANNED */
export function turnAwayKey(session: Connection, stage: Stage): void {
  const { bans } = session.settings;
  const ban = bans?.hasKeys ? bans.ofSession(session, stage) : undefined;
  if (!ban) return;
  const retryAfterMs = Number.isFinite(ban.untilMs) ? ban.untilMs - Date.now() : undefined;
  throw new GatewayError("RC_BANNED", detailOf(ban), { refusal: { reason: REASON, retryAfterMs } });
}

function detailOf({ whom, reason }: HeldBan): string {
  return reason === undefined ? whom : `${whom}, ${reason}`;
}
