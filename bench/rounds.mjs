// The order of measuring: every round visits every mode, and in every mode all contestants one after the other, so that a
// slow minute of the machine meets all of them.
import { sample } from "./sample.mjs";

/**
 * @typedef {{ contestant: string, mode: string, samples: import("./sample.mjs").Sample[], fault?: string }} Series
 */

/**
 * @param {{ processes: import("./processes.mjs").Processes, tools: import("./compile.mjs").Tools }} bench
 * @param {readonly import("./field.mjs").Entrant[]} entrants
 * @param {import("./plans.mjs").Plan["series"][number]} plan
 * @param {(done: string) => void} tell progress
 * @returns {Promise<Series[]>}
 */
export async function runRounds(bench, entrants, plan, tell) {
  /** @type {Map<string, Series>} */
  const all = new Map();
  for (let round = 0; round < plan.rounds; round++) {
    for (const mode of plan.modes) {
      for (const entrant of rotated(entrants, round).filter((one) => canRun(one, mode, bench.tools))) {
        tell(`round ${round + 1}/${plan.rounds}  ${mode.title}  ${entrant.contestant.title}`);
        const key = `${entrant.contestant.name} ${mode.name}`;
        const series = all.get(key) ?? { contestant: entrant.contestant.name, mode: mode.name, samples: [] };
        all.set(key, series);
        await take(bench, { entrant, mode, plan, round }, series);
      }
    }
  }
  return [...all.values()];
}

/**
 * Adds one sample, or the fault that keeps the figure from being published.
 * @param {{ processes: import("./processes.mjs").Processes, tools: import("./compile.mjs").Tools }} bench
 * @param {{ entrant: import("./field.mjs").Entrant, mode: import("./modes.mjs").Mode,
 *   plan: { warmMs: number, windowMs: number }, round: number }} visit
 * @param {Series} series
 */
async function take(bench, { entrant, mode, plan, round }, series) {
  if (series.fault !== undefined) return;
  try {
    const { warmMs, windowMs } = plan;
    series.samples.push({ round, ...(await sample(bench, entrant, mode, { warmMs, windowMs })) });
  } catch (cause) {
    if (bench.processes.isStopping) throw cause;
    series.fault = cause instanceof Error ? cause.message : String(cause);
  }
}

const BULK_WARM_UP_MS = 1_000; // there are no operations to count

/**
 * Code has to be compiled and memory to be there before the first round. A fault is left to the rounds to find.
 * @param {{ processes: import("./processes.mjs").Processes, tools: import("./compile.mjs").Tools }} bench
 * @param {readonly import("./field.mjs").Entrant[]} entrants
 * @param {import("./plans.mjs").WarmUp} plan
 * @param {(done: string) => void} tell
 */
export async function warmUp(bench, entrants, { modes, ops, atMostMs }, tell) {
  for (const entrant of entrants) {
    tell(`warm-up  ${entrant.contestant.title}`);
    for (const mode of modes.filter((one) => canRun(entrant, one, bench.tools))) {
      const windowMs = mode.unit === "GB" ? BULK_WARM_UP_MS : atMostMs;
      await sample(bench, entrant, mode, { warmMs: 0, windowMs, maxOps: ops }).catch((cause) => {
        if (bench.processes.isStopping) throw cause;
      });
    }
  }
}

/** Nobody is always the first. @template T @param {readonly T[]} all @param {number} by */
function rotated(all, by) {
  const at = by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}

/**
 * @param {Pick<import("./field.mjs").Entrant, "contestant" | "lanes" | "maxConnections">} entrant
 * @param {import("./modes.mjs").Mode} mode
 * @param {import("./compile.mjs").Tools} tools
 */
export function canRun({ contestant: { modes }, lanes, maxConnections }, mode, tools) {
  if (mode.tls && tools.loadTls === undefined) return false;
  return mode.lane in lanes && mode.connections + mode.held <= maxConnections && (modes?.includes(mode.name) ?? true);
}
