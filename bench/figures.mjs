// From samples to figures: medians, spread, and ratios within each round.

/**
 * @typedef {{ median: number, min: number, max: number }} Range over the rounds of a run
 * @typedef {object} Figure
 * @property {string} contestant
 * @property {string} mode
 * @property {Range} cpuNsPerUnit
 * @property {Range} unitsPerS
 * @property {Range} p50Ns
 * @property {Range} p99Ns
 * @property {Range} p999Ns
 * @property {Range | undefined} cpuRatio CPU time of the base / own: above 1 is cheaper than the base
 * @property {Range | undefined} wideRatio the same against the base with the larger buffers
 * @property {Range | undefined} speedRatio own throughput / that of the base
 * @property {Range | undefined} p99Ratio own p99 / that of the base: below 1 is shorter
 */

/** @param {readonly number[]} values */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)];
  if (upper === undefined) return Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? upper)) / 2 : upper;
}

/** @param {readonly number[]} values @returns {Range} */
export function rangeOf(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * Series with a fault, and those never run, have no figure.
 * @param {readonly import("./rounds.mjs").Series[]} series
 * @param {{ base: string, wideBase: string }} bases names of the contestants that ratios are against
 * @returns {Figure[]}
 */
export function figuresOf(series, { base, wideBase }) {
  const sound = series.filter(({ fault, samples }) => fault === undefined && samples.length > 0);
  const samplesOf = (/** @type {string} */ name, /** @type {string} */ mode) =>
    sound.find((one) => one.contestant === name && one.mode === mode)?.samples ?? [];
  return sound.map(({ contestant, mode, samples }) => {
    const reference = samplesOf(base, mode);
    const of = (/** @type {keyof import("./sample.mjs").Sample} */ key) =>
      rangeOf(samples.map((sample) => sample[key]));
    return {
      contestant,
      mode,
      cpuNsPerUnit: of("cpuNsPerUnit"),
      unitsPerS: of("unitsPerS"),
      p50Ns: of("p50Ns"),
      p99Ns: of("p99Ns"),
      p999Ns: of("p999Ns"),
      cpuRatio: ratio(samples, reference, cheaper),
      wideRatio: ratio(samples, samplesOf(wideBase, mode), cheaper),
      speedRatio: ratio(samples, reference, (own, other) => own.unitsPerS / other.unitsPerS),
      p99Ratio: ratio(samples, reference, (own, other) => own.p99Ns / other.p99Ns),
    };
  });
}

/** @typedef {import("./sample.mjs").Sample} Sample */

/** @param {Sample} own @param {Sample} other */
function cheaper(own, other) {
  return other.cpuNsPerUnit / own.cpuNsPerUnit;
}

/**
 * Ratios, each between two samples of one round. Bulk has no latencies, so their ratio is none.
 * @param {readonly Sample[]} own
 * @param {readonly Sample[]} reference
 * @param {(own: Sample, other: Sample) => number} divide
 */
function ratio(own, reference, divide) {
  const ratios = own.flatMap((sample) => {
    const other = reference.find(({ round }) => round === sample.round);
    return other === undefined ? [] : [divide(sample, other)];
  });
  const real = ratios.filter(Number.isFinite);
  return real.length === 0 ? undefined : rangeOf(real);
}
