// docs/benchmarks.md and its charts, from the results of a run.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BASE } from "../contestants.mjs";
import { FLAT } from "../targets.mjs";
import { barChart } from "./chart.mjs";
import { operationBars, operationTable } from "./operation-table.mjs";
import { asMarkdown, GROUPS, gateTable, groupTables, idleTable } from "./tables.mjs";
import { targetTable } from "./target-table.mjs";

/** @typedef {import("../measure.mjs").Results} Results */

/**
 * Writes `benchmarks.md`, and `benchmarks/` with charts and figures.
 * @param {Results} results
 * @param {string} folder
 */
export function writeReport(results, folder) {
  const beside = join(folder, "benchmarks");
  rmSync(beside, { recursive: true, force: true });
  mkdirSync(beside, { recursive: true });
  writeFileSync(join(beside, "figures.json"), `${JSON.stringify(results, null, 1)}\n`);
  for (const [name, svg] of charts(results)) writeFileSync(join(beside, name), svg);
  writeFileSync(join(folder, "benchmarks.md"), page(results));
}

/** @param {Results} results @returns {[string, string][]} */
function charts(results) {
  const drawn = shownGroups(results).map(
    ({ group, title }) => /** @type {[string, string]} */ ([`${group}.svg`, ratioChart(results, group, title)]),
  );
  /** @type {[string, string][]} */
  const asked = results.operations.length > 0 ? [["operations.svg", operationChart(results)]] : [];
  return [...drawn, ...asked, ["idle.svg", idleChart(results)]];
}

/** @param {Results} results */
function shownGroups({ modes, figures }) {
  const measured = new Set(figures.map(({ mode }) => mode));
  return GROUPS.filter(({ group }) => modes.some((mode) => mode.group === group && measured.has(mode.name)));
}

/** @param {Results} results @param {string} group @param {string} title */
function ratioChart({ contestants, modes, figures }, group, title) {
  const shown = modes.filter((mode) => mode.group === group);
  const rows = rowsOf(contestants, ({ name }) =>
    shown.map((mode) => figures.find((one) => one.contestant === name && one.mode === mode.name)?.cpuRatio?.median),
  );
  const note = "CPU efficiency: nginx's CPU time per unit of work divided by the contestant's; longer is better";
  return barChart({ title, note, labels: shown.map((mode) => mode.title), rows, line: 1 });
}

/** @param {Results} results */
function idleChart({ contestants, idle }) {
  const rows = rowsOf(contestants, ({ name }) => [name in idle ? Math.max(0, idle[name].kbPerConnection) : undefined]);
  const note = "KB of user space per open connection that does nothing; shorter is better";
  return barChart({ title: "Idle memory", note, labels: ["KB per connection"], rows });
}

/** @param {Results} results */
function operationChart({ contestants, operations }) {
  const { labels, valuesOf } = operationBars(operations);
  const rows = rowsOf(contestants, ({ name }) => valuesOf(name));
  const note = "CPU time in ms of one reload, and of one list of all sessions, beside idle sessions; shorter is better";
  return barChart({ title: "Reload and session list", note, labels, rows });
}

/**
 * @param {Results["contestants"]} contestants
 * @param {(contestant: Results["contestants"][number]) => (number | undefined)[]} valuesOf
 */
function rowsOf(contestants, valuesOf) {
  const proxies = contestants.filter(({ isPeer }) => !isPeer);
  return proxies.map((proxy, colour) => ({ name: proxy.title, colour, values: valuesOf(proxy) }));
}

/** @param {Results} results */
function page(results) {
  const { kind, when, machine, figures, idle } = results;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return `# Benchmarks

Written by \`npm run bench\`; do not edit. How it measures and how to read it: [benchmarking.md](benchmarking.md).

A ${kind} run of ${when.slice(0, 10)} on ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel}, loopback. ${versions.join(", ")}.
${kind === "quick" ? "\nA quick run has short windows and few rounds: differences below about 15 % mean nothing.\n" : ""}
${section("Contestants", contestantList(results))}
${section("Figures to reach", `${TARGET_WORDS}\n\n${asMarkdown(targetTable(results))}`)}
${section("Not measured", notMeasured(results))}
${section("Correctness", `Checked through each contestant before anything was measured. What is claimed and fails has no figures.\n\n${asMarkdown(gateTable(results))}${notes(results)}`)}
${shownGroups(results)
  .map((group) => groupSection(results, group))
  .join("\n")}
${operationSection(results)}
${Object.keys(idle).length > 0 ? section("Idle memory", `![Idle memory](benchmarks/idle.svg)\n\n${asMarkdown(idleTable(results))}`) : ""}
${section("All numbers", `[figures.json](benchmarks/figures.json) has every sample of every round (${figures.length} series). The base of all ratios is ${titleOf(results, BASE)}, measured in the same round.`)}`;
}

const TARGET_WORDS =
  "CPU efficiency, nginx 64K = 1, where nothing else is said; the median over rounds decides, the smallest and largest stand beside. " +
  `Flat is what grows to at most ${FLAT} times.`;

/** @param {Results} results */
function contestantList({ contestants, unavailable }) {
  return contestants
    .map(({ name, title, about }) => {
      const absent = name in unavailable ? ` **Not available: ${unavailable[name]}**` : "";
      return `* **${title}**: ${about}.${absent}`;
    })
    .join("\n");
}

/** @param {Results} results */
function notMeasured(results) {
  const { unavailable, modes, faults, missing, conditions } = results;
  const modeOf = (/** @type {string} */ name) => modes.find((one) => one.name === name)?.title ?? name;
  const lines = [
    ...Object.entries(unavailable).map(([name, why]) => `${titleOf(results, name)} is not available: ${why}`),
    ...missing,
    ...faults.map((one) => `No figure for ${titleOf(results, one.contestant)} in ${modeOf(one.mode)}: ${one.fault}.`),
    ...conditions,
  ];
  return lines.length > 0 ? lines.map((line) => `* ${line}`).join("\n") : "Everything was.";
}

/** RestyConf's alone: the others have nothing that compares. @param {Results} results */
function operationSection(results) {
  if (results.operations.length === 0) return "";
  const table = operationTable(results);
  const chart = "![Reload and session list](benchmarks/operations.svg)";
  return section("Reload and session list", `${chart}\n\n${table.title}:\n\n${asMarkdown(table)}`);
}

/** @param {Results} results @param {{ group: string, title: string }} shown */
function groupSection(results, { group, title }) {
  const tables = groupTables(results, group).map((table) => `${capital(table.title)}:\n\n${asMarkdown(table)}`);
  return section(title, `![${title}](benchmarks/${group}.svg)\n\n${tables.join("\n")}`);
}

/** @param {Results} results */
function notes({ contestants }) {
  const lines = contestants.flatMap(({ title, notes = [] }) => notes.map((note) => `* ${title}: ${note}`));
  return lines.length > 0 ? `\n${lines.join("\n")}\n` : "";
}

/** @param {string} title @param {string} body */
function section(title, body) {
  return `## ${title}\n\n${body.trimEnd()}\n`;
}

/** @param {Results} results @param {string} name */
function titleOf({ contestants }, name) {
  return contestants.find((one) => one.name === name)?.title ?? name;
}

/** @param {string} words */
function capital(words) {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
