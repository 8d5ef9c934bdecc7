import type { Sniffer, Verdict } from "../../preread/sniffer.ts";

/** What a sniffer says from some length on, until the next step. */
export interface Step {
  /** So many bytes were there when it first said this. */
  readonly size: number;
  readonly verdict: Verdict;
  /** It said so again and again, wanting the same number of bytes more each time. */
  readonly repeated: boolean;
}

/** Looks without leaving out any length; then the steps grow, or a sniffer that is hungry byte by byte costs n² for n bytes. */
const CLOSE_LOOKS = 32;

/**
 * Finds where a sniffer's verdict about growing bytes changes. A match or mismatch is found at its very first byte, since
 * no verdict is taken back; of the steps before, those of long inputs may be left out.
 */
export function traceOf(sniffer: Sniffer, bytes: Uint8Array): readonly Step[] {
  const sniff = (size: number): Verdict => sniffer.sniff(bytes.subarray(0, size));
  const steps: Step[] = [];
  let before = -1;
  let stride = 1;
  for (let size = 0, looks = 1; ; looks++) {
    const verdict = sniff(size);
    if (verdict.kind !== "more") {
      const decided = firstSize(before + 1, size, (candidate) => sniff(candidate).kind !== "more");
      return [...steps, { size: decided, verdict: sniff(decided), repeated: false }];
    }
    add(steps, { size, verdict, repeated: false });
    if (size === bytes.length) return steps;
    if (looks > CLOSE_LOOKS) stride *= 2;
    before = size;
    size = Math.min(bytes.length, Math.max(verdict.atLeast, size + stride));
  }
}

/** Joins a step to the one before when the sniffer waits for the same byte, or is as hungry as it was. */
function add(steps: Step[], step: Step): void {
  const last = steps.at(-1);
  if (last && wanted(last) === wanted(step)) return;
  if (last && hunger(last) === hunger(step)) steps[steps.length - 1] = { ...last, repeated: true };
  else steps.push(step);
}

function wanted({ verdict }: Step): number | undefined {
  return verdict.kind === "more" ? verdict.atLeast : undefined;
}

function hunger({ size, verdict }: Step): number {
  return verdict.kind === "more" ? verdict.atLeast - size : 0;
}

/** The smallest size, from `low` to `high`, at which `is` holds. It holds at `high`, and wherever it held before. */
function firstSize(low: number, high: number, is: (size: number) => boolean): number {
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (is(middle)) to = middle;
    else from = middle + 1;
  }
  return to;
}

/** The steps as people read them: `more(2) at 0 · more(14) at 2 · match at 14`. */
export function shownSteps(steps: readonly Step[]): string {
  return steps
    .map(({ size, verdict, repeated }) => {
      if (verdict.kind !== "more") return `${verdict.kind} at ${size}`;
      return repeated ? `more(+${verdict.atLeast - size}) from ${size}` : `more(${verdict.atLeast}) at ${size}`;
    })
    .join(" · ");
}
