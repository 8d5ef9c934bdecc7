/** Of an equal share, everybody has at least this part, so that he can begin again. */
const MIN_PARTS = 1 / 8;

/** What one of several would like to have. */
export interface Want {
  /** Of what is divided; infinity: as much as there is. */
  readonly amount: number;
  /** Sessions that want it: who has twice as many gets twice as much, where there is not enough for all. */
  readonly weight: number;
}

/**
 * Divides an amount among those who share it: by how many want it, but what some do not want goes to the others. The sum is the
 * amount, or less by rounding errors; nobody has less than an eighth of an equal share.
 */
export function divide(amount: number, wants: readonly Want[]): readonly number[] {
  const least = (amount / wants.length) * MIN_PARTS;
  const more = wants.map((want) => ({ ...want, amount: Math.max(want.amount - least, 0) }));
  const shares = more.map(() => least);
  const order = more.map((_, place) => place).sort((one, other) => urgency(more[one]) - urgency(more[other]));
  let left = amount - least * wants.length;
  let weights = more.reduce((sum, { weight }) => sum + weight, 0);
  for (const place of order) {
    const { amount: wanted, weight } = more[place] ?? { amount: 0, weight: 0 };
    const share = Math.min(wanted, (left * weight) / weights);
    shares[place] = least + share;
    left -= share;
    weights -= weight;
  }
  const rest = Math.max(left, 0) / shares.length; // nobody wants it now, but whoever comes first may have it
  return shares.map((share) => share + rest);
}

function urgency({ amount, weight }: Want = { amount: 0, weight: 1 }): number {
  return amount / weight;
}
