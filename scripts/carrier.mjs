// Compiles the carrier, native/*.c, to prebuilds/<platform>-<arch>/carrier.node. It appears whole or not at all. Without a
// compiler, or on another system than Linux, the gateway takes the node path, which needs nothing of this.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { hashOf } from "./hash-of.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const native = join(root, "native");
const require = createRequire(import.meta.url);
const WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion"];
/** Hidden: no other library of the process can meet our names. */
const FLAGS = ["-std=c11", "-O2", "-fPIC", "-shared", "-pthread", "-fvisibility=hidden", ...WARNINGS];

/** More flags for the compiler, such as those of a sanitizer; what they make has a folder of its own. */
const extra = (process.env.CARRIER_CFLAGS ?? "").split(" ").filter((flag) => flag !== "");
/** As make takes it: a program, and perhaps arguments. */
const [compiler, ...words] = (process.env.CC || "cc").trim().split(/\s+/);

/** Whether the carrier was made from the sources as they are now, or cannot be made here. */
export function isCarrierBuilt() {
  const stamp = join(folder(), ".stamp");
  return process.platform !== "linux" || (existsSync(stamp) && readFileSync(stamp, "utf8") === fingerprint());
}

/** Makes the carrier anew if a compiler is there; otherwise says what follows from that. Throws when the sources do not compile. */
export function buildCarrier() {
  if (process.platform !== "linux") return;
  if (!hasCompiler()) {
    if (process.argv.includes("--required"))
      throw new Error(`no C compiler (${compiler}), and the package needs a carrier`);
    process.stderr.write(`no C compiler (${compiler}): the gateway will take the node path\n`);
    rmSync(join(folder(), "carrier.node"), { force: true }); // an older one may be there, and mean something else
    return;
  }
  process.stderr.write("building the carrier\n");
  const made = fingerprint();
  const fresh = join(root, `.carrier-${process.pid}`);
  mkdirSync(fresh, { recursive: true });
  try {
    compile(join(fresh, "carrier.node"));
    writeFileSync(join(fresh, ".stamp"), made);
    mkdirSync(folder(), { recursive: true });
    // Each file replaces its predecessor at once, and the stamp, which vouches for the other, comes last.
    for (const name of ["carrier.node", ".stamp"]) renameSync(join(fresh, name), join(folder(), name));
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Where the gateway looks; what has more flags is for whoever asked for it, and is not published. */
function folder() {
  if (extra.length === 0) return join(root, "prebuilds", `${process.platform}-${process.arch}`);
  return join(root, `.carrier${extra.join("").replaceAll(/[^a-z0-9]+/gi, "-")}`);
}

function hasCompiler() {
  return spawnSync(compiler, [...words, "--version"], { stdio: "ignore" }).status === 0;
}

function compile(target) {
  const args = [
    ...words,
    ...FLAGS,
    `-I${headers()}`,
    ...extra,
    "-o",
    target,
    ...sources().filter((path) => path.endsWith(".c")),
    "-lm",
  ];
  const run = spawnSync(compiler, args, { encoding: "utf8" });
  if (run.stderr) process.stderr.write(run.stderr);
  if (run.status !== 0) throw new Error("the carrier does not compile");
}

/** Asked when it is needed: the packages may not be installed when this module is loaded. */
function headers() {
  return join(dirname(require.resolve("node-api-headers")), "include");
}

/** The carrier's own; its tests are in a folder below. */
function sources() {
  const names = readdirSync(native).filter((name) => /\.[ch]$/.test(name));
  return names.sort().map((name) => join(native, name));
}

function fingerprint() {
  const all = [...sources(), ...readdirSync(headers()).map((name) => join(headers(), name))];
  return hashOf(all, JSON.stringify([FLAGS, extra, process.arch]));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    buildCarrier();
  } catch (cause) {
    process.stderr.write(`${cause.message}\n`);
    process.exitCode = 1;
  }
}
