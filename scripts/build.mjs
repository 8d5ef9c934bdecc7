// Compiles src to dist. The result appears whole or not at all, so a gateway that starts meanwhile never sees half of it.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { hashOf } from "./hash-of.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const stamp = join(dist, ".stamp"); // the fingerprint of what dist was made from
const SWAPS = 5; // tries against another build that finishes at the same moment

/** Whether dist was made from the sources as they are now. */
export function isBuilt() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint();
}

/** Makes dist anew; throws, and leaves the old one alone, when the sources do not compile. */
export function build() {
  process.stderr.write("building dist\n");
  const made = fingerprint(); // before compiling: a file saved meanwhile must make dist stale
  // Beside dist, so that the source maps' relative paths stay right after the move.
  const fresh = join(root, `.dist-${process.pid}`);
  try {
    compile(fresh);
    chmodSync(join(fresh, "cli.js"), 0o755);
    writeFileSync(join(fresh, ".stamp"), made);
    swap(fresh);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

function compile(outDir) {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const args = [tsc, "-p", "tsconfig.build.json", "--outDir", outDir];
  const run = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`${run.stdout}${run.stderr}the sources do not compile`);
}

function swap(fresh) {
  const old = `${fresh}-old`;
  for (let left = SWAPS; ; left--) {
    try {
      if (existsSync(dist)) renameSync(dist, old);
      renameSync(fresh, dist);
      return;
    } catch (cause) {
      if (left === 1) throw cause;
    } finally {
      rmSync(old, { recursive: true, force: true });
    }
  }
}

function fingerprint() {
  const sources = readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return hashOf([...sources.sort(), join(root, "tsconfig.json"), join(root, "tsconfig.build.json")]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    build();
  } catch (cause) {
    process.stderr.write(`${cause.message}\n`);
    process.exitCode = 1;
  }
}
