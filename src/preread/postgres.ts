import { asBuffer } from "../codecs/as-buffer.ts";
import { goodbyePostgres } from "../codecs/goodbye/postgres.ts";
import { refusePostgres } from "../codecs/refusal/postgres.ts";
import { type Condition, exampleOf, fulfils } from "./condition.ts";
import { perBytes } from "./per-bytes.ts";
import { match, mismatch, more, type Sniffer, type Verdict } from "./sniffer.ts";

/** What `postgres()` learned. Requests for encryption come before the startup message and name nobody. */
export type PostgresInfo =
  | { readonly kind: "ssl" }
  | { readonly kind: "gssenc" }
  /** Its process id and secret key are not told: who knows them can cancel a stranger's query. */
  | { readonly kind: "cancel" }
  | {
      readonly kind: "startup";
      /** `"3.0"`; PostgreSQL 18 also speaks `"3.2"`. */
      readonly version: string;
      readonly user: string;
      /** The user's name when the client named none, as the server does. */
      readonly database: string;
      readonly applicationName: string | undefined;
    };

/** Tests on a startup message; all that are given must hold. With any of them, nothing but a startup message matches. */
export interface PostgresConditions {
  readonly user?: Condition;
  readonly database?: Condition;
}

const HEADER = 8; // length and code, 4 bytes each
const SSL = 80877103;
const GSSENC = 80877104;
const CANCEL = 80877102;
const MAJOR = 3;
const MAX_STARTUP = 10_004; // PostgreSQL's MAX_STARTUP_PACKET_LENGTH of 10,000 does not count the length field
const MIN_STARTUP = HEADER + "user\0x\0\0".length;
const MIN_CANCEL = HEADER + 4 + 1; // process id and a key, which had 4 bytes before protocol 3.2 …
const MAX_CANCEL = HEADER + 4 + 256; // … and may have 256 since

/** PostgreSQL: the client speaks first with a startup message, or asks for encryption or a cancel before it. */
export function postgres(conditions: PostgresConditions = {}): Sniffer<"postgres", PostgresInfo> {
  const user = conditions.user === undefined ? undefined : fulfils(conditions.user);
  const database = conditions.database === undefined ? undefined : fulfils(conditions.database);
  const accepts = (info: PostgresInfo): boolean =>
    info.kind === "startup" ? (user?.(info.user) ?? true) && (database?.(info.database) ?? true) : !user && !database;
  const judge = (head: Uint8Array): Verdict<PostgresInfo> => {
    const verdict = requestOf(head);
    return verdict.kind !== "match" || accepts(verdict.info) ? verdict : mismatch;
  };
  const examples = examplesOf(conditions).filter((example) => judge(example).kind === "match");
  return { name: "postgres", examples, sniff: judge, refuse: refusePostgres, goodbye: goodbyePostgres };
}

const requestOf = perBytes(sniff);

function sniff(bytes: Uint8Array): Verdict<PostgresInfo> {
  const head = asBuffer(bytes);
  if (!begins(head)) return mismatch;
  if (head.length < HEADER) return more(head.length + 1);
  const length = head.readUInt32BE(0);
  const code = head.readUInt32BE(4);
  if (code === SSL) return length === HEADER ? match({ kind: "ssl" }) : mismatch;
  if (code === GSSENC) return length === HEADER ? match({ kind: "gssenc" }) : mismatch;
  if (code === CANCEL) return length >= MIN_CANCEL && length <= MAX_CANCEL ? match({ kind: "cancel" }) : mismatch;
  if (code >>> 16 !== MAJOR || length < MIN_STARTUP || length > MAX_STARTUP) return mismatch;
  if (head.length < length) return more(length);
  return startup(head.subarray(HEADER, length), `${MAJOR}.${code & 0xffff}`);
}

/** Tells other protocols by their first bytes: no length has one above 10,004, and each code begins with 00 03 or 04 D2 16. */
function begins(head: Uint8Array): boolean {
  const [a = 0, b = 0, c = 0, , e, f] = head;
  if (a !== 0 || b !== 0 || c > MAX_STARTUP >> 8) return false;
  if (e === undefined) return true;
  return e === 0x00 ? f === undefined || f === MAJOR : e === 0x04 && (f === undefined || f === 0xd2);
}

/** Names and values, each ended by NUL, and a NUL as the last byte of all. */
function startup(body: Buffer, version: string): Verdict<PostgresInfo> {
  if (body.at(-1) !== 0 || body.at(-2) !== 0) return mismatch;
  const fields = body.toString("utf8", 0, body.length - 2).split("\0");
  const parameters = new Map<string, string>();
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index];
    const value = fields[index + 1];
    if (!name || value === undefined) return mismatch; // an empty name would be the end, before the last byte
    parameters.set(name, value);
  }
  const user = parameters.get("user");
  if (!user) return mismatch; // the server refuses it, too
  const database = parameters.get("database") || user;
  return match({ kind: "startup", version, user, database, applicationName: parameters.get("application_name") });
}

function examplesOf({ user, database }: PostgresConditions): Buffer[] {
  const name = exampleOf(user, "postgres");
  const body = `user\0${name}\0database\0${exampleOf(database, name)}\0\0`;
  return [packet(MAJOR << 16, Buffer.from(body)), packet(SSL), packet(GSSENC), packet(CANCEL, Buffer.alloc(8))];
}

function packet(code: number, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32BE(HEADER + body.length, 0);
  header.writeUInt32BE(code, 4);
  return Buffer.concat([header, body]);
}
