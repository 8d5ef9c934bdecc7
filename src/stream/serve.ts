import { GatewayError } from "../errors.ts";
import type { Action, ContentAction } from "./action.ts";
import { actionOf } from "./action-of.ts";
import { turnAwayAddress, turnAwayKey } from "./bans/turn-away.ts";
import { chooseRoute } from "./choose-route.ts";
import type { Connection } from "./connection.ts";
import { dispatchTo } from "./dispatch.ts";
import { terminateTls } from "./handshake.ts";
import { stages } from "./limits/limit-key.ts";
import { limitAccepted, limitRouted } from "./limits/session-limits.ts";
import { proxyTo } from "./proxy.ts";
import { readProxyHeader } from "./proxy-header.ts";
import { rejected } from "./refusal.ts";
import type { Awaitable } from "./session.ts";

/**
 * The life of one session, top to bottom. Everything else in this folder serves these lines. Nothing waits here while bytes
 * are relayed: the end of the relay is the session's end.
 */
export async function serve(session: Connection): Promise<void> {
  const { settings } = session;
  try {
    turnAwayAddress(session);
    if (settings.proxyHeader) await readProxyHeader(session, settings.proxyHeader);
    if (settings.proxyHeader) turnAwayAddress(session);
    if (settings.limits) await limitAccepted(session, settings.limits);
    const byHello = settings.ssl && (await terminateTls(session, settings.ssl));
    let action: Action | undefined = await chooseRoute(session, byHello);
    while (action) {
      const decided = decide(session, action);
      action = await perform(session, decided instanceof Promise ? await decided : decided);
    }
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
    case "dispatch":
      return dispatchTo(session, action.server);
    case "content":
      return serveContent(session, action);
    case "reject":
      throw rejected(action);
    default:
      throw new GatewayError("RC_INTERNAL", action satisfies never);
  }
}

/** Lets the handler be the server. It has not ended before its tasks have. OpenResty: `content_by_lua`. */
async function serveContent(session: Connection, { handler }: ContentAction): Promise<Action | undefined> {
  session.endCause = "content_done";
  const returned = await session.hook("content", () => handler(session));
  const next = actionOf("content", returned);
  const tasks = next ? undefined : session.tasksEnd();
  if (tasks !== undefined) await session.hook("content", () => tasks);
  return next;
}

/** Asks the rewrite phase, bans, limits, then access, which is not asked about a refusal. No promise where there is none of them. */
function decide(session: Connection, action: Action): Awaitable<Action> {
  const { rewrite, access } = session.settings.phases;
  session.action = action;
  if (rewrite || access || session.settings.limits) return askPhases(session);
  turnAwayKey(session, stages.routed);
  return action;
}

async function askPhases(session: Connection): Promise<Action> {
  const { phases, limits } = session.settings;
  const { rewrite, access } = phases;
  if (rewrite)
    session.action = actionOf("rewrite", await session.hook("rewrite", () => rewrite(session))) ?? session.action;
  turnAwayKey(session, stages.routed);
  if (limits) await limitRouted(session, limits);
  if (!access || session.action.kind === "reject") return session.action;
  return actionOf("access", await session.hook("access", () => access(session))) ?? session.action;
}
