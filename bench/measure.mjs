// A whole run: the gate and idle memory for each contestant alone, then rounds with all that passed.
import { BASE, WIDE_BASE } from "./contestants.mjs";
import { enter, NotAvailable, prospect } from "./field.mjs";
import { figuresOf } from "./figures.mjs";
import { faultsOf, gate } from "./gate.mjs";
import { idle } from "./idle.mjs";
import { describeMachine } from "./machine.mjs";
import { isOperated, operateAll } from "./operate.mjs";
import { progress } from "./progress.mjs";
import { canRun, runRounds, warmUp } from "./rounds.mjs";
import { judge } from "./targets.mjs";

const NO_TLS = "TLS was not measured: OpenSSL's headers (libssl-dev) are not installed.";

/**
 * @typedef {Pick<import("./contestants.mjs").Contestant, "name" | "title" | "about" | "notes" | "isPeer">} Shown of a contestant
 * @typedef {object} Results
 * @property {string} kind
 * @property {string} when
 * @property {import("./machine.mjs").Machine} machine
 * @property {readonly string[]} conditions in which the machine was not as it should be
 * @property {Shown[]} contestants
 * @property {Record<string, string>} unavailable by contestant: why it did not take part
 * @property {import("./modes.mjs").Mode[]} modes
 * @property {Record<string, import("./gate.mjs").Finding[]>} gate by contestant
 * @property {Record<string, import("./idle.mjs").Idle>} idle by contestant
 * @property {import("./operate.mjs").Operation[]} operations reload and session list
 * @property {import("./figures.mjs").Figure[]} figures
 * @property {import("./targets.mjs").Verdict[]} targets
 * @property {import("./rounds.mjs").Series[]} series
 * @property {{ contestant: string, mode: string, fault: string }[]} faults why there is no figure
 * @property {string[]} missing what this run did not measure at all
 */

/**
 * @typedef {ReturnType<typeof import("./options.mjs").readOptions>} Options
 * @typedef {{ ground: import("./field.mjs").Ground, tools: import("./compile.mjs").Tools,
 *   processes: import("./processes.mjs").Processes, tell: number }} Bench `tell`: port of the server behind that gives its record
 */

/** @param {Bench} bench @param {Options} options @param {readonly string[]} conditions @returns {Promise<Results>} */
export async function measure(bench, { contestants, plan }, conditions) {
  const when = new Date().toISOString();
  const tell = progress(stepsOf(bench, contestants, plan));
  const { entrants, operated, ...first } = await lookAtEach(bench, contestants, plan, tell);
  const { operations } = operated;
  const series = [];
  if (plan.series.length > 0) await warmUp(bench, entrants, plan.warmUp, tell.step);
  for (const part of plan.series) series.push(...(await runRounds(bench, entrants, part, tell.step)));
  const figures = figuresOf(series, { base: BASE, wideBase: WIDE_BASE });
  return {
    kind: plan.kind,
    when,
    machine: describeMachine(),
    conditions,
    contestants: contestants.map(shown),
    modes: plan.series.flatMap(({ modes }) => modes),
    ...first,
    operations,
    figures,
    targets: judge({ figures, idle: first.idle, operations, unavailable: first.unavailable }),
    series,
    faults: [...faultsIn(series), ...operated.faults],
    missing: [...plan.missing, ...(bench.tools.loadTls === undefined ? [NO_TLS] : [])],
  };
}

/** @param {Results["series"]} series @returns {Results["faults"]} */
function faultsIn(series) {
  return series.flatMap(({ contestant, mode, fault }) => (fault === undefined ? [] : [{ contestant, mode, fault }]));
}

/** @param {import("./contestants.mjs").Contestant} contestant @returns {Shown} */
function shown({ name, title, about, notes, isPeer }) {
  return { name, title, about, ...(notes && { notes }), ...(isPeer && { isPeer }) };
}

/**
 * The gate, idle memory and an operator's questions, each contestant fresh and alone; then all that passed are started again for the rounds.
 * @param {Bench} bench
 * @param {Options["contestants"]} contestants
 * @param {Options["plan"]} plan
 * @param {import("./progress.mjs").Progress} tell
 */
async function lookAtEach(bench, contestants, plan, tell) {
  /** @type {Pick<Results, "gate" | "idle" | "unavailable">} */
  const seen = { gate: {}, idle: {}, unavailable: {} };
  const entrants = [];
  const sound = [];
  for (const contestant of contestants) {
    tell.step(`correctness and idle memory  ${contestant.title}`);
    if (await isSound(bench, contestant, plan, { seen, tell })) sound.push(contestant);
  }
  const asked = plan.measuresOperations ? sound.filter(isOperated) : [];
  const operated = await operateAll(bench, asked, plan.operations, tell.step);
  for (const contestant of sound) {
    try {
      entrants.push(await enter(bench.ground, contestant));
    } catch (cause) {
      leaveOut(contestant, cause, { seen, tell });
    }
  }
  return { entrants, operated, ...seen };
}

/**
 * @typedef {{ seen: Pick<Results, "gate" | "idle" | "unavailable">, tell: import("./progress.mjs").Progress }} Notes
 * @param {Bench} bench
 * @param {import("./contestants.mjs").Contestant} contestant
 * @param {Options["plan"]} plan
 * @param {Notes} notes
 */
async function isSound(bench, contestant, plan, notes) {
  try {
    const { findings, memory } = await lookAt(bench, contestant, plan);
    notes.seen.gate[contestant.name] = findings;
    if (memory) notes.seen.idle[contestant.name] = memory;
    const faults = faultsOf(findings);
    for (const { check, fault } of faults) notes.tell.note(`${contestant.title} is left out: ${check}: ${fault}`);
    return faults.length === 0;
  } catch (cause) {
    leaveOut(contestant, cause, notes);
    return false;
  }
}

/** @param {import("./contestants.mjs").Contestant} contestant @param {unknown} cause @param {Notes} notes */
function leaveOut({ name, title }, cause, { seen, tell }) {
  if (!(cause instanceof NotAvailable)) throw cause;
  seen.unavailable[name] = cause.message;
  tell.note(`${title} is not available: ${cause.message}`);
}

/**
 * @param {Bench} bench
 * @param {import("./contestants.mjs").Contestant} contestant
 * @param {Options["plan"]} plan
 * @returns {Promise<{ findings: import("./gate.mjs").Finding[], memory?: import("./idle.mjs").Idle }>}
 */
async function lookAt(bench, contestant, plan) {
  const entrant = await enter(bench.ground, contestant);
  try {
    const measured = plan.measuresIdle && canHold(entrant, plan.idle.connections);
    const memory = measured ? await idle(bench, entrant, plan.idle) : undefined;
    return { findings: await gate(entrant, bench.tell), ...(memory && { memory }) };
  } catch (cause) {
    if (bench.processes.isStopping) throw cause;
    return { findings: [{ check: "serves", claimed: true, fault: messageOf(cause) }] };
  } finally {
    await bench.processes.stop(entrant.running);
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
function stepsOf({ ground, tools }, contestants, { series, measuresOperations }) {
  const all = contestants.map((contestant) => prospect(ground, contestant));
  const visits = series.flatMap(({ modes, rounds }) =>
    modes.map((mode) => rounds * all.filter((one) => canRun(one, mode, tools)).length),
  );
  const asked = measuresOperations ? contestants.filter(isOperated).length : 0;
  return visits.reduce((sum, count) => sum + count, 2 * contestants.length + asked);
}
