// Sets contestants up and starts them.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { untilOpen } from "./processes.mjs";

/**
 * @typedef {{ port: number, opening: Buffer }} OpenLane
 * @typedef {object} Entrant a contestant that runs
 * @property {import("./contestants.mjs").Contestant} contestant
 * @property {Record<string, OpenLane>} lanes those it can
 * @property {number[]} pids
 * @property {number} maxConnections
 * @property {readonly import("./processes.mjs").Running[]} running
 * @property {string} [control] path of the socket where an operator asks
 * @typedef {object} Ground what all contestants stand on
 * @property {import("./processes.mjs").Processes} processes
 * @property {string} folder
 * @property {readonly import("./lanes.mjs").Lane[]} lanes
 * @property {number} peerPid
 * @property {import("./contestants.mjs").Certificate} certificate
 * @property {number} maxConnections
 * @property {() => Promise<number>} port
 */

/** A contestant cannot take part here, or would not be what it is called. */
export class NotAvailable extends Error {}

/**
 * Starts a contestant.
 * @param {Ground} ground
 * @param {import("./contestants.mjs").Contestant} contestant
 * @returns {Promise<Entrant>}
 * @throws NotAvailable when it does not start, or says that it is not what it should be
 */
export async function enter(ground, contestant) {
  const lanes = ground.lanes.filter((lane) => contestant.can(lane));
  const known = { contestant, maxConnections: mostOf(ground, contestant) };
  if (contestant.isPeer) return { ...known, lanes: toPeer(lanes), pids: [ground.peerPid], running: [] };
  /** @type {Record<string, number>} */
  const ports = {};
  for (const lane of lanes) ports[lane.name] = await ground.port();
  const folder = join(ground.folder, contestant.name);
  mkdirSync(folder, { recursive: true });
  const { processes, certificate, maxConnections } = ground;
  const programs = contestant.programs({ folder, lanes, ports, certificate, maxConnections });
  const running = programs.map((program) => processes.start(program));
  try {
    for (const [at, program] of programs.entries()) await untilOpen(running[at], program.ports);
    const misfit = await contestant.misfit?.(() => running.map(({ said }) => said()).join("\n"));
    if (misfit !== undefined) throw new Error(misfit);
  } catch (cause) {
    await processes.stop(running);
    if (processes.isStopping || !(cause instanceof Error)) throw cause;
    throw new NotAvailable(cause.message);
  }
  const pids = running.map(({ child }) => child.pid ?? 0);
  const control = contestant.control && { control: contestant.control(folder) };
  return { ...known, lanes: openLanes(lanes, (lane) => ports[lane.name]), pids, running, ...control };
}

/**
 * What a contestant could do if it ran.
 * @param {Ground} ground
 * @param {import("./contestants.mjs").Contestant} contestant
 * @returns {Pick<Entrant, "contestant" | "lanes" | "maxConnections">}
 */
export function prospect(ground, contestant) {
  const lanes = ground.lanes.filter((lane) => contestant.can(lane));
  return { contestant, lanes: toPeer(lanes), maxConnections: mostOf(ground, contestant) };
}

/** @param {Ground} ground @param {import("./contestants.mjs").Contestant} contestant */
function mostOf(ground, { maxConnections = Number.POSITIVE_INFINITY }) {
  return Math.min(ground.maxConnections, maxConnections);
}

/** @param {readonly import("./lanes.mjs").Lane[]} lanes */
function toPeer(lanes) {
  return openLanes(lanes, (lane) => lane.rules.at(-1)?.peer ?? 0);
}

/** @param {readonly import("./lanes.mjs").Lane[]} lanes @param {(lane: import("./lanes.mjs").Lane) => number} portOf */
function openLanes(lanes, portOf) {
  return Object.fromEntries(lanes.map((lane) => [lane.name, { port: portOf(lane), opening: lane.opening }]));
}
