import { messageOf } from "../../errors.ts";
import type { Bans } from "../../stream/worker-context.ts";
import type { Answer, BanRequest, UnbanRequest } from "./frame.ts";
import type { LinkSessions } from "./link-sessions.ts";
import { done, NO_SESSION, refusal } from "./requests.ts";

/** Bans whom a game server wants to be banned. The answer comes when the registry has it, and with it all gateways. */
export async function ban(
  { id, of, ttlMs, reason }: BanRequest,
  sessions: Pick<LinkSessions, "find">,
  bans: Pick<Bans, "add">,
): Promise<Answer | undefined> {
  let { whom, session, by }: { whom?: string | undefined; session?: string; by?: string } = of;
  try {
    if (session !== undefined) {
      const found = sessions.find(session);
      if (!found) return refusal(id, NO_SESSION, session);
      whom = found.whom(by ?? "address"); // a variable's code may throw
    }
    if (whom === undefined) return refusal(id, `the session has no ${by}`, session);
    await bans.add(whom, { ttlMs, reason });
    return done(id);
  } catch (cause) {
    return refusal(id, `not banned: ${messageOf(cause)}`, session);
  }
}

/** Takes a ban back, at all gateways. The answer comes when the registry has it no more. */
export async function unban({ id, whom }: UnbanRequest, bans: Pick<Bans, "remove">): Promise<Answer | undefined> {
  try {
    return (await bans.remove(whom)) ? done(id) : refusal(id, "no such ban");
  } catch (cause) {
    return refusal(id, `not unbanned: ${messageOf(cause)}`);
  }
}
