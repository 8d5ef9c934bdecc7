// `npm run bench`: RestyConf beside other proxies, all with one job, on one core.
import { mkdtempSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { build, isBuilt } from "../scripts/build.mjs";
import { installPackages } from "../scripts/packages.mjs";
import { installPrograms } from "../scripts/programs.mjs";
import { makeCertificate } from "./certificate.mjs";
import { compileTools } from "./compile.mjs";
import { prepareKernel } from "./kernel.mjs";
import { makeLanes } from "./lanes.mjs";
import { cores, maxConnections, moveTo, raiseFileLimit } from "./machine.mjs";
import { measure } from "./measure.mjs";
import { readOptions, USAGE } from "./options.mjs";
import { portChooser } from "./ports.mjs";
import { Processes, untilOpen } from "./processes.mjs";
import { writeReport } from "./report/markdown.mjs";
import { asText, terminalTables } from "./report/tables.mjs";

const PROGRAMS = [
  ["cc", "gcc"],
  ["/usr/include/stdio.h", "libc6-dev"],
  ["taskset", "util-linux"],
  ["setpriv", "util-linux"],
  ["prlimit", "util-linux"],
  ["openssl", "openssl"],
  ["nginx", "nginx"],
  ["/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"],
  ["haproxy", "haproxy"],
  ["sslh-select", "sslh"],
];
const TLS_HEADERS = ["/usr/include/openssl/ssl.h", "libssl-dev"]; // without them there are no TLS modes, and the report says so
const LIMIT_S = 7_200; // no run takes longer; the server behind then ends by itself

async function main() {
  raiseFileLimit();
  const options = readOptions(process.argv.slice(2), maxConnections());
  if (options.help) return void process.stdout.write(USAGE);
  prepare();
  const { measured, others } = cores();
  moveTo(others);
  const processes = new Processes(measured);
  const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-"));
  const kernel = prepareKernel();
  process.once("exit", () => {
    // Here, so that it happens after an unexpected error as well.
    kernel.restore();
    rmSync(folder, { recursive: true, force: true });
  });
  process.stdout.on("error", () => {}); // whoever read it has seen enough
  stopOnSignals(processes);
  try {
    const bench = await setUp(processes, folder);
    const results = await measure(bench, options, kernel.shortfalls);
    process.stdout.write(terminalText(results));
    if (options.out !== undefined) {
      writeReport(results, options.out);
      process.stdout.write(`written to ${join(options.out, "benchmarks.md")}\n`);
    }
  } finally {
    await processes.stopAll();
  }
}

function prepare() {
  installPackages();
  if (!isBuilt()) build();
  installPrograms(process.getuid?.() === 0 ? [...PROGRAMS, TLS_HEADERS] : PROGRAMS, "The benchmarks need");
}

/** The first signal ends the run and everything it has started; what is cut short then fails, and `finally` tidies up. @param {Processes} processes */
function stopOnSignals(processes) {
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM", "SIGHUP"])) {
    process.on(signal, () => {
      process.exitCode = 128 + constants.signals[signal];
      processes.stopAll();
    });
  }
}

/** @param {Processes} processes @param {string} folder @returns {Promise<import("./measure.mjs").Bench>} */
async function setUp(processes, folder) {
  const tools = compileTools(folder);
  const port = portChooser();
  const { peer, lanes } = await makeLanes(port);
  const running = processes.start({ command: tools.server, args: [String(LIMIT_S), ...peer.args] });
  const { refused, ...open } = peer.ports;
  await untilOpen(running, Object.values(open));
  const certificate = makeCertificate(folder);
  const peerPid = running.child.pid ?? 0;
  const ground = { processes, folder, lanes, peerPid, certificate, maxConnections: maxConnections(), port };
  return { ground, tools, processes, tell: peer.ports.tell };
}

/** @param {import("./measure.mjs").Results} results */
function terminalText(results) {
  const { contestants, unavailable, missing, conditions } = results;
  const absent = contestants.flatMap(({ name, title }) =>
    name in unavailable ? [`${title} is not available: ${unavailable[name]}`] : [],
  );
  const lines = [...absent, ...conditions, ...missing].map((line) => `${line}\n`);
  return [...terminalTables(results).map((table) => `${asText(table)}\n`), ...lines].join("");
}

main().catch((/** @type {Error} */ cause) => {
  // After a signal the exit code is set, and what failed then did so because of it.
  process.stderr.write(process.exitCode ? "\nstopped\n" : `\n${cause.stack ?? cause.message}\n`);
  process.exitCode ||= 1;
});
