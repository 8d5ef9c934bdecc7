// From samples to figures: medians, spread, and ratios within each round.

/**
 * @typedef {object} Figure
 * @property {string} contestant
 * @property {string} mode
 * @property {number} cpuNsPerUnit median
 * @property {number} minCpuNsPerUnit
 * @property {number} spread (largest - smallest) / median of the CPU time
 * @property {number} unitsPerS median
 * @property {number} p50Ns
 * @property {number} p99Ns
 * @property {number} p999Ns medians over rounds
 * @property {number | undefined} cpuRatio CPU time of the base / own, median over rounds: above 1 is cheaper than the base
 * @property {number | undefined} speedRatio own throughput / that of the base
 */

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  if (upper === undefined) return Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? upper)) / 2 : upper;
}

/** (largest - smallest) / median. @param {readonly number[]} values */
export function spread(values) {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/**
 * Series with a fault, and those never run, have no figure.
 * @param {readonly import("./rounds.mjs").Series[]} series
 * @param {string} base name of the contestant that ratios are against
 * @returns {Figure[]}
 */
export function figuresOf(series, base) {
  const sound = series.filter(({ fault, samples }) => fault === undefined && samples.length > 0);
  return sound.map(({ contestant, mode, samples }) => {
    const reference = sound.find((other) => other.contestant === base && other.mode === mode)?.samples ?? [];
    const of = (/** @type {keyof import("./sample.mjs").Sample} */ key) => samples.map((sample) => sample[key]);
    return {
      contestant,
      mode,
      cpuNsPerUnit: median(of("cpuNsPerUnit")),
      minCpuNsPerUnit: Math.min(...of("cpuNsPerUnit")),
      spread: spread(of("cpuNsPerUnit")),
      unitsPerS: median(of("unitsPerS")),
      p50Ns: median(of("p50Ns")),
      p99Ns: median(of("p99Ns")),
      p999Ns: median(of("p999Ns")),
      cpuRatio: ratio(samples, reference, (own, other) => other.cpuNsPerUnit / own.cpuNsPerUnit),
      speedRatio: ratio(samples, reference, (own, other) => own.unitsPerS / other.unitsPerS),
    };
  });
}

/**
 * The median of ratios, each between two samples of one round.
 * @param {readonly import("./sample.mjs").Sample[]} own
 * @param {readonly import("./sample.mjs").Sample[]} reference
 * @param {(own: import("./sample.mjs").Sample, other: import("./sample.mjs").Sample) => number} divide
 */
function ratio(own, reference, divide) {
  const ratios = own.flatMap((sample) => {
    const other = reference.find(({ round }) => round === sample.round);
    return other === undefined ? [] : [divide(sample, other)];
  });
  return ratios.length === 0 ? undefined : median(ratios);
}
