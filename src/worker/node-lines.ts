/** Ends of Node's lines, as its release schedule has them. Odd lines end half a year after they begin. */
const ENDS: ReadonlyMap<number, string> = new Map([
  [20, "2026-04-30"],
  [21, "2024-06-01"],
  [22, "2027-04-30"],
  [23, "2025-06-01"],
  [24, "2028-04-30"],
  [25, "2026-06-01"],
  [26, "2029-04-30"],
]);

/** The day when fixes for this version of Node ended; undefined while they go on, and for lines yet unknown. */
export function endOfNodeLine(version: string, now: Date): string | undefined {
  const end = ENDS.get(Number(version.split(".")[0]));
  return end !== undefined && now > new Date(`${end}T23:59:59Z`) ? end : undefined;
}
