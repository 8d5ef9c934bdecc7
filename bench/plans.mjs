// Which modes a run measures, how often and how long.
import { fileLimit, filesFor } from "./machine.mjs";
import { CONNECTIONS, churnAt, pingAt, plain, routes, tls } from "./modes.mjs";

/**
 * @typedef {import("./modes.mjs").Mode} Mode
 * @typedef {{ modes: readonly Mode[], ops: number, atMostMs: number }} WarmUp `ops` of each mode, so that all have done equal
 *   work; JavaScript is compiled in steps, and the last of them comes after some thousand connections
 * @typedef {{ modes: readonly Mode[], rounds: number, warmMs: number, windowMs: number }} Part
 */

/**
 * @typedef {object} Plan one kind of run
 * @property {string} kind
 * @property {readonly Part[]} series
 * @property {WarmUp} warmUp before the first round
 * @property {{ connections: number, settleMs: number }} idle
 * @property {import("./operate.mjs").OperationPlan} operations
 * @property {readonly string[]} missing what the run does not measure
 */

const GROWTH = [10, 100, 1_000];
const MOST = 10_000;

/** Beside how many idle sessions the gateway is asked to reload and to list them. */
const SESSIONS = [1, 1_000];
const MOST_SESSIONS = 20_000;

/** Their p99 is one of the figures to reach, and is told by few messages of a window: they get more windows, and longer ones. */
const TAIL_MODES = ["ping-64"];

/**
 * The last step of growth: what the limit of open files allows, beside the connections that come and go.
 * @param {number} maxConnections
 */
export function mostConnections(maxConnections) {
  return Math.min(MOST, Math.floor((maxConnections - 2 * CONNECTIONS) / 100) * 100);
}

/**
 * The last step of an operator's questions: what the limit of open files allows.
 * @param {number} maxConnections
 */
export function mostSessions(maxConnections) {
  return Math.min(MOST_SESSIONS, Math.floor(maxConnections / 100) * 100);
}

/** Everything. @param {number} maxConnections @returns {Plan} */
export function fullPlan(maxConnections) {
  const most = mostConnections(maxConnections);
  const counts = [...GROWTH, most];
  const sessions = mostSessions(maxConnections);
  const growth = [...counts.map(pingAt), ...counts.map(churnAt), ...allRoutes([1, 10, 50])];
  return {
    kind: "full",
    warmUp: { modes: named(["bulk-up", "bulk-down", "ping-64", "tls-full", "churn"]), ops: 20_000, atMostMs: 8_000 },
    series: [
      { modes: named(TAIL_MODES), rounds: 7, warmMs: 500, windowMs: 2_000 },
      { modes: without(TAIL_MODES), rounds: 3, warmMs: 500, windowMs: 1_000 },
      { modes: growth, rounds: 2, warmMs: 700, windowMs: 1_500 }, // among thousands each has its turn a few times a second
    ],
    idle: { connections: 5_000, settleMs: 2_000 },
    operations: { sessions: [...SESSIONS.filter((count) => count < sessions), sessions], rounds: 7 },
    missing: [
      ...(most === MOST ? [] : [endOfGrowth(most)]),
      ...(sessions === MOST_SESSIONS ? [] : [endOfSessions(sessions)]),
    ],
  };
}

/** @param {number} most */
function endOfGrowth(most) {
  const files = filesFor(MOST + 2 * CONNECTIONS).toLocaleString("en");
  return (
    `Growth ends at ${most.toLocaleString("en")} connections: a proxy has two open files for each and needs some beside them, ` +
    `${files} for ${MOST.toLocaleString("en")}, and the system allows ${fileLimit().toLocaleString("en")}.`
  );
}

/** @param {number} most */
function endOfSessions(most) {
  const files = filesFor(MOST_SESSIONS).toLocaleString("en");
  return (
    `Reload and the session list end at ${most.toLocaleString("en")} sessions: ${MOST_SESSIONS.toLocaleString("en")} need ` +
    `${files} open files, and the system allows ${fileLimit().toLocaleString("en")}.`
  );
}

/** Under two minutes: enough to see what a change did, not to publish. @returns {Plan} */
export function quickPlan() {
  const growth = [pingAt(1_000), churnAt(10), churnAt(1_000)];
  return {
    kind: "quick",
    warmUp: { modes: named(["churn"]), ops: 6_000, atMostMs: 2_500 },
    series: [
      { modes: plain.filter(({ name }) => !/1k|16k-c1/.test(name)), rounds: 2, warmMs: 80, windowMs: 220 },
      { modes: [...tls, ...growth, ...allRoutes([1, 50])], rounds: 1, warmMs: 80, windowMs: 220 },
    ],
    idle: { connections: 1_000, settleMs: 300 },
    operations: { sessions: SESSIONS, rounds: 3 },
    missing: [],
  };
}

/** @param {readonly string[]} names */
function named(names) {
  return [...plain, ...tls].filter(({ name }) => names.includes(name));
}

/** @param {readonly string[]} names */
function without(names) {
  return [...plain, ...tls].filter(({ name }) => !names.includes(name));
}

/** @param {readonly number[]} counts */
function allRoutes(counts) {
  return counts.flatMap((count) => [routes("names", count), routes("prefixes", count)]);
}
