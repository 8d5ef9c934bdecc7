// What the run stands on: cores, limits and versions.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import process from "node:process";

const SPARE_FILES = 700; // beside two per connection: ports, and pipes of those who splice
const USABLE_SHARE = 0.9; // RestyConf leaves the rest to hooks
const WANTED_CONNECTIONS = 30_000;

/**
 * The core for everything that is measured, and those left to this program and the system. In small virtual machines, waking
 * another core costs more than the work that is to be measured, and never the same.
 * @returns {{ measured: number, others: number[] }}
 */
export function cores() {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  const allowed = list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  const measured = allowed.at(-1) ?? 0;
  return { measured, others: allowed.length > 1 ? allowed.slice(0, -1) : allowed };
}

/** Leaves the measured core. @param {readonly number[]} others */
export function moveTo(others) {
  spawnSync("taskset", ["-a", "-p", "-c", others.join(","), String(process.pid)], { stdio: "ignore" });
}

/** Raises the limit of open files for this process and all that it starts, where that is allowed. */
export function raiseFileLimit() {
  const files = filesFor(WANTED_CONNECTIONS);
  if (fileLimit() < files)
    spawnSync("prlimit", ["--pid", String(process.pid), `--nofile=${files}:${files}`], { stdio: "ignore" });
}

/** Connections that the limit of open files allows a proxy. */
export function maxConnections() {
  return Math.min(WANTED_CONNECTIONS, Math.floor((fileLimit() * USABLE_SHARE - SPARE_FILES) / 2));
}

/** Open files that such a number of connections needs, as counted above. @param {number} connections */
export function filesFor(connections) {
  return Math.ceil((2 * connections + SPARE_FILES) / USABLE_SHARE);
}

export function fileLimit() {
  const hard = /Max open files\s+\S+\s+(\S+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return hard === "unlimited" ? Number.POSITIVE_INFINITY : Number(hard);
}

/** @typedef {{ cpu: string, cores: number, memoryGb: number, kernel: string, versions: Record<string, string> }} Machine */

/** @returns {Machine} */
export function describeMachine() {
  const found = cpus();
  return {
    cpu: found[0]?.model.trim() ?? "unknown",
    cores: found.length,
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    kernel: release().split(".").slice(0, 2).join("."), // what a distribution or host adds says nothing of speed
    versions: {
      RestyConf: JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version,
      "Node.js": `${process.versions.node} (OpenSSL ${process.versions.openssl})`,
      nginx: versionOf("nginx", ["-v"], /nginx\/(\S+)/),
      HAProxy: versionOf("haproxy", ["-v"], /version (\S+)/),
      sslh: versionOf("sslh-select", ["-V"], /(\d\S*)/),
      OpenSSL: versionOf("openssl", ["version"], /OpenSSL (\S+)/),
    },
  };
}

/** @param {string} command @param {readonly string[]} args @param {RegExp} pattern */
function versionOf(command, args, pattern) {
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/local/sbin:/usr/sbin:/sbin` };
  const { stdout, stderr } = spawnSync(command, args, { env, encoding: "utf8" });
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? "unknown";
}
