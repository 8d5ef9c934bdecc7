/** Somebody who wants a lock. */
export interface Turn {
  readonly token: string;
  /** How long the lock is to be held at most, from the moment it is given. */
  readonly exptimeMs: number;
}

/**
 * A lock that is held: who has it, until when (milliseconds of the machine's clock), and who comes after: a line for each
 * `Turn`, in order. Lines stay text: with a long queue, taking it apart at each step would be most of the work.
 */
export interface LockRecord {
  readonly owner: string;
  readonly expiresAt: number;
  readonly waiting: string;
}

/** What a step depends on besides the record. */
export interface Moment {
  readonly now: number;
  hasEnded(token: string): boolean;
}

/** One more than this is turned away: a record is copied with each step, and must stay small. */
export const MAX_WAITING = 1_000;

/** A lock as the dictionary keeps it: the owner's line, then those of the waiters. */
export function encodeRecord({ owner, expiresAt, waiting }: LockRecord): string {
  return `${owner} ${expiresAt}\n${waiting}`;
}

/** @throws TypeError for a value that somebody else has put in the lock's place */
export function decodeRecord(text: unknown, key: string): LockRecord {
  const [line, waiting] = firstLine(String(text));
  const { token: owner, exptimeMs: expiresAt } = decodeTurn(line);
  if (Number.isNaN(expiresAt)) throw new TypeError(`"${key}" holds a value that is no lock`);
  return { owner, expiresAt, waiting };
}

/** Whether somebody stands in the queue. */
export function isWaiting({ waiting }: LockRecord, token: string): boolean {
  return placeOf(waiting, token) >= 0;
}

/** Everybody who stands in the queue. */
export function waitingTokens({ waiting }: LockRecord): ReadonlySet<string> {
  return new Set(waiting.split("\n").map((line) => decodeTurn(line).token));
}

function encodeTurn({ token, exptimeMs }: Turn): string {
  return `${token} ${exptimeMs}\n`;
}

function decodeTurn(line: string): Turn {
  const space = line.indexOf(" ");
  return { token: line.slice(0, space), exptimeMs: space > 0 ? Number(line.slice(space + 1)) : Number.NaN };
}

function firstLine(lines: string): [string, string] {
  const end = lines.indexOf("\n");
  return end < 0 ? [lines, ""] : [lines.slice(0, end), lines.slice(end + 1)];
}

function placeOf(waiting: string, token: string): number {
  if (waiting.startsWith(`${token} `)) return 0;
  const before = waiting.indexOf(`\n${token} `);
  return before < 0 ? -1 : before + 1;
}

/** The lock after what time and death have done to it: undefined is free. */
export function settled(record: LockRecord | undefined, moment: Moment): LockRecord | undefined {
  if (record === undefined) return undefined;
  const isOver = record.expiresAt <= moment.now || moment.hasEnded(record.owner);
  return isOver ? givenToNext(record.waiting, moment) : record;
}

/** The lock after somebody has asked for it: theirs, or with them as the last in the queue; full, it stays as it is. */
export function asked(record: LockRecord | undefined, turn: Turn, moment: Moment): LockRecord {
  const now = settled(record, moment);
  if (now === undefined) return given(turn, "", moment);
  if (now.waiting.split("\n").length > MAX_WAITING) return now;
  return { ...now, waiting: now.waiting + encodeTurn(turn) };
}

/** The lock after its owner has let it go, or a waiter has left the queue. */
export function left(record: LockRecord | undefined, token: string, moment: Moment): LockRecord | undefined {
  if (record === undefined) return undefined;
  if (record.owner === token) return givenToNext(record.waiting, moment);
  const place = placeOf(record.waiting, token);
  if (place < 0) return record;
  const [, behind] = firstLine(record.waiting.slice(place));
  return { ...record, waiting: record.waiting.slice(0, place) + behind };
}

/** The lock after its owner has asked for more time; only an owner whose time is not over can. */
export function prolonged(
  record: LockRecord | undefined,
  { token, exptimeMs }: Turn,
  { now }: Moment,
): LockRecord | undefined {
  if (record?.owner !== token || record.expiresAt <= now) return record;
  return { ...record, expiresAt: now + exptimeMs };
}

/** Waiters whose process has ended are passed over. */
function givenToNext(waiting: string, moment: Moment): LockRecord | undefined {
  for (let rest = waiting; rest !== ""; ) {
    const [line, behind] = firstLine(rest);
    const turn = decodeTurn(line);
    if (!moment.hasEnded(turn.token)) return given(turn, behind, moment);
    rest = behind;
  }
  return undefined;
}

function given({ token, exptimeMs }: Turn, waiting: string, { now }: Moment): LockRecord {
  return { owner: token, expiresAt: now + exptimeMs, waiting };
}
