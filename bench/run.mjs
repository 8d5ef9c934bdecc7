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
import { BASE } from "./contestants.mjs";
import { enter, prospect } from "./field.mjs";
import { figuresOf } from "./figures.mjs";
import { faultsOf, gate } from "./gate.mjs";
import { idle } from "./idle.mjs";
import { makeLanes } from "./lanes.mjs";
import { cores, describeMachine, forgetTimeWaits, maxConnections, moveTo, raiseFileLimit } from "./machine.mjs";
import { readOptions, USAGE } from "./options.mjs";
import { portChooser } from "./ports.mjs";
import { Processes, untilOpen } from "./processes.mjs";
import { progress } from "./progress.mjs";
import { writeReport } from "./report/markdown.mjs";
import { asText, costTable, GROUPS, gateTable, idleTable, latencyTable, ratioTable } from "./report/tables.mjs";
import { canRun, runRounds, warmUp } from "./rounds.mjs";

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
const NO_TLS = "TLS was not measured: OpenSSL's headers (libssl-dev) are not installed.";
const LIMIT_S = 7_200; // no run takes longer; the server behind then ends by itself

/**
 * @typedef {object} Results
 * @property {string} kind
 * @property {string} when
 * @property {import("./machine.mjs").Machine} machine
 * @property {Pick<import("./contestants.mjs").Contestant, "name" | "title" | "about" | "notes" | "isPeer">[]} contestants
 * @property {import("./modes.mjs").Mode[]} modes
 * @property {Record<string, import("./gate.mjs").Finding[]>} gate by contestant
 * @property {Record<string, import("./idle.mjs").Idle>} idle by contestant
 * @property {import("./figures.mjs").Figure[]} figures
 * @property {import("./rounds.mjs").Series[]} series
 * @property {{ contestant: string, mode: string, fault: string }[]} faults why there is no figure
 * @property {string[]} missing what this machine could not measure at all
 */

/** @typedef {ReturnType<typeof readOptions>} Options */
/** @typedef {{ ground: import("./field.mjs").Ground, tools: import("./compile.mjs").Tools, processes: Processes }} Bench */

async function main() {
  raiseFileLimit();
  const options = readOptions(process.argv.slice(2), maxConnections());
  if (options.help) return void process.stdout.write(USAGE);
  prepare();
  const { measured, others } = cores();
  moveTo(others);
  const processes = new Processes(measured);
  const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-"));
  const restore = forgetTimeWaits();
  process.once("exit", () => {
    // Here, so that it happens after an unexpected error as well.
    restore();
    rmSync(folder, { recursive: true, force: true });
  });
  process.stdout.on("error", () => {}); // whoever read it has seen enough
  stopOnSignals(processes);
  try {
    const bench = await setUp(processes, folder);
    const results = await measure(bench, options);
    for (const table of terminalTables(results)) process.stdout.write(`${asText(table)}\n`);
    for (const line of results.missing) process.stdout.write(`${line}\n`);
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

/** @param {Processes} processes @param {string} folder @returns {Promise<Bench>} */
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
  return { ground, tools, processes };
}

/** @param {Bench} bench @param {Options} options @returns {Promise<Results>} */
async function measure(bench, { contestants, plan }) {
  const when = new Date().toISOString();
  const tell = progress(stepsOf(bench, contestants, plan));
  const { entrants, ...first } = await lookAtEach(bench, contestants, plan, tell);
  const series = [];
  await warmUp(bench, entrants, plan.warmUp, tell.step);
  for (const part of plan.series) series.push(...(await runRounds(bench, entrants, part, tell.step)));
  return {
    kind: plan.kind,
    when,
    machine: describeMachine(),
    contestants: contestants.map(({ name, title, about, notes, isPeer }) => ({ name, title, about, notes, isPeer })),
    modes: plan.series.flatMap(({ modes }) => modes),
    ...first,
    figures: figuresOf(series, BASE),
    series,
    faults: series.flatMap(({ contestant, mode, fault }) => (fault === undefined ? [] : [{ contestant, mode, fault }])),
    missing: [...plan.missing, ...(bench.tools.loadTls === undefined ? [NO_TLS] : [])],
  };
}

/**
 * The gate and idle memory, each contestant fresh and alone; then all that passed are started again for the rounds.
 * @param {Bench} bench
 * @param {Options["contestants"]} contestants
 * @param {Options["plan"]} plan
 * @param {import("./progress.mjs").Progress} tell
 */
async function lookAtEach(bench, contestants, plan, tell) {
  /** @type {Results["gate"]} */
  const findings = {};
  /** @type {Results["idle"]} */
  const memory = {};
  const sound = [];
  for (const contestant of contestants) {
    tell.step(`correctness and idle memory  ${contestant.title}`);
    const { name, title } = contestant;
    const seen = await lookAt(bench, contestant, plan);
    findings[name] = seen.findings;
    if (seen.memory) memory[name] = seen.memory;
    const faults = faultsOf(seen.findings);
    for (const { check, fault } of faults) tell.note(`${title} is left out: ${check}: ${fault}`);
    if (faults.length === 0) sound.push(contestant);
  }
  const entrants = [];
  for (const contestant of sound) entrants.push(await enter(bench.ground, contestant));
  return { entrants, gate: findings, idle: memory };
}

/**
 * @param {Bench} bench
 * @param {import("./contestants.mjs").Contestant} contestant
 * @param {Options["plan"]} plan
 * @returns {Promise<{ findings: import("./gate.mjs").Finding[], memory?: import("./idle.mjs").Idle }>}
 */
async function lookAt(bench, contestant, plan) {
  /** @type {import("./field.mjs").Entrant | undefined} */
  let entrant;
  try {
    entrant = await enter(bench.ground, contestant);
    const measured = plan.measuresIdle && canHold(entrant, plan.idle.connections);
    const memory = measured ? await idle(bench, entrant, plan.idle) : undefined;
    return { findings: await gate(entrant), ...(memory && { memory }) };
  } catch (cause) {
    if (bench.processes.isStopping) throw cause;
    return { findings: [{ check: "starts and serves", claimed: true, fault: messageOf(cause) }] };
  } finally {
    if (entrant) await bench.processes.stop(entrant.running);
  }
}

/** @param {unknown} cause */
function messageOf(cause) {
  return cause instanceof Error ? cause.message : String(cause);
}

/** @param {import("./field.mjs").Entrant} entrant @param {number} connections */
function canHold({ contestant, maxConnections }, connections) {
  return !contestant.isPeer && contestant.modes === undefined && connections <= maxConnections;
}

/** How often progress will be told. @param {Bench} bench @param {Options["contestants"]} contestants @param {Options["plan"]} plan */
function stepsOf({ ground, tools }, contestants, { series }) {
  const all = contestants.map((contestant) => prospect(ground, contestant));
  const visits = series.flatMap(({ modes, rounds }) =>
    modes.map((mode) => rounds * all.filter((one) => canRun(one, mode, tools)).length),
  );
  return visits.reduce((sum, count) => sum + count, 2 * contestants.length);
}

/** @param {Results} results */
function terminalTables(results) {
  const groups = GROUPS.flatMap(({ group, title }) =>
    [ratioTable, costTable, latencyTable].map((table) => {
      const made = table(results, group);
      return { ...made, title: `${title}: ${made.title}` };
    }),
  );
  return [gateTable(results), ...groups, idleTable(results)].filter(
    ({ head, rows }) => head.length > 1 && rows.length > 0,
  );
}

main().catch((/** @type {Error} */ cause) => {
  // After a signal the exit code is set, and what failed then did so because of it.
  process.stderr.write(process.exitCode ? "\nstopped\n" : `\n${cause.stack ?? cause.message}\n`);
  process.exitCode ||= 1;
});
