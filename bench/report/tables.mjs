// Tables of figures, for the terminal and for Markdown alike: rows of cells.
import { cost, latencies, short, speed, times } from "./words.mjs";

/**
 * @typedef {{ title: string, head: string[], rows: string[][] }} Table
 * @typedef {import("../run.mjs").Results} Results
 */

/** The order in which groups of modes are shown, and what they are called. */
export const GROUPS = [
  { group: "plain", title: "Plain TCP" },
  { group: "tls", title: "TLS 1.3, terminated" },
  { group: "growth", title: "Growth" },
  { group: "routes", title: "Routes" },
];

/** @param {Results} results @param {string} group @returns {Table} */
export function ratioTable(results, group) {
  return byContestant(results, group, "CPU efficiency, nginx 64K = 1", ({ cpuRatio }) => times(cpuRatio));
}

/** @param {Results} results @param {string} group @returns {Table} */
export function costTable(results, group) {
  return byContestant(results, group, "CPU per unit (spread between rounds) | throughput", (figure, { unit }) => {
    const percent = Math.round((figure.spread / 2) * 100);
    return `${cost(figure.cpuNsPerUnit, unit)} (±${percent} %) | ${speed(figure.unitsPerS, unit)}`;
  });
}

/** @param {Results} results @param {string} group @returns {Table} */
export function latencyTable(results, group) {
  const timed = { ...results, modes: results.modes.filter(({ unit }) => unit === "op") };
  return byContestant(timed, group, "latency, µs: p50 / p99 / p99.9", latencies);
}

/** @param {Results} results @returns {Table} */
export function idleTable({ contestants, idle }) {
  const rows = contestants.flatMap(({ name, title }) => {
    const found = idle[name];
    return found
      ? [[title, String(found.connections), short(found.kbPerConnection), Math.round(found.baseKb / 1024).toString()]]
      : [];
  });
  return { title: "Idle memory", head: ["", "connections", "KB per connection", "MB without any"], rows };
}

/** @param {Results} results @returns {Table} */
export function gateTable({ contestants, gate }) {
  const checks = [...new Set(Object.values(gate).flatMap((findings) => findings.map(({ check }) => check)))];
  const rows = contestants
    .filter(({ name }) => name in gate)
    .map(({ name, title }) => [
      title,
      ...checks.map((check) => verdict(gate[name].find((one) => one.check === check))),
    ]);
  return { title: "Correctness", head: ["", ...checks], rows };
}

/** @param {import("../gate.mjs").Finding | undefined} finding */
function verdict(finding) {
  if (finding === undefined) return "–";
  if (finding.fault === undefined) return "yes";
  return finding.claimed ? `FAILED: ${finding.fault}` : `no: ${finding.fault}`;
}

/**
 * @param {Pick<Results, "contestants" | "modes" | "figures">} results
 * @param {string} group
 * @param {string} title
 * @param {(figure: import("../figures.mjs").Figure, mode: import("../modes.mjs").Mode) => string} cell
 * @returns {Table}
 */
function byContestant({ contestants, modes, figures }, group, title, cell) {
  const shown = modes.filter((mode) => mode.group === group);
  const rows = contestants.map((contestant) => [
    contestant.title,
    ...shown.map((mode) => {
      const figure = figures.find((one) => one.contestant === contestant.name && one.mode === mode.name);
      return figure ? cell(figure, mode) : "–";
    }),
  ]);
  return {
    title,
    head: ["", ...shown.map((mode) => mode.title)],
    rows: rows.filter(([, ...cells]) => cells.some((text) => text !== "–")),
  };
}

/** @param {Table} table */
export function asText({ title, head, rows }) {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (/** @type {string[]} */ row) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join("  ");
  return [title, ...[head, ...rows].map(line), ""].join("\n");
}

/** @param {Table} table */
export function asMarkdown({ head, rows }) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map((_, column) => (column === 0 ? "---" : "---:"))), ...rows.map(line), ""].join("\n");
}
