/** Who has moved nearly all that it was allowed may want any amount. */
const SATED_PARTS = 0.9;

/** Who has moved less is allowed twice as much … */
const GROWTH = 2;

/** … and at least this part of an equal share, so that it can begin again. */
const MIN_PARTS = 1 / 8;

/** What one of several has moved since the last division. */
export interface Use {
  /** Per second; undefined: it is new. */
  readonly moved: number | undefined;
  /** What it was allowed. */
  readonly allowed: number;
}

/**
 * Divides a rate among those who share it: equally, but what some do not use goes to the others. The sum is the rate, or less by
 * rounding errors; nobody has less than an eighth of an equal share.
 */
export function divide(rate: number, uses: readonly Use[]): readonly number[] {
  const equal = rate / uses.length;
  const wants = uses.map((use) => wantOf(use, equal));
  const shares = wants.map(() => 0);
  const order = wants.map((_, place) => place).sort((one, other) => (wants[one] ?? 0) - (wants[other] ?? 0));
  let left = rate;
  order.forEach((place, before) => {
    const share = Math.min(wants[place] ?? 0, left / (order.length - before));
    shares[place] = share;
    left -= share;
  });
  const rest = left > 0 ? left / shares.length : 0; // nobody wants it now, but whoever comes first may have it
  return shares.map((share) => share + rest);
}

function wantOf({ moved, allowed }: Use, equal: number): number {
  if (moved === undefined || moved >= allowed * SATED_PARTS) return Number.POSITIVE_INFINITY;
  return Math.max(moved * GROWTH, equal * MIN_PARTS);
}
