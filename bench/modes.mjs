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
/** That work at a time where a mode says nothing else. */
export const CONNECTIONS = 32;

/** @param {Partial<Mode> & Pick<Mode, "name" | "title" | "group" | "lane" | "load">} mode @returns {Mode} */
function mode(mode) {
  const isBulk = mode.load === "up" || mode.load === "down";
  const defaults = { connections: isBulk ? BULK_CONNECTIONS : CONNECTIONS, held: 0, tls: false, resumes: false };
  return { unit: isBulk ? "GB" : "op", ...defaults, ...mode };
}

/** What every proxy is asked first. */
export const plain = [
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

export const tls = [
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
export function pingAt(count) {
  const title = `ping-pong 64 B at ${count}`;
  const name = `ping-at-${count}`;
  return mode({ name, title, group: "growth", lane: "echo", load: "ping", size: 64, connections: count });
}

/** 32 connections that come and go beside many that stay. @param {number} count @returns {Mode} */
export function churnAt(count) {
  const title = `churn beside ${count}`;
  return mode({ name: `churn-at-${count}`, title, group: "growth", lane: "reply", load: "churn", held: count });
}

/** Connections that are sniffed with so many routes; the last one matches. @param {"names" | "prefixes"} kind @param {number} count @returns {Mode} */
export function routes(kind, count) {
  const title = `churn, ${count} ${kind === "names" ? "server names" : "prefixes"}`;
  return mode({ name: `${kind}-${count}`, title, group: "routes", lane: `${kind}-${count}`, load: "churn" });
}
