// The command line: node bench/run.mjs [--quick] [--out FOLDER] [--only NAME,…] [--modes NAME,…]
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BASE, contestants } from "./contestants.mjs";
import { OPERATIONS } from "./operate.mjs";
import { fullPlan, quickPlan } from "./plans.mjs";

export const USAGE = `npm run bench -- [--quick] [--out folder] [--only contestant,…] [--modes mode,…]
  --quick   less of everything, in under two minutes
  --out     folder for benchmarks.md and benchmarks/; default docs
  --only    these contestants and the base of all ratios: ${contestants.map(({ name }) => name).join(", ")}
  --modes   these modes, with their names in figures.json; ${OPERATIONS.name}: ${OPERATIONS.title}
With --only or --modes nothing is written unless --out is given.
`;

const docs = fileURLToPath(new URL("../docs", import.meta.url));

/** @param {readonly string[]} args @param {number} maxConnections */
export function readOptions(args, maxConnections) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: "boolean", default: false },
      out: { type: "string" },
      only: { type: "string" },
      modes: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const isPart = values.only !== undefined || values.modes !== undefined;
  return {
    help: values.help,
    out: values.out === undefined ? (isPart ? undefined : docs) : resolve(values.out),
    contestants: chosen(contestants, values.only && `${BASE},${values.only}`),
    plan: planOf(values.quick ? quickPlan() : fullPlan(maxConnections), values.modes),
  };
}

/** @param {import("./plans.mjs").Plan} plan @param {string | undefined} names */
function planOf(plan, names) {
  const known = [...plan.series.flatMap(({ modes }) => modes), OPERATIONS];
  const wanted = new Set(chosen(known, names));
  const series = plan.series.map((one) => ({ ...one, modes: one.modes.filter((mode) => wanted.has(mode)) }));
  return {
    ...plan,
    series: series.filter(({ modes }) => modes.length > 0),
    measuresIdle: names === undefined,
    measuresOperations: wanted.has(OPERATIONS),
  };
}

/**
 * @template {{ name: string }} Named
 * @param {readonly Named[]} all
 * @param {string | undefined} names
 */
function chosen(all, names) {
  if (names === undefined) return all;
  const wanted = names.split(",");
  const unknown = wanted.find((name) => !all.some((one) => one.name === name));
  if (unknown !== undefined) throw new Error(`${unknown} is none of ${all.map(({ name }) => name).join(", ")}`);
  return all.filter(({ name }) => wanted.includes(name));
}
