// Says on the terminal what is going on.
import process from "node:process";

/** @typedef {{ note: (line: string) => void, step: (what: string) => void }} Progress */

/**
 * `note` leaves a line; `step` shows what runs now, on one line that changes when the terminal can do that.
 * @param {number} steps how many are expected
 * @returns {Progress}
 */
export function progress(steps) {
  const { stderr } = process;
  const began = performance.now();
  let done = 0;
  const clear = stderr.isTTY ? "\r\x1b[K" : "";
  return {
    note: (line) => void stderr.write(`${clear}${line}\n`),
    step(what) {
      done++;
      const seconds = Math.round((performance.now() - began) / 1_000);
      const line = `${String(done).padStart(String(steps).length)}/${steps}  ${seconds} s  ${what}`;
      if (stderr.isTTY) stderr.write(`${clear}${line.slice(0, stderr.columns - 1)}`);
      else stderr.write(`${line}\n`);
    },
  };
}
