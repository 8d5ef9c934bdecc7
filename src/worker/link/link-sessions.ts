import { stageOf } from "../../stream/bans/stage-of.ts";
import { whomBy } from "../../stream/bans/whom.ts";
import type { Connection } from "../../stream/connection.ts";
import { type LiveSession, liveSession } from "../live-session.ts";

/** Why bytes did not get to a session. */
export type PushRefusal = "no such session" | "relayed without filters" | "slow" | `not in the ${string} phase`;

/** A session as a page of sessions shows it. */
export interface LinkSessionRow extends LiveSession {
  readonly tags: readonly string[];
}

/** A session that game servers can reach. */
export interface LinkSession {
  readonly id: string;
  /** Counts the sessions of the process: later ones have higher numbers. */
  readonly number: number;
  readonly tags: readonly string[];
  /** Whom a ban of it means, by one of its keys: `address`, `subnet`, `clientId`, … Undefined: it has none such. */
  whom(by: string): string | undefined;
  /** What an operator sees of it, and its tags. */
  row(): LinkSessionRow;
  /** Sends bytes to its client; undefined: they are on their way. */
  push(bytes: Uint8Array): PushRefusal | undefined;
}

/** The sessions of this process, as far as links need to know them. */
export interface LinkSessions {
  /** Asked for each push: an index, where there are many sessions. */
  find(id: string): LinkSession | undefined;
  /** In the order of their numbers. Those that come or go meanwhile may be in it or not. */
  list(): Iterable<LinkSession>;
  /** Ends one at once; its end cause is `killed`. False: there is none. */
  kill(id: string): boolean;
}

/** Pushed bytes that one client may be behind: four relay buffers. A client that does not read must not fill our memory. */
const MAX_WAITING_BYTES = 262_144;

/** Words that a session may have at most, and characters of each: a page shows them all. */
const MAX_TAGS = 64;
const MAX_TAG_LENGTH = 128;

/** Pushed bytes of content handlers' sessions that are not with the kernel. */
const waiting = new WeakMap<Connection, number>();

/** How game servers see a session. */
export function linkSession(session: Connection): LinkSession {
  return {
    id: session.id,
    number: session.number,
    get tags() {
      return tagsOf(session);
    },
    whom: (by) => whomBy(session, by, stageOf(session))?.text,
    row: () => ({ ...liveSession(session), tags: tagsOf(session) }),
    push: (bytes) => push(session, bytes),
  };
}

/** What hooks have put into `session.ctx.tags`: a list of texts. Anything else counts as none. */
export function tagsOf({ ctx }: Pick<Connection, "ctx">): readonly string[] {
  const tags: unknown = "tags" in ctx ? ctx.tags : undefined;
  return Array.isArray(tags) ? tags.slice(0, MAX_TAGS).filter(isTag) : [];
}

function isTag(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TAG_LENGTH;
}

/** Only where JavaScript has the client's bytes already, between two writes of it: anywhere else they would break a message. */
function push(session: Connection, bytes: Uint8Array): PushRefusal | undefined {
  if (session.isOver) return "no such session";
  switch (session.phase) {
    case "content":
      return isSlow(session, bytes) ? "slow" : write(session, bytes);
    case "bodyFilter":
    case "headerFilter":
      return isSlow(session, bytes) ? "slow" : inject(session, bytes);
    case "proxy":
      return "relayed without filters";
    default:
      return `not in the ${session.phase} phase`;
  }
}

function isSlow(session: Connection, { length }: Uint8Array): boolean {
  const behind = Math.max(waiting.get(session) ?? 0, session.client.inlet.stream.writableLength);
  return behind > 0 && behind + length > MAX_WAITING_BYTES; // one push alone may be larger
}

function write(session: Connection, bytes: Uint8Array): undefined {
  waiting.set(session, (waiting.get(session) ?? 0) + bytes.length);
  const settle = (): void => void waiting.set(session, (waiting.get(session) ?? 0) - bytes.length);
  session.write(bytes).then(settle, settle); // a client that is gone ends its session by itself
}

function inject(session: Connection, bytes: Uint8Array): undefined {
  session.inject("client", bytes);
}
