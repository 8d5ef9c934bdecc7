// What an operator's questions cost, by the number of sessions.
import { QUESTIONS } from "../operate.mjs";
import { ranged, short } from "./words.mjs";

const NS_PER_MS = 1e6;

/** @typedef {import("../measure.mjs").Results} Results */

/** @param {Pick<Results, "contestants" | "operations">} results @returns {import("./tables.mjs").Table} */
export function operationTable({ contestants, operations }) {
  const counts = sessionCounts(operations);
  const rows = contestants
    .filter(({ name }) => operations.some(({ contestant }) => contestant === name))
    .flatMap(({ name, title }) =>
      QUESTIONS.map((question) => [
        `${title}, ${question.title}`,
        ...counts.map((count) => cell(find(operations, name, question.name, count))),
      ]),
    );
  const title = "Reload and session list: CPU ms (smallest–largest of the rounds) | ms until the answer";
  return { title, head: ["", ...counts.map(sessionsWord)], rows };
}

/** The labels of a chart, and the CPU time in ms that each has for a contestant. @param {Results["operations"]} operations */
export function operationBars(operations) {
  const bars = QUESTIONS.flatMap(({ name, title }) =>
    sessionCounts(operations).map((count) => ({ name, count, label: `${title}, ${sessionsWord(count)}` })),
  );
  const valuesOf = (/** @type {string} */ contestant) =>
    bars.map(({ name, count }) => {
      const found = find(operations, contestant, name, count);
      return found && found.cpuNs.median / NS_PER_MS;
    });
  return { labels: bars.map(({ label }) => label), valuesOf };
}

/** @param {Results["operations"]} operations */
function sessionCounts(operations) {
  return [...new Set(operations.map(({ sessions }) => sessions))].toSorted((a, b) => a - b);
}

/** @param {Results["operations"]} operations @param {string} contestant @param {string} operation @param {number} sessions */
function find(operations, contestant, operation, sessions) {
  return operations.find(
    (one) => one.contestant === contestant && one.operation === operation && one.sessions === sessions,
  );
}

/** @param {Results["operations"][number] | undefined} operation */
function cell(operation) {
  if (operation === undefined) return "–";
  const { cpuNs, tookNs } = operation;
  return [cpuNs, tookNs].map((range) => ranged(range, (ns) => short(ns / NS_PER_MS))).join(" | ");
}

/** @param {number} count */
function sessionsWord(count) {
  return `${count.toLocaleString("en")} ${count === 1 ? "session" : "sessions"}`;
}
