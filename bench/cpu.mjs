// What the operating system says of a contestant: CPU time and memory of all its processes and threads.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { familyOf } from "./processes.mjs";

const PAGE_KB = 4; // x86-64 and most arm64 kernels; only used for the growth of memory

/** @typedef {Map<string, number>} CpuTimes nanoseconds so far, user and kernel, by thread */

/**
 * CPU time so far of all threads of all processes.
 * @param {readonly number[]} roots
 * @returns {CpuTimes}
 */
export function cpuTimes(roots) {
  /** @type {CpuTimes} */
  const times = new Map();
  for (const pid of roots.flatMap(familyOf)) {
    for (const task of listed(`/proc/${pid}/task`)) times.set(task, cpuOf(`/proc/${pid}/task/${task}/schedstat`));
  }
  return times;
}

/**
 * The open files of all processes, without pipes: whoever splices keeps some for the next stream.
 * @param {readonly number[]} roots
 */
export function openFiles(roots) {
  const folders = roots.flatMap(familyOf).map((pid) => `/proc/${pid}/fd`);
  return folders.flatMap((folder) => listed(folder).filter((file) => !isPipe(`${folder}/${file}`))).length;
}

/** @param {string} path */
function isPipe(path) {
  try {
    return readlinkSync(path).startsWith("pipe:");
  } catch {
    return false; // closed meanwhile
  }
}

/**
 * Resident memory in KB. The kernel's own memory for sockets is not in it, and is the same for all.
 * @param {readonly number[]} roots
 */
export function residentKb(roots) {
  let pages = 0;
  for (const pid of roots.flatMap(familyOf)) {
    pages += Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
  }
  return pages * PAGE_KB;
}

/** @param {string} path */
function cpuOf(path) {
  try {
    return Number(readFileSync(path, "utf8").split(" ")[0]);
  } catch {
    return 0; // a thread that has just ended
  }
}

/** @param {string} path */
function listed(path) {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
