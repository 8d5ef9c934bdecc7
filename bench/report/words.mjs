// How numbers are written.

const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;

/** A number with about three digits. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** CPU time per unit: the median, smallest and largest. @param {import("../figures.mjs").Range} range @param {"GB" | "op"} unit */
export function cost(range, unit) {
  const [divisor, name] = unit === "GB" ? [NS_PER_MS, "ms/GB"] : [NS_PER_US, "µs"];
  return `${ranged(range, (ns) => short(ns / divisor))} ${name}`;
}

/** Throughput. @param {number} unitsPerS @param {"GB" | "op"} unit */
export function speed(unitsPerS, unit) {
  return unit === "GB" ? `${short(unitsPerS)} GB/s` : `${Math.round(unitsPerS).toLocaleString("en")}/s`;
}

/** A ratio. @param {number | undefined} value */
export function times(value) {
  return value === undefined ? "–" : value.toFixed(2);
}

/**
 * A median, and the smallest and largest where they differ from it.
 * @param {import("../figures.mjs").Range} range
 * @param {(value: number) => string} written
 */
export function ranged({ median, min, max }, written) {
  const [middle, low, high] = [median, min, max].map(written);
  return low === high ? middle : `${middle} (${low}–${high})`;
}

/** p50, p99 and p99.9 in microseconds. @param {import("../figures.mjs").Figure} figure */
export function latencies({ p50Ns, p99Ns, p999Ns }) {
  return [p50Ns, p99Ns, p999Ns].map(({ median }) => Math.round(median / NS_PER_US).toLocaleString("en")).join(" / ");
}
