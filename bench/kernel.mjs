// Settings of the kernel that a run wants; they are put back afterwards.
import { readFileSync, writeFileSync } from "node:fs";

const WIDE_PORTS = "32768 60999"; // the kernel's own default; the ports that listen are chosen below
const MIN_PORTS = 25_000; // each contestant connects to the server from one address

/**
 * @typedef {object} Setting
 * @property {string} path below /proc/sys
 * @property {string} wanted
 * @property {(value: string) => boolean} suffices
 * @property {string} otherwise what it means where it can be neither found nor set so
 */

/** @type {readonly Setting[]} */
const SETTINGS = [
  {
    path: "net/ipv4/tcp_max_tw_buckets",
    wanted: "1000",
    suffices: (value) => Number(value) <= 1_000,
    otherwise: "closed connections linger, which makes later rounds of churn slower than earlier ones",
  },
  {
    path: "net/ipv4/ip_local_port_range",
    wanted: WIDE_PORTS,
    suffices: (value) => portsIn(value) >= MIN_PORTS,
    otherwise: "churn may run out of ports",
  },
  {
    path: "net/core/somaxconn",
    wanted: "16384",
    suffices: (value) => Number(value) >= 16_384,
    otherwise: "connections that come in a burst may have to wait",
  },
];

/**
 * Sets what is not as wanted, where that is allowed.
 * @param {{ settings?: readonly Setting[], root?: string }} [from]
 * @returns {{ restore: () => void, shortfalls: string[] }} `restore` puts the old values back; `shortfalls`: what could not be set
 */
export function prepareKernel({ settings = SETTINGS, root = "/proc/sys" } = {}) {
  /** @type {(() => void)[]} */
  const undo = [];
  const shortfalls = [];
  for (const { path, wanted, suffices, otherwise } of settings) {
    const file = `${root}/${path}`;
    const before = read(file);
    if (before !== undefined && suffices(before)) continue;
    if (before !== undefined && set(file, wanted)) undo.push(() => set(file, before));
    else shortfalls.push(`${path} is ${before ?? "not known"} and could not be set to ${wanted}: ${otherwise}.`);
  }
  return { restore: () => undo.forEach((one) => void one()), shortfalls };
}

/** @param {string} file */
function read(file) {
  try {
    return readFileSync(file, "utf8").trim().replaceAll(/\s+/g, " ");
  } catch {
    return undefined; // not in this kernel, or hidden by a container
  }
}

/** Whether it could be set. @param {string} file @param {string} value */
function set(file, value) {
  try {
    writeFileSync(file, value);
    return true;
  } catch {
    return false; // not root, or a container's read-only /proc/sys
  }
}

/** @param {string} range */
function portsIn(range) {
  const [first = 0, last = 0] = range.split(" ").map(Number);
  return last - first + 1;
}
