// How numbers are written.

const NS_PER_US = 1e3;
const NS_PER_MS = 1e6;

/** A number with about three digits. @param {number} value */
export function short(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** CPU time per unit. @param {number} ns @param {"GB" | "op"} unit */
export function cost(ns, unit) {
  return unit === "GB" ? `${short(ns / NS_PER_MS)} ms/GB` : `${short(ns / NS_PER_US)} µs`;
}

/** Throughput. @param {number} unitsPerS @param {"GB" | "op"} unit */
export function speed(unitsPerS, unit) {
  return unit === "GB" ? `${short(unitsPerS)} GB/s` : `${Math.round(unitsPerS).toLocaleString("en")}/s`;
}

/** @param {number | undefined} value */
export function times(value) {
  return value === undefined ? "–" : value.toFixed(2);
}

/** p50, p99 and p99.9 in microseconds. @param {import("../figures.mjs").Figure} figure */
export function latencies({ p50Ns, p99Ns, p999Ns }) {
  return [p50Ns, p99Ns, p999Ns].map((ns) => Math.round(ns / NS_PER_US).toLocaleString("en")).join(" / ");
}
