// Runs the carrier's engine without Node, through everything that its test program knows: as it is, under the address, undefined
// behaviour and thread sanitizers, and under valgrind. Each must be silent but for its progress.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { installPrograms } from "./programs.mjs";

const native = fileURLToPath(new URL("../native", import.meta.url));
const FLAGS = [
  "-std=c11",
  "-O1",
  "-g",
  "-pthread",
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Wshadow",
  "-Wconversion",
  "-Werror",
  "-DDRAIN_MS=2000", // nobody should wait for those who never read
];
const LEAKS = "definite,indirect"; // glibc keeps the stacks of threads, which valgrind calls possibly lost
const VALGRIND = [
  "valgrind",
  "--quiet",
  "--error-exitcode=9",
  "--fair-sched=yes", // else a thread that is busy starves the others
  "--leak-check=full",
  `--show-leak-kinds=${LEAKS}`,
  `--errors-for-leak-kinds=${LEAKS}`,
];
const MOST_MS = 120_000;
const [compiler, ...words] = (process.env.CC || "cc").trim().split(/\s+/);

/** What moves goes to io_uring at once, and finds few buffers there, so that all that is rare happens often. */
const RARE = ["-DCALM_TURNS=1u", "-DRING_BUFFERS=4u"];
const ADDRESS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
const THREADS = ["-fsanitize=thread"];

/** `divisor` makes the stories shorter where everything is slow. Where io_uring cannot be had, epoll is checked twice. */
const CHECKS = [
  { name: "plain, epoll", flags: [], divisor: 1, engine: "epoll" },
  { name: "plain, io_uring", flags: [], divisor: 1 },
  { name: "address and undefined behaviour, epoll", flags: ADDRESS, divisor: 1, engine: "epoll" },
  { name: "address and undefined behaviour, io_uring", flags: [...ADDRESS, ...RARE], divisor: 1 },
  { name: "threads, epoll", flags: THREADS, divisor: 4, engine: "epoll" },
  { name: "threads, io_uring", flags: [...THREADS, ...RARE], divisor: 4 },
  // valgrind has its own idea of the limit of open files, so that story cannot be told there; and all its threads stand still
  // while one waits for io_uring.
  { name: "valgrind, epoll", flags: [], divisor: 10, command: VALGRIND, without: "exhaustion", engine: "epoll" },
];

installPrograms(
  [
    ["cc", "gcc"],
    ["/usr/include/stdio.h", "libc6-dev"],
    ["valgrind", "valgrind"],
  ],
  "These checks need",
);
const folder = mkdtempSync(join(tmpdir(), "carrier-checks-"));
try {
  for (const check of CHECKS) run(check);
} catch (cause) {
  process.stderr.write(`${cause.message}\n`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run({ name, flags, divisor, command = [], without = "", engine = "" }) {
  const start = Date.now();
  const program = join(folder, "drive");
  execute(compiler, [...words, ...FLAGS, ...flags, "-o", program, ...sources(), "-lm"], process.env);
  const [first, ...rest] = [...command, program];
  const env = {
    ...process.env,
    DRIVE_DIVISOR: String(divisor),
    DRIVE_WITHOUT: without,
    DRIVE_ENGINE: engine,
    TSAN_OPTIONS: "halt_on_error=1",
  };
  execute(first, rest, env);
  process.stdout.write(`${name}: clean, ${Math.round((Date.now() - start) / 1000)} s\n`);
}

/** The engine without its binding to Node, and the stories. */
function sources() {
  const tests = join(native, "test");
  const engine = readdirSync(native).filter((file) => file.endsWith(".c") && !file.startsWith("addon"));
  const stories = readdirSync(tests).filter((file) => file.endsWith(".c"));
  return [...engine.map((file) => join(native, file)), ...stories.map((file) => join(tests, file))];
}

function execute(program, args, env) {
  const run = spawnSync(program, args, { encoding: "utf8", env, timeout: MOST_MS });
  if (run.error) throw new Error(`${program}: ${run.error.message}\n${run.stdout ?? ""}${run.stderr ?? ""}`);
  if (run.status !== 0) throw new Error(`${run.stdout}${run.stderr}${program} failed (${run.signal ?? run.status})`);
}
