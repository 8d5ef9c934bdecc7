// One window: what a contestant did, and what it cost.
import { runLoad } from "./load.mjs";
import { Meter } from "./meter.mjs";

const BYTES_PER_GB = 1e9;
const MAX_FAILED_SHARE = 0.001; // of operations; a contestant that drops more did not do the job

/**
 * @typedef {object} Sample
 * @property {number} round
 * @property {number} cpuNsPerUnit
 * @property {number} unitsPerS
 * @property {number} p50Ns
 * @property {number} p99Ns
 * @property {number} p999Ns
 */

/**
 * @param {{ processes: import("./processes.mjs").Processes, tools: import("./compile.mjs").Tools }} bench
 * @param {import("./field.mjs").Entrant} entrant
 * @param {import("./modes.mjs").Mode} mode
 * @param {{ warmMs: number, windowMs: number, maxOps?: number }} times
 * @returns {Promise<Omit<Sample, "round">>}
 */
export async function sample({ processes, tools }, entrant, mode, times) {
  const tool = mode.tls ? tools.loadTls : tools.load;
  if (tool === undefined) throw new Error("no OpenSSL headers");
  const lane = entrant.lanes[mode.lane];
  const { load, connections, held, size, resumes } = mode;
  const meter = new Meter(entrant.pids);
  const job = { tool, mode: load, port: lane.port, opening: lane.opening, connections, held, ...(size && { size }) };
  const watch = { onBegin: () => meter.begin(), onEnd: () => meter.end() };
  const result = await runLoad(processes, { ...job, resumes, ...times }, watch).finally(() => meter.stop());
  check(result, mode);
  const units = mode.unit === "GB" ? result.bytes / BYTES_PER_GB : result.ops;
  const { p50Ns, p99Ns, p999Ns } = result;
  const unitsPerS = units / (result.tookNs / 1e9);
  return { cpuNsPerUnit: meter.cpuNsPerS / unitsPerS, unitsPerS, p50Ns, p99Ns, p999Ns };
}

/** @param {import("./load.mjs").LoadResult} result @param {import("./modes.mjs").Mode} mode */
function check({ ops, bytes, failures, resumed }, mode) {
  if (ops === 0 && bytes === 0) throw new Error("nothing moved");
  if (failures > Math.max(ops * MAX_FAILED_SHARE, 0)) throw new Error(`${failures} connections failed`);
  if (mode.resumes && resumed < ops / 2) throw new Error(`only ${resumed} of ${ops} handshakes resumed`);
}
