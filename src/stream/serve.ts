import { alert, alertDescriptions } from "../codecs/tls/alert.ts";
import { GatewayError } from "../errors.ts";
import type { Action } from "./action.ts";
import { actionOf } from "./action-of.ts";
import { chooseRoute } from "./choose-route.ts";
import type { Connection } from "./connection.ts";
import { terminateTls } from "./handshake.ts";
import { proxyTo } from "./proxy.ts";
import { readProxyHeader } from "./proxy-header.ts";

/**
 * The life of one session, top to bottom. Everything else in this folder serves these lines. Nothing waits here while bytes
 * are relayed: the end of the relay is the session's end.
 */
export async function serve(session: Connection): Promise<void> {
  const { settings } = session;
  try {
    if (settings.proxyHeader) await readProxyHeader(session, settings.proxyHeader);
    const byHello = settings.ssl && (await terminateTls(session, settings.ssl));
    let action: Action | undefined = await chooseRoute(session, byHello);
    while (action) action = await perform(session, settings.phases.access ? await access(session, action) : action);
    if (!session.isRelayed) session.finalize(undefined);
  } catch (cause) {
    session.finalize(GatewayError.from(cause));
  }
}

/** Does what was decided. A content handler may decide anew, with the bytes that it left unread. */
async function perform(session: Connection, action: Action): Promise<Action | undefined> {
  switch (action.kind) {
    case "proxy":
      return proxyTo(session, action.upstream);
    case "content":
      session.endCause = "content_done";
      return actionOf("content", await session.hook("content", () => action.handler(session)));
    case "reject":
      if (session.ssl && !session.ssl.protocol) session.client.lastWords(alert(alertDescriptions.accessDenied));
      throw new GatewayError("RC_REJECTED", action.reason, { status: action.status });
    default:
      throw new GatewayError("RC_INTERNAL", action satisfies never);
  }
}

/** Asks the access phase about an action, unless it refuses by itself. */
async function access(session: Connection, action: Action): Promise<Action> {
  if (action.kind === "reject") return action;
  session.upstream = action.kind === "proxy" ? action.upstream : undefined;
  const refusal = await session.hook("access", () => session.settings.phases.access?.(session));
  return actionOf("access", refusal) ?? action;
}
