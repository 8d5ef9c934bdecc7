// Holds processes still, so that they find all that has happened meanwhile at once.
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { familyOf } from "../processes.mjs";

const STOP_MS = 2_000;
const ASK_AGAIN_MS = 2;

/**
 * @param {readonly number[]} roots
 * @param {() => Promise<void>} act
 */
export async function whileStill(roots, act) {
  const pids = roots.flatMap(familyOf);
  try {
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    const deadline = performance.now() + STOP_MS;
    // A process that has not stopped yet may still take one look at what happens.
    while (!pids.every(isStopped)) {
      if (performance.now() > deadline) throw new Error("a process does not stop");
      await sleep(ASK_AGAIN_MS);
    }
    await act();
  } finally {
    for (const pid of pids) goOn(pid);
  }
}

/** @param {number} pid */
function goOn(pid) {
  try {
    process.kill(pid, "SIGCONT");
  } catch {} // it has ended meanwhile
}

/** @param {number} pid */
function isStopped(pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.charAt(stat.lastIndexOf(")") + 2) === "T"; // the name before it may have spaces
}
