// Ports for everything that listens during a run.
import { readFileSync } from "node:fs";
import { createServer } from "node:net";

const LOWEST = 20_000;
const RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range";

/**
 * Hands out free ports below those that the system gives to clients: none of the many connections of a run may take one
 * between choosing and listening.
 * @returns {() => Promise<number>}
 */
export function portChooser() {
  const highest = Number(readFileSync(RANGE_FILE, "utf8").split(/\s+/)[0]) - 1;
  if (highest <= LOWEST) throw new Error(`no ports between ${LOWEST} and those of ${RANGE_FILE}`);
  let next = LOWEST + Math.floor(Math.random() * (highest - LOWEST));
  return async () => {
    for (let left = highest - LOWEST; left > 0; left--) {
      next = next >= highest ? LOWEST : next + 1;
      if (await isFree(next)) return next;
    }
    throw new Error(`no free port between ${LOWEST} and ${highest}`);
  };
}

/** @param {number} port */
function isFree(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
