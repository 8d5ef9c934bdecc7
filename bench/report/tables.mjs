// Tables of figures, for the terminal and for Markdown alike: rows of cells.
import { operationTable } from "./operation-table.mjs";
import { targetTable } from "./target-table.mjs";
import { cost, latencies, ranged, short, speed, times } from "./words.mjs";

/**
 * @typedef {{ title: string, head: string[], rows: string[][] }} Table
 * @typedef {import("../measure.mjs").Results} Results
 */

/** The order in which groups of modes are shown, and what they are called. */
export const GROUPS = [
  { group: "plain", title: "Plain TCP" },
  { group: "tls", title: "TLS 1.3, terminated" },
  { group: "growth", title: "Growth" },
  { group: "routes", title: "Routes" },
];

/** The tables of one group, without those that would be empty. @param {Results} results @param {string} group */
export function groupTables(results, group) {
  const tables = [ratioTable, wideRatioTable, costTable, latencyTable, tailTable];
  return tables.map((table) => table(results, group)).filter(({ head, rows }) => head.length > 1 && rows.length > 0);
}

/** All tables of a run, without those that would be empty; of a part of a run, the figures to reach that it has. @param {Results} results */
export function terminalTables(results) {
  const groups = GROUPS.flatMap(({ group, title }) =>
    groupTables(results, group).map((table) => ({ ...table, title: `${title}: ${table.title}` })),
  );
  const judged = results.targets.filter(({ paths }) =>
    Object.values(paths).some(({ reached }) => reached !== undefined),
  );
  const others = [operationTable(results), idleTable(results), targetTable({ ...results, targets: judged })];
  const around = [gateTable(results), ...groups, ...others];
  return around.filter(({ head, rows }) => head.length > 1 && rows.length > 0);
}

/** @param {Results} results @param {string} group @returns {Table} */
function ratioTable(results, group) {
  return byContestant(results, group, "CPU efficiency, nginx 64K = 1", ({ cpuRatio }) => times(cpuRatio?.median));
}

/** Large buffers are for bulk. @param {Results} results @param {string} group @returns {Table} */
function wideRatioTable(results, group) {
  const bulk = { ...results, modes: results.modes.filter(({ unit }) => unit === "GB") };
  return byContestant(bulk, group, "CPU efficiency, nginx 256K = 1", ({ wideRatio }) => times(wideRatio?.median));
}

/** @param {Results} results @param {string} group @returns {Table} */
function costTable(results, group) {
  return byContestant(
    results,
    group,
    "CPU per unit (smallest–largest of the rounds) | throughput",
    (figure, { unit }) => {
      return `${cost(figure.cpuNsPerUnit, unit)} | ${speed(figure.unitsPerS.median, unit)}`;
    },
  );
}

/** @param {Results} results @param {string} group @returns {Table} */
function latencyTable(results, group) {
  return byContestant(timed(results), group, "latency, µs: p50 / p99 / p99.9", latencies);
}

/** @param {Results} results @param {string} group @returns {Table} */
function tailTable(results, group) {
  const title = "p99 (smallest–largest of the rounds), nginx 64K = 1; below 1 is shorter";
  return byContestant(timed(results), group, title, ({ p99Ratio }) => (p99Ratio ? ranged(p99Ratio, times) : "–"));
}

/** Bulk has no latency. @param {Results} results */
function timed(results) {
  return { ...results, modes: results.modes.filter(({ unit }) => unit === "op") };
}

/** @param {Results} results @returns {Table} */
export function idleTable({ contestants, idle }) {
  const rows = contestants.flatMap(({ name, title }) => {
    const found = idle[name];
    return found
      ? [[title, String(found.connections), short(found.kbPerConnection), Math.round(found.baseKb / 1024).toString()]]
      : [];
  });
  return { title: "Idle memory", head: ["", "connections", "KB per connection, user space", "MB without any"], rows };
}

/** @param {Results} results @returns {Table} */
export function gateTable({ contestants, gate }) {
  // In the order in which they are made, which the longest list has whole.
  const lists = Object.values(gate).toSorted((a, b) => b.length - a.length);
  const checks = [...new Set(lists.flatMap((findings) => findings.map(({ check }) => check)))];
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
