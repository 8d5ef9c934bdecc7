// What is measured. A mode is one lane and one way to use it.

/**
 * @typedef {object} Mode
 * @property {string} name
 * @property {string} title
 * @property {string} group which table and chart it belongs to
 * @property {string} lane
 * @property {"up" | "down" | "ping" | "churn"} load
 * @property {"GB" | "op"} unit what CPU time is counted for
 * @property {number} connections
 * @property {number} held open beside them, saying nothing
 * @property {number} [size] of a message
 * @property {boolean} tls
 * @property {boolean} resumes
 */

const BULK_CONNECTIONS = 4;
const CONNECTIONS = 32;

/** @param {Partial<Mode> & Pick<Mode, "name" | "title" | "group" | "lane" | "load">} mode @returns {Mode} */
function mode(mode) {
  const isBulk = mode.load === "up" || mode.load === "down";
  const defaults = { connections: isBulk ? BULK_CONNECTIONS : CONNECTIONS, held: 0, tls: false, resumes: false };
  return { unit: isBulk ? "GB" : "op", ...defaults, ...mode };
}

const plain = [
  mode({ name: "bulk-up", title: "bulk up", group: "plain", lane: "sink", load: "up" }),
  mode({ name: "bulk-down", title: "bulk down", group: "plain", lane: "source", load: "down" }),
  ping("ping-64", "64 B", 64),
  ping("ping-1k", "1 KiB", 1024),
  ping("ping-16k", "16 KiB", 16_384),
  ping("ping-64-c1", "64 B, one connection", 64, 1),
  ping("ping-1k-c1", "1 KiB, one connection", 1024, 1),
  ping("ping-16k-c1", "16 KiB, one connection", 16_384, 1),
  mode({ name: "churn", title: "churn", group: "plain", lane: "reply", load: "churn" }),
];

const tls = [
  mode({ name: "tls-full", title: "full handshakes", group: "tls", lane: "tls-reply", load: "churn", tls: true }),
  mode({
    name: "tls-resumed",
    title: "resumed handshakes",
    group: "tls",
    lane: "tls-reply",
    load: "churn",
    tls: true,
    resumes: true,
  }),
  mode({ name: "tls-up", title: "bulk up", group: "tls", lane: "tls-sink", load: "up", tls: true }),
  mode({ name: "tls-down", title: "bulk down", group: "tls", lane: "tls-source", load: "down", tls: true }),
  mode({ name: "tls-ping-1k", title: "1 KiB", group: "tls", lane: "tls-echo", load: "ping", size: 1024, tls: true }),
];

/** @param {string} name @param {string} size @param {number} bytes @param {number} [connections] @returns {Mode} */
function ping(name, size, bytes, connections = CONNECTIONS) {
  return mode({
    name,
    title: `ping-pong ${size}`,
    group: "plain",
    lane: "echo",
    load: "ping",
    size: bytes,
    connections,
  });
}

/** Many connections with one message in flight each. @param {number} count @returns {Mode} */
function pingAt(count) {
  const title = `ping-pong 64 B at ${count}`;
  const name = `ping-at-${count}`;
  return mode({ name, title, group: "growth", lane: "echo", load: "ping", size: 64, connections: count });
}

/** 32 connections that come and go beside many that stay. @param {number} count @returns {Mode} */
function churnAt(count) {
  const title = `churn beside ${count}`;
  return mode({ name: `churn-at-${count}`, title, group: "growth", lane: "reply", load: "churn", held: count });
}

/** @param {"names" | "prefixes"} kind @param {number} count @returns {Mode} */
function routes(kind, count) {
  const title = `churn, ${count} ${kind === "names" ? "server names" : "prefixes"}`;
  return mode({ name: `${kind}-${count}`, title, group: "routes", lane: `${kind}-${count}`, load: "churn" });
}

/**
 * @typedef {{ modes: readonly Mode[], ops: number, atMostMs: number }} WarmUp `ops` of each mode, so that all have done equal
 *   work; JavaScript is compiled in steps, and the last of them comes after some thousand connections
 */

/** They reach all code that the others reach. @param {readonly string[]} names */
function warming(names) {
  return [...plain, ...tls].filter(({ name }) => names.includes(name));
}

/**
 * @typedef {object} Plan one kind of run
 * @property {string} kind
 * @property {readonly { modes: readonly Mode[], rounds: number, warmMs: number, windowMs: number }[]} series
 * @property {WarmUp} warmUp before the first round
 * @property {{ connections: number, settleMs: number }} idle
 * @property {readonly string[]} missing what this machine does not allow
 */

const GROWTH = [10, 100, 1_000];
const MOST = 10_000;

/**
 * The last step of growth: what the limit of open files allows, beside the connections that come and go.
 * @param {number} maxConnections
 */
export function mostConnections(maxConnections) {
  return Math.min(MOST, Math.floor((maxConnections - 2 * CONNECTIONS) / 100) * 100);
}

/** Everything. @param {number} maxConnections @returns {Plan} */
export function fullPlan(maxConnections) {
  const counts = [...GROWTH, mostConnections(maxConnections)];
  const growth = [...counts.map(pingAt), ...counts.map(churnAt), ...allRoutes([1, 10, 50])];
  return {
    kind: "full",
    warmUp: { modes: warming(["bulk-up", "bulk-down", "ping-64", "tls-full", "churn"]), ops: 20_000, atMostMs: 8_000 },
    series: [
      { modes: [...plain, ...tls], rounds: 3, warmMs: 500, windowMs: 1_000 },
      { modes: growth, rounds: 2, warmMs: 500, windowMs: 1_000 },
    ],
    idle: { connections: 5_000, settleMs: 2_000 },
    missing: counts.includes(MOST)
      ? []
      : [`Growth ends below ${MOST} connections: the limit of open files is too low.`],
  };
}

/** Under two minutes: enough to see what a change did, not to publish. @returns {Plan} */
export function quickPlan() {
  return {
    kind: "quick",
    warmUp: { modes: warming(["churn"]), ops: 10_000, atMostMs: 5_000 },
    series: [
      {
        modes: [...plain.filter(({ name }) => !/1k|16k-c1/.test(name)), ...tls],
        rounds: 2,
        warmMs: 120,
        windowMs: 300,
      },
      { modes: [pingAt(1_000), churnAt(1_000), ...allRoutes([1, 50])], rounds: 1, warmMs: 120, windowMs: 300 },
    ],
    idle: { connections: 1_000, settleMs: 300 },
    missing: [],
  };
}

/** @param {readonly number[]} counts */
function allRoutes(counts) {
  return counts.flatMap((count) => [routes("names", count), routes("prefixes", count)]);
}
