// The npm packages of the lock file: are they there, and if not, get them.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const QUIET = ["--no-audit", "--no-fund", "--loglevel=error", "--include=dev"];

/** Brings `node_modules` to what `package-lock.json` says; does nothing when it is so already. */
export function installPackages() {
  if (areInstalled()) return;
  process.stderr.write("installing npm packages\n");
  const clean = npm("ci");
  if (clean.status === 0) return;
  // `npm ci` refuses a lock from which npm dropped a binary of another platform; `npm install` takes it as it is.
  const loose = npm("install", "--no-save");
  if (loose.status === 0) return;
  throw new Error(`npm ci:\n${clean.output}\nnpm install:\n${loose.output}\ncannot install the npm packages`);
}

/** Compares contents, not times: git sets times at random, and npm notes what it installed in a lock file of its own. */
function areInstalled() {
  const wanted = packagesOf("package-lock.json");
  const installed = packagesOf("node_modules/.package-lock.json");
  if (!wanted || !installed) return false;
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    if (path === "") return true; // the project itself
    const found = installed[path];
    return found ? found.version === version : optional; // absent: a binary of another platform
  });
}

function packagesOf(lockFile) {
  try {
    return JSON.parse(readFileSync(`${root}${lockFile}`, "utf8")).packages;
  } catch {
    return undefined;
  }
}

function npm(...args) {
  const cli = process.env.npm_execpath; // set by npm itself: the same npm, and no shell needed on Windows
  const ours = cli !== undefined && basename(cli).startsWith("npm");
  const [program, first] = ours ? [process.execPath, [cli]] : ["npm", []];
  const run = spawnSync(program, [...first, ...args, ...QUIET], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  return { status: run.status, output: run.error ? run.error.message : `${run.stdout}${run.stderr}`.trim() };
}
