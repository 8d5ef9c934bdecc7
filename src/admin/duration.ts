/** Milliseconds of each unit. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
  ["d", 86_400_000],
]);

/** Reads a time as people type it: `90s`, `10m`, `1.5h`, `30d`. Undefined: it is none. */
export function durationMs(text: string): number | undefined {
  const [, count = "", unit = ""] = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(count) * (UNITS.get(unit) ?? 0);
  return ms > 0 ? ms : undefined;
}
