import { GatewayError } from "../errors.ts";
import type { Action } from "./action.ts";
import { chooseRoute } from "./choose-route.ts";
import type { Connection } from "./connection.ts";
import { terminateTls } from "./handshake.ts";
import { limitAccepted } from "./limits/session-limits.ts";

/** Sends a session through another server, from TLS on, and tells what that one wants to do. @throws GatewayError RC_DISPATCH */
export async function dispatchTo(session: Connection, name: string): Promise<Action> {
  const server = session.settings.servers.get(name);
  if (!server) throw new GatewayError("RC_DISPATCH", `no server is called ${name}`);
  session.moveTo(server);
  if (server.limits) await limitAccepted(session, server.limits);
  await session.client.flushed(); // what was said in clear text must not land in the middle of a handshake
  const isClear = session.ssl?.protocol !== undefined; // TLS has ended at a server before
  return chooseRoute(session, server.ssl && !isClear ? await terminateTls(session, server.ssl) : undefined);
}
