// Runs the load generator once.
import { once } from "node:events";
import { createInterface } from "node:readline";
import { REPLY_BYTES } from "./openings.mjs";

const LIMIT_MS = 60_000; // set-up, warm-up and window of one run; the generator itself watches over it

/**
 * @typedef {{ tookNs: number, ops: number, bytes: number, failures: number, resumed: number, p50Ns: number, p99Ns: number,
 *   p999Ns: number }} LoadResult
 * @typedef {object} Load
 * @property {string} tool path of the generator
 * @property {string} mode
 * @property {number} port
 * @property {Buffer} opening
 * @property {number} connections
 * @property {number} [held]
 * @property {number} [size]
 * @property {boolean} [resumes]
 * @property {number} warmMs
 * @property {number} windowMs
 * @property {number} [maxOps] ends the window early
 */

/**
 * Calls `onBegin` and `onEnd` at the two ends of the window, while the load goes on; connections that are held are so until what
 * `onEnd` returns is done.
 * @param {import("./processes.mjs").Processes} processes
 * @param {Load} load
 * @param {{ onBegin?: () => void, onEnd?: () => void | Promise<unknown> }} [watch]
 * @returns {Promise<LoadResult>}
 */
export async function runLoad(processes, { tool, opening, resumes, ...values }, { onBegin, onEnd } = {}) {
  const given = { ...values, opening: opening.toString("hex"), reply: REPLY_BYTES, limitMs: LIMIT_MS };
  const args = Object.entries(given).map(([name, value]) => `${name}=${value}`);
  const running = processes.start({ command: tool, args: [...args, `resumes=${resumes ? 1 : 0}`] }, { input: true });
  const { child } = running;
  const closed = once(child, "close");
  /** @type {LoadResult | undefined} */
  let result;
  if (child.stdout === null) throw new Error("no output");
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { event, ...told } = JSON.parse(line);
    if (event === "begin") return onBegin?.();
    result = told;
    Promise.resolve(onEnd?.())
      .catch(() => {}) // whose promise it is hears of it
      .finally(() => child.stdin?.end());
  });
  await closed;
  if (result === undefined) throw new Error(running.said().trim() || "the load generator was stopped");
  return result;
}
