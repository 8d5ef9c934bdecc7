// Every package that users install with RestyConf must have a licence of this list; prints how many of each there are.
import { readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ALLOWED = new Set(["MIT", "ISC", "0BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "BlueOak-1.0.0"]);
const root = fileURLToPath(new URL("..", import.meta.url));
const { packages } = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8"));

const counts = new Map();
const refused = [];
for (const [path, entry] of Object.entries(packages)) {
  if (path === "" || entry.dev) continue;
  const licence = licenceOf(path) ?? entry.license ?? "none";
  counts.set(licence, (counts.get(licence) ?? 0) + 1);
  if (!isAllowed(licence)) refused.push(`${path}: ${licence}`);
}
for (const [licence, count] of [...counts].sort(([, a], [, b]) => b - a)) console.log(`${count}\t${licence}`);
if (refused.length > 0) {
  console.error(`not allowed:\n${refused.join("\n")}`);
  process.exitCode = 1;
}

/** What the installed package says of itself; undefined when it is a binary of another platform, not installed here. */
function licenceOf(path) {
  try {
    return JSON.parse(readFileSync(`${root}${path}/package.json`, "utf8")).license;
  } catch {
    return undefined;
  }
}

/** Of "A OR B" one is enough, of "A AND B" both are needed; brackets do not nest in practice. */
function isAllowed(expression) {
  const choices = expression.replace(/[()]/g, "").split(" OR ");
  return choices.some((choice) => choice.split(" AND ").every((name) => ALLOWED.has(name.trim())));
}
