import { BAN_KEYS, banValue, type HeldBan, readBan } from "../../stream/bans/ban.ts";

/** As many as are taken back between two snapshots of Redis' disk, and more: some 300 bytes each. The oldest are forgotten. */
const MAX_TAKEN_BACK = 10_000;

/**
 * So long a ban that comes is asked whether it was taken back before: whoever missed that may put it back within 15 s of its last
 * sight of Redis, and may take as long again to do so.
 */
const DOUBT_MS = 60_000;

/**
 * Bans that were taken back, or that others took the place of, as far as this worker has seen it. When Redis has older data they are
 * back in it, and must not hold again. They are told by all that they say, their moment included: a new ban of the same is another one.
 */
export class TakenBack {
  /** All that each says, and whom it meant. */
  readonly #bans = new Map<string, string>();
  /** Those that Redis had again when it came with older data, and has still: by whom they mean. */
  readonly #back = new Map<string, string>();
  #doubtUntil = Number.NEGATIVE_INFINITY;

  /** Redis may have older data: what is missing now may be so by accident, and what is there too. */
  get isInDoubt(): boolean {
    return performance.now() < this.#doubtUntil;
  }

  /** Somebody has taken it back, or another one has taken its place. */
  remember(ban: HeldBan): void {
    if (ban.untilMs <= Date.now()) return;
    const name = nameOf(ban);
    this.#bans.delete(name);
    this.#bans.set(name, ban.whom);
    if (this.#bans.size > MAX_TAKEN_BACK) this.#bans.delete(this.#bans.keys().next().value ?? "");
  }

  /** It holds after all. */
  forget(ban: HeldBan): void {
    if (this.#bans.size > 0) this.#bans.delete(nameOf(ban));
  }

  /** Redis is another process than before, or has lost its data, and has these keys. */
  doubt(found: ReadonlyMap<string, string>): void {
    this.#back.clear();
    for (const whom of new Set(this.#bans.values())) {
      const key = `${BAN_KEYS}${whom}`;
      const value = found.get(key);
      const ban = value === undefined ? undefined : readBan(key, value);
      if (typeof ban === "object" && this.#bans.has(nameOf(ban))) this.#back.set(whom, nameOf(ban));
    }
    this.#doubtUntil = performance.now() + DOUBT_MS;
  }

  /** Whom those mean that Redis had again when it came with older data. */
  get back(): readonly string[] {
    return [...this.#back.keys()];
  }

  /** Redis had such a ban again when it came with older data. */
  isBack(whom: string): boolean {
    return this.#back.has(whom);
  }

  /** Redis has it no more: whoever writes it by hand from now on means it. */
  isOut(whom: string): void {
    this.#back.delete(whom);
  }

  /**
   * True: the ban is one of older data. Whatever says when it was pronounced is that for sure; what was written by hand, and does not,
   * may have been written again, unless it was there from the start.
   */
  has(ban: HeldBan): boolean {
    if (this.#bans.size === 0 || !this.isInDoubt) return false;
    const name = nameOf(ban);
    return ban.since === undefined ? this.#back.get(ban.whom) === name : this.#bans.has(name);
  }
}

function nameOf(ban: HeldBan): string {
  return `${BAN_KEYS}${ban.whom} ${banValue(ban)}`;
}
