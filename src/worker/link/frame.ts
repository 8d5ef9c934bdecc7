/** Version of the protocol, in every hello. Fields and types may be added to it; a change of what is there makes it 2. */
const LINK_VERSION = 1;

/** What a worker says of itself in its hello. */
export interface Announcement {
  /** Id of the worker: no two living ones share it. */
  readonly worker: number;
  /** Id of its master, which is that of the gateway. */
  readonly master: number;
  /** Where the gateway can be reached. */
  readonly address: string;
}

/** What a game server puts into a request to find the answer by. */
export type RequestId = string | number | bigint;

/** Frames from the gateway to a game server, as `docs/link.md` has them. */
export type Said =
  | ({ readonly type: "hello"; readonly version: number } & Announcement)
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "pong"; readonly id: RequestId | undefined }
  | { readonly type: "message"; readonly data: unknown }
  | Answer
  | { readonly type: "drain" }
  | { readonly type: "goodbye"; readonly reason: string };

/** The frame that announces a worker. */
export function helloOf(announcement: Announcement): Said {
  return { type: "hello", version: LINK_VERSION, ...announcement };
}

/** Frames that answer a request. */
export type Answer =
  | { readonly type: "done"; readonly id: RequestId; readonly sessions?: number; readonly refused?: number }
  | { readonly type: "refused"; readonly id?: RequestId; readonly session?: string; readonly reason: string }
  | {
      readonly type: "sessions";
      readonly id?: RequestId;
      readonly sessions: readonly object[];
      readonly next?: number;
    };

/** What a game server may ask for. */
export type Request =
  | { readonly kind: "push"; readonly id: RequestId | undefined; readonly session: string; readonly data: Uint8Array }
  | { readonly kind: "kick"; readonly id: RequestId | undefined; readonly session: string }
  | { readonly kind: "broadcast"; readonly id: RequestId | undefined; readonly tag: string; readonly data: Uint8Array }
  | BanRequest
  | UnbanRequest
  | {
      readonly kind: "sessions";
      readonly id: RequestId | undefined;
      readonly tag: string;
      readonly after: number;
      readonly limit: number;
    };

/** Whom a game server wants to be banned: a session of the worker, by its address or another key of it; or whom it names. */
export interface BanRequest {
  readonly kind: "ban";
  readonly id: RequestId | undefined;
  readonly of: { readonly session: string; readonly by: string } | { readonly whom: string };
  readonly ttlMs: number | undefined;
  readonly reason: string | undefined;
}

/** Whose ban a game server takes back. By value only: the sessions of the banned have ended. */
export interface UnbanRequest {
  readonly kind: "unban";
  readonly id: RequestId | undefined;
  readonly whom: string;
}

/** A frame from a game server, understood. */
export type Heard =
  | Request
  | { readonly kind: "welcome" }
  | { readonly kind: "ping"; readonly id: RequestId | undefined }
  | { readonly kind: "pong" }
  | { readonly kind: "message"; readonly id: RequestId | undefined; readonly data: unknown }
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "goodbye"; readonly reason: string }
  | { readonly kind: "wrong"; readonly id: RequestId | undefined; readonly reason: string };

/** All sessions: the tag of who names none. */
export const ANY_TAG = "*";

/** Rows of one page: as many as are asked for, 100 when nobody says, 500 at most, which are about 200 KB. */
export const PAGE_ROWS = 100;
export const MAX_PAGE_ROWS = 500;

/** A client's id may be longer than other texts: it is then known by its hash. */
const MAX_WHOM = 1_024;

/** What is echoed or shown in a log must not be as long as a frame. */
const MAX_TEXT = 128;

type Fields = Readonly<Record<string, unknown>>;

/** Reads what a codec has decoded. Never throws: a frame that means nothing is `wrong`, with the reason. */
export function readFrame(value: unknown): Heard {
  if (!isFields(value)) return { kind: "wrong", id: undefined, reason: "expected a map with a type" };
  const id = isId(value["id"]) ? value["id"] : undefined;
  const wrong = (reason: string): Heard => ({ kind: "wrong", id, reason });
  const { type } = value;
  if (!isText(type)) return wrong("type: expected text");
  if (id === undefined && isThere(value["id"])) return wrong("id: expected a number or a short text");
  const read = READERS.get(type)?.(value, id) ?? `unknown type ${JSON.stringify(type)}`;
  return typeof read === "string" ? wrong(read) : read;
}

/** Reads the fields of one type; a text says what is wrong with them. */
type ReadFields = (fields: Fields, id: RequestId | undefined) => Heard | string;

const READERS: ReadonlyMap<string, ReadFields> = new Map<string, ReadFields>([
  ["welcome", () => ({ kind: "welcome" })],
  ["ping", (_, id) => ({ kind: "ping", id })],
  ["pong", () => ({ kind: "pong" })],
  ["message", ({ data }, id) => ({ kind: "message", id, data })],
  ["refused", ({ reason }) => ({ kind: "refused", reason: reasonOf(reason) })],
  ["goodbye", ({ reason }) => ({ kind: "goodbye", reason: reasonOf(reason) })],
  ["push", readPush],
  ["kick", readKick],
  ["broadcast", readBroadcast],
  ["sessions", readSessions],
  ["ban", readBan],
  ["unban", readUnban],
]);

function readPush({ session, data }: Fields, id: RequestId | undefined): Request | string {
  const bytes = bytesOf(data);
  if (!isText(session)) return "session: expected text";
  return bytes ? { kind: "push", id, session, data: bytes } : "data: expected bytes or text";
}

function readKick({ session }: Fields, id: RequestId | undefined): Request | string {
  return isText(session) ? { kind: "kick", id, session } : "session: expected text";
}

/** The tag must be said: a field left out must not reach everybody. */
function readBroadcast({ tag, data }: Fields, id: RequestId | undefined): Request | string {
  const bytes = bytesOf(data);
  if (!isText(tag)) return "tag: expected text";
  return bytes ? { kind: "broadcast", id, tag, data: bytes } : "data: expected bytes or text";
}

function readSessions(fields: Fields, id: RequestId | undefined): Request | string {
  const { tag, after, limit } = fields;
  if (isThere(tag) && !isText(tag)) return "tag: expected text";
  if (isThere(after) && !isCount(after)) return "after: expected the `next` of a page";
  if (isThere(limit) && !isCount(limit)) return "limit: expected a whole number";
  const rows = isCount(limit) && limit > 0 ? Math.min(limit, MAX_PAGE_ROWS) : PAGE_ROWS;
  return { kind: "sessions", id, tag: isText(tag) ? tag : ANY_TAG, after: isCount(after) ? after : 0, limit: rows };
}

function readBan(fields: Fields, id: RequestId | undefined): Request | string {
  const { ttl_ms, reason } = fields;
  const of = readBanned(fields);
  if (typeof of === "string") return of;
  if (isThere(ttl_ms) && !(typeof ttl_ms === "number" && ttl_ms > 0)) return "ttl_ms: expected more than 0";
  if (isThere(reason) && !isText(reason)) return "reason: expected text";
  const ttlMs = typeof ttl_ms === "number" ? ttl_ms : undefined;
  return { kind: "ban", id, of, ttlMs, reason: isText(reason) ? reason : undefined };
}

function readUnban({ whom }: Fields, id: RequestId | undefined): Request | string {
  return isWhom(whom) ? { kind: "unban", id, whom } : "whom: expected text";
}

/** One of the two must be said, and not both. */
function readBanned({ session, by, whom }: Fields): BanRequest["of"] | string {
  if (isThere(whom)) {
    if (isThere(session) || isThere(by)) return "whom: expected no session beside it";
    return isWhom(whom) ? { whom } : "whom: expected text";
  }
  if (!isText(session)) return "session: expected text";
  if (isThere(by) && !isText(by)) return "by: expected text";
  return { session, by: isText(by) ? by : "address" };
}

/** Some languages cannot leave a field out. */
function isThere(field: unknown): boolean {
  return field !== undefined && field !== null;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && "type" in value;
}

function isId(value: unknown): value is RequestId {
  if (typeof value === "string") return value.length <= MAX_TEXT;
  return typeof value === "number" || typeof value === "bigint";
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_TEXT;
}

function isWhom(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_WHOM;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** Text is UTF-8. */
function bytesOf(value: unknown): Uint8Array | undefined {
  if (typeof value === "string") return Buffer.from(value);
  return value instanceof Uint8Array ? value : undefined;
}

function reasonOf(reason: unknown): string {
  return isText(reason) ? reason : "no reason";
}
