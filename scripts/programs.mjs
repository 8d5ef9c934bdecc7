// The programs that the tests run beside the gateway, and the Debian packages that bring them.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, isAbsolute, join } from "node:path";
import process from "node:process";

/** What must be there (a program on the path, or a file) and its package. Extend it when a test needs another one. */
const NEEDED = [
  ["cc", "gcc"], // for the load generator of the benchmarks
  ["/usr/include/stdio.h", "libc6-dev"],
  ["openssl", "openssl"],
  ["curl", "curl"],
  ["nc.openbsd", "netcat-openbsd"], // by this name: the other netcat is `nc` too, with other options
  ["mosquitto", "mosquitto"],
  ["mosquitto_pub", "mosquitto-clients"],
  ["redis-server", "redis-server"],
  ["redis-cli", "redis-tools"],
  ["psql", "postgresql-client"],
  ["ssh", "openssh-client"],
  ["dig", "bind9-dnsutils"],
  ["amqp-publish", "amqp-tools"],
  ["haproxy", "haproxy"],
  ["ss", "iproute2"],
  ["python3", "python3"], // its struct module is what ours must agree with
  ["nginx", "nginx"],
  ["/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"],
];
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin"]; // servers live here; a user's path may lack them
const INSTALL = ["install", "--yes", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"];

/**
 * Installs what is missing when it may; otherwise says which command does it. The benchmarks bring a list of their own.
 * @param {readonly (readonly string[])[]} needed
 * @param {string} who begins the sentence
 */
export function installPrograms(needed = NEEDED, who = "The tests need") {
  const missing = needed.filter(([program]) => !isThere(program));
  if (missing.length === 0) return;
  const packages = missing.map(([, name]) => name);
  if (process.getuid?.() !== 0 || !isThere("apt-get")) {
    throw new Error(
      `${who} ${missing.map(([program]) => program).join(", ")}. On Debian:\n` +
        `  sudo apt-get update && sudo apt-get install --yes --no-install-recommends ${packages.join(" ")}`,
    );
  }
  process.stderr.write(`installing Debian packages: ${packages.join(" ")}\n`);
  aptGet("update");
  aptGet(...INSTALL, ...packages);
}

function isThere(program) {
  if (isAbsolute(program)) return existsSync(program);
  const folders = (process.env.PATH ?? "").split(delimiter);
  return [...folders, ...SYSTEM_FOLDERS].some((folder) => existsSync(join(folder, program)));
}

function aptGet(...args) {
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const run = spawnSync("apt-get", args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (run.status !== 0) throw new Error(`${run.stdout}${run.stderr}apt-get ${args[0]} failed`);
}
