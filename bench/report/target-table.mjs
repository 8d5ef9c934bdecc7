// The table of figures to reach.
import { BESIDE, PATHS } from "../targets.mjs";
import { ranged, times } from "./words.mjs";

/** @typedef {import("../measure.mjs").Results} Results */

/** @param {Pick<Results, "targets" | "contestants">} results @returns {import("./tables.mjs").Table} */
export function targetTable({ targets, contestants }) {
  const titleOf = (/** @type {string} */ name) => contestants.find((one) => one.name === name)?.title ?? name;
  const head = Object.values(PATHS).flatMap(({ title }) => [`${title}: aim`, "reached", ""]);
  const rows = targets.map(({ title, atMost, paths: reached, peers }) => [
    title,
    ...Object.values(reached).flatMap((one) => [`${atMost ? "≤" : "≥"} ${one.aim}`, ...valueAndMark(one)]),
    ...BESIDE.map((name) => times(peers[name]?.median)),
  ]);
  return { title: "Figures to reach", head: ["", ...head, ...BESIDE.map(titleOf)], rows };
}

/** @param {import("../targets.mjs").Reached} reached */
function valueAndMark({ reached, met, unavailable }) {
  if (unavailable !== undefined) return ["–", "not available"];
  if (reached === undefined) return ["–", "not measured"];
  return [ranged(reached, times), met ? "reached" : "not reached"];
}
