import { bothWays, type Ways } from "../bucket.ts";
import { divide, type Want } from "./shares.ts";

/** What a key may move in one direction. */
export interface Rate {
  /** Bytes per second; infinity: no limit. */
  readonly rate: number;
  /** Bytes that may go at once. */
  readonly burst: number;
}

/** What one process has of a key's rate. */
export interface Holding {
  readonly token: string;
  /** Parts of the whole, from 0 to 1: of the rate, and of the burst. */
  readonly held: Ways<number>;
  /** What it would like to have, in parts of the whole. */
  readonly wants: Ways<Want>;
}

/** Who has what of a key's rate. The parts never sum up to more than the whole: who wants more waits until somebody has less. */
export interface RateBook {
  /** When `free` was right, by the machine's clock. */
  readonly atMs: number;
  /** Bytes that nobody has; below 0, they were used before they had come in. */
  readonly free: Ways<number>;
  readonly holdings: readonly Holding[];
}

const HOLDING_WORDS = 7;

/** Reads a book; undefined: there is none, and all is free. */
export function bookOf(text: unknown): RateBook | undefined | "foreign" {
  if (text === undefined) return undefined;
  const [head = "", ...rest] = typeof text === "string" ? text.split("|") : [];
  const [atMs = Number.NaN, up = Number.NaN, down = Number.NaN] = head.split(" ").map(Number);
  const holdings = rest.map(holdingOf).filter((holding) => holding !== undefined);
  const isWhole = !Number.isNaN(atMs + up + down) && holdings.length === rest.length;
  return isWhole ? { atMs, free: { up, down }, holdings } : "foreign";
}

function holdingOf(text: string): Holding | undefined {
  const [token = "", ...words] = text.split(" ");
  const [up = 0, down = 0, wantUp = 0, wantDown = 0, weightUp = 1, weightDown = 1] = words.map(Number);
  if (words.length !== HOLDING_WORDS - 1 || words.some((word) => Number.isNaN(Number(word)))) return undefined;
  const wants = { up: { amount: wantUp, weight: weightUp }, down: { amount: wantDown, weight: weightDown } };
  return { token, held: { up, down }, wants };
}

export function textOf({ atMs, free, holdings }: RateBook): string {
  const lines = holdings.map(({ token, held, wants: { up, down } }) =>
    [token, held.up, held.down, up.amount, down.amount, up.weight, down.weight].join(" "),
  );
  return [[atMs, free.up, free.down].join(" "), ...lines].join("|");
}

/** The part of the whole that nobody has. */
export function freePart(holdings: readonly Holding[], way: "up" | "down"): number {
  return Math.max(1 - holdings.reduce((sum, { held }) => sum + held[way], 0), 0);
}

/** The book as it is now: what nobody has comes in for nobody, up to its part of the burst. */
export function broughtUp(book: RateBook | undefined, rates: Ways<Rate>, now: number): RateBook {
  if (!book) return { atMs: now, free: bothWays((way) => burstOfPart(rates[way], 1)), holdings: [] };
  const seconds = Math.max(now - book.atMs, 0) / 1_000;
  const free = bothWays((way) => {
    const part = freePart(book.holdings, way);
    const came = isLimited(rates[way]) ? rates[way].rate * part * seconds : 0;
    return Math.min(book.free[way] + came, burstOfPart(rates[way], part));
  });
  return { ...book, atMs: now, free };
}

export function isLimited({ rate }: Rate): boolean {
  return rate !== Number.POSITIVE_INFINITY;
}

/** Where there is no limit, nothing is counted. */
export function burstOfPart(rate: Rate, part: number): number {
  return isLimited(rate) ? rate.burst * part : 0;
}

const ALL: readonly Ways<number>[] = [{ up: 1, down: 1 }];

/** The part that each of them should have. All who read the same book find the same. */
export function targets(holdings: readonly Holding[]): readonly Ways<number>[] {
  if (holdings.length === 1) return ALL; // most keys are in one process only
  const up = divide(
    1,
    holdings.map(({ wants }) => wants.up),
  );
  const down = divide(
    1,
    holdings.map(({ wants }) => wants.down),
  );
  return holdings.map((_, place) => ({ up: up[place] ?? 0, down: down[place] ?? 0 }));
}

/** How long it takes until all is there that there can be: a book that nobody is in may be forgotten then. */
export function untilFullMs({ free }: RateBook, rates: Ways<Rate>): number {
  const { up, down } = bothWays((way) => {
    const { rate, burst } = rates[way];
    return isLimited(rates[way]) ? ((burst - free[way]) * 1_000) / rate : 0;
  });
  return Math.max(up, down);
}
