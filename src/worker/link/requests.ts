import { setImmediate as turn } from "node:timers/promises";
import { ANY_TAG, type Answer, type BanRequest, type Request, type RequestId, type UnbanRequest } from "./frame.ts";
import type { LinkSession, LinkSessions } from "./link-sessions.ts";

/** Sessions looked at before others get their turn: below a millisecond of work. */
const SESSIONS_PER_TURN = 500;

/** Sessions looked at for one page: a tag that hardly anybody has must not cost a pass over all. */
const SESSIONS_PER_PAGE = 5_000;

/** It has ended, or is another worker's. */
export const NO_SESSION = "no such session";

type Of<Kind extends Request["kind"]> = Extract<Request, { readonly kind: Kind }>;

/**
 * Does what a game server asks for, on the sessions of this process: at once, or later where many sessions are to be reached.
 * Undefined: done, and the server did not ask to hear of it; a refusal it always hears.
 */
export function perform(
  request: Exclude<Request, BanRequest | UnbanRequest>,
  sessions: LinkSessions,
): Answer | undefined | Promise<Answer | undefined> {
  switch (request.kind) {
    case "push":
      return push(request, sessions);
    case "kick":
      return sessions.kill(request.session) ? done(request.id) : refusal(request.id, NO_SESSION, request.session);
    case "broadcast":
      return broadcast(request, sessions);
    case "sessions":
      return page(request, sessions);
    default:
      return request satisfies never;
  }
}

/** The answer to what is done, where there should be one. */
export function done(id: RequestId | undefined): Answer | undefined {
  return id === undefined ? undefined : { type: "done", id };
}

/** The answer to what cannot be done. */
export function refusal(id: RequestId | undefined, reason: string, session?: string): Answer {
  return { type: "refused", ...(id !== undefined && { id }), ...(session !== undefined && { session }), reason };
}

function push(request: Of<"push">, sessions: LinkSessions): Answer | undefined {
  const session = sessions.find(request.session);
  const reason = session ? session.push(request.data) : NO_SESSION;
  return reason === undefined ? done(request.id) : refusal(request.id, reason, request.session);
}

/** Sessions that come meanwhile may get it or not. */
async function broadcast({ id, tag, data }: Of<"broadcast">, sessions: LinkSessions): Promise<Answer | undefined> {
  const counts = { sessions: 0, refused: 0 };
  let looked = 0;
  for (const session of sessions.list()) {
    if (has(session, tag)) counts[session.push(data) === undefined ? "sessions" : "refused"]++;
    if (++looked % SESSIONS_PER_TURN === 0) await turn();
  }
  return id === undefined ? undefined : { type: "done", id, ...counts };
}

/** A page may be short, or empty, and have a `next` all the same. */
async function page({ id, tag, after, limit }: Of<"sessions">, sessions: LinkSessions): Promise<Answer> {
  const rows: object[] = [];
  const answer = { type: "sessions", ...(id !== undefined && { id }), sessions: rows } as const;
  let passed = 0;
  let looked = 0;
  for (const session of sessions.list()) {
    if (++passed % SESSIONS_PER_TURN === 0) await turn(); // those of earlier pages cost time, too
    if (session.number <= after) continue;
    if (has(session, tag)) rows.push(session.row());
    if (rows.length === limit || ++looked === SESSIONS_PER_PAGE) return { ...answer, next: session.number };
  }
  return answer;
}

function has(session: LinkSession, tag: string): boolean {
  return tag === ANY_TAG || session.tags.includes(tag);
}
