import { readJsonObject } from "../../codecs/json-object.ts";
import { type Whom, whomOf } from "./whom.ts";

/** A ban as hooks and operators see it. */
export interface Ban {
  /** `203.0.113.7`, `2001:db8::/32`, `clientId=bot-7`. */
  readonly whom: string;
  /** For people; the banned do not see it. */
  readonly reason?: string;
  /** When it was pronounced: ISO 8601. */
  readonly since?: string;
  /** When it ends; absent: it holds until it is taken back, or its key in the registry goes. */
  readonly until?: string;
}

/** How long and why somebody is banned. */
export interface BanOptions {
  /** Absent: for good. */
  readonly ttlMs?: number | undefined;
  readonly reason?: string | undefined;
}

/** A ban in the table: there may be very many, so it is as small as it can be. */
export interface HeldBan {
  /** As {@link Ban.whom}. */
  readonly whom: string;
  readonly reason: string | undefined;
  readonly since: string | undefined;
  /** Milliseconds since 1970, or infinity. By this process' own clock, so that it ends in time also while the registry is away. */
  readonly untilMs: number;
}

/** In front of {@link Ban.whom} in the registry. */
export const BAN_KEYS = "ban:";

/**
 * A sentence for people. It stands in a log line for each who is turned away. Counted as JSON writes it, so that 100,000 bans with reasons
 * as long as can be are below the 32 MiB that a process reads at once: a ban is 83 characters and its reason.
 */
export const MAX_REASON_CHARS = 240;

/** What others have written holds also where it is somewhat longer, or has signs that JSON writes with more. */
const MAX_READ_REASON_CHARS = 256;

/** A hundred years: who wants more means for good, and Redis takes no end that is much later. */
const MAX_TTL_MS = 3_155_760_000_000;

/** @throws TypeError for a time or a reason that a ban cannot have */
export function banOf(whom: Whom, { ttlMs = Number.POSITIVE_INFINITY, reason }: BanOptions, now: number): HeldBan {
  const isInTime = ttlMs > 0 && (ttlMs <= MAX_TTL_MS || ttlMs === Number.POSITIVE_INFINITY);
  if (!isInTime) throw new TypeError(`ttlMs: expected more than 0, and at most ${MAX_TTL_MS}, not ${ttlMs}`);
  if (reason !== undefined && !(isReason(reason) && JSON.stringify(reason).length - 2 <= MAX_REASON_CHARS))
    throw new TypeError(`reason: expected text of ${MAX_REASON_CHARS} characters at most, as JSON writes it`);
  return {
    whom: whom.text,
    reason: reason || undefined,
    since: new Date(now).toISOString(),
    untilMs: Math.ceil(now + ttlMs),
  };
}

/** What stands in the registry under the ban's key. */
export function banValue(ban: HeldBan): string {
  const { whom: _, ...said } = shownBan(ban);
  return JSON.stringify(said);
}

/** A ban out of the registry, which anybody may write; a text says why it is none. */
export function readBan(key: string, value: string): HeldBan | string {
  const text = key.slice(BAN_KEYS.length);
  const whom = whomOf(text);
  if (!whom) return "it names nobody";
  if (whom.text !== text) return `it is to be written as ${BAN_KEYS}${whom.text}`;
  const said = readJsonObject(value);
  if (!said) return "expected a JSON object";
  const { reason, since, until } = said;
  if (reason !== undefined && !isReason(reason)) return `reason: expected text of ${MAX_READ_REASON_CHARS} characters`;
  if (since !== undefined && !isTime(since)) return "since: expected a time";
  if (until !== undefined && !isTime(until)) return "until: expected a time";
  return {
    whom: whom.text,
    reason: reason || undefined,
    since,
    untilMs: until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until),
  };
}

/** For eyes. */
export function shownBan({ whom, reason, since, untilMs }: HeldBan): Ban {
  return {
    whom,
    ...(reason !== undefined && { reason }),
    ...(since !== undefined && { since }),
    ...(untilMs !== Number.POSITIVE_INFINITY && { until: new Date(untilMs).toISOString() }),
  };
}

function isReason(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_READ_REASON_CHARS;
}

/** No longer than a time needs, since it is kept. */
function isTime(value: unknown): value is string {
  return typeof value === "string" && value.length <= 40 && !Number.isNaN(Date.parse(value));
}
