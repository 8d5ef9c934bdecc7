/** The known word that was probably meant by a mistyped one, and undefined when none is close. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const lower = word.toLowerCase().slice(0, MAX_COMPARED);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(lower.length / LETTERS_PER_FAULT)) + 1;
  for (const candidate of known) {
    const faults = distance(lower, candidate.toLowerCase().slice(0, MAX_COMPARED));
    if (faults >= least) continue;
    best = candidate;
    least = faults;
  }
  return best;
}

/** A third of the letters may be wrong: enough for slips, too little to join words of another meaning. */
const LETTERS_PER_FAULT = 3;

/** Keys and names are shorter; a bound keeps the square of it small. */
const MAX_COMPARED = 64;

/** Letters to insert, delete, replace or swap with their neighbour (optimal string alignment). */
function distance(left: string, right: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row++) {
    const current = [row];
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1] ? 0 : 1;
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      const ways = [at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + same];
      if (swapped) ways.push(at(beforeLast, column - 2) + 1);
      current.push(Math.min(...ways));
    }
    beforeLast = last;
    last = current;
  }
  return at(last, right.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY;
}
