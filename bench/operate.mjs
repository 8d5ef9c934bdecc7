// What an operator asks of a gateway full of sessions: to read its configuration again, and to list the sessions.
import { setTimeout as sleep } from "node:timers/promises";
import { ask } from "./ask.mjs";
import { enter, NotAvailable } from "./field.mjs";
import { rangeOf } from "./figures.mjs";
import { runLoad } from "./load.mjs";
import { Meter } from "./meter.mjs";

const SETTLE_MS = 300; // what the opening of many sessions leaves to do
const COUNT_MS = 10_000; // for all sessions to be there, or to be gone
const RETRY_MS = 20;
const WARM_UP_ASKS = 5; // of each question, before the first sample: JavaScript is compiled in steps

/** What `--modes` calls all of it, and what a fault is told of. */
export const OPERATIONS = { name: "operations", title: "reload and session list" };

const LIST = { name: "list", title: "session list", question: "GET /sessions" };
const RELOAD = { name: "reload", title: "reload", question: "POST /reload" };

/** The questions, in the order of tables. */
export const QUESTIONS = [RELOAD, LIST];

/**
 * @typedef {import("./figures.mjs").Range} Range
 * @typedef {{ round: number, tookNs: number, cpuNs: number }} Sample one question: time until the answer was there, and CPU time
 *   of all threads and processes of the gateway meanwhile
 * @typedef {{ contestant: string, operation: string, sessions: number, tookNs: Range, cpuNs: Range, samples: Sample[] }} Operation
 * @typedef {{ sessions: readonly number[], rounds: number }} OperationPlan
 * @typedef {Pick<import("./measure.mjs").Bench, "ground" | "processes" | "tools">} Bench
 */

/** Those that can be asked, on each path once: a hook, and the way to wait, change nothing here. @param {import("./contestants.mjs").Contestant} contestant */
export function isOperated({ control, modes }) {
  return control !== undefined && modes === undefined;
}

/**
 * Starts each contestant alone and asks it. What fails is told, and costs it these figures alone.
 * @param {Bench} bench
 * @param {readonly import("./contestants.mjs").Contestant[]} contestants
 * @param {OperationPlan} plan
 * @param {(done: string) => void} tell progress
 * @returns {Promise<{ operations: Operation[], faults: { contestant: string, mode: string, fault: string }[] }>}
 */
export async function operateAll(bench, contestants, plan, tell) {
  const operations = [];
  const faults = [];
  for (const contestant of contestants) {
    tell(`${OPERATIONS.title}  ${contestant.title}`);
    try {
      const entrant = await enter(bench.ground, contestant);
      try {
        operations.push(...(await operate(bench, entrant, plan)));
      } finally {
        await bench.processes.stop(entrant.running);
      }
    } catch (cause) {
      if (bench.processes.isStopping || !(cause instanceof Error)) throw cause;
      if (cause instanceof NotAvailable) continue; // the rounds meet it again, and say so
      faults.push({ contestant: contestant.name, mode: OPERATIONS.title, fault: cause.message });
    }
  }
  return { operations, faults };
}

/**
 * @param {Bench} bench
 * @param {import("./field.mjs").Entrant} entrant
 * @param {OperationPlan} plan
 * @returns {Promise<Operation[]>}
 */
export async function operate(bench, entrant, { sessions, rounds }) {
  const operations = [];
  for (const count of sessions.filter((most) => most <= entrant.maxConnections)) {
    await untilSessions(entrant, 0);
    const samples = await amid(bench, entrant, count, () => askInRounds(entrant, count, rounds));
    for (const { name } of QUESTIONS) operations.push(operationOf(entrant, name, count, samples[name]));
  }
  return operations;
}

/** @param {import("./field.mjs").Entrant} entrant @param {string} operation @param {number} sessions @param {Sample[]} samples @returns {Operation} */
function operationOf({ contestant }, operation, sessions, samples) {
  const of = (/** @type {"tookNs" | "cpuNs"} */ key) => rangeOf(samples.map((sample) => sample[key]));
  return { contestant: contestant.name, operation, sessions, tookNs: of("tookNs"), cpuNs: of("cpuNs"), samples };
}

/**
 * Works while so many sessions are relayed that have exchanged their first bytes and now say nothing.
 * @template Done
 * @param {Bench} bench
 * @param {import("./field.mjs").Entrant} entrant
 * @param {number} connections
 * @param {() => Promise<Done>} work
 * @returns {Promise<Done>}
 */
async function amid({ processes, tools }, { lanes: { echo } }, connections, work) {
  /** @type {Promise<Done> | undefined} */
  let done;
  const onEnd = () => {
    done = work();
    return done; // the connections are held until then
  };
  const held = { tool: tools.load, port: echo.port, opening: echo.opening, mode: "hold", connections };
  await runLoad(processes, { ...held, warmMs: 0, windowMs: SETTLE_MS }, { onEnd });
  if (done === undefined) throw new Error("the connections were not held");
  return done;
}

/** The questions take turns. @param {import("./field.mjs").Entrant} entrant @param {number} sessions @param {number} rounds */
async function askInRounds(entrant, sessions, rounds) {
  await untilSessions(entrant, sessions);
  /** @type {Record<string, Sample[]>} */
  const samples = Object.fromEntries(QUESTIONS.map(({ name }) => [name, []]));
  for (let round = -WARM_UP_ASKS; round < rounds; round++) {
    for (const { name, question } of QUESTIONS) {
      const { answer, ...cost } = await askMetered(entrant, question);
      if (name === LIST.name) checkListed(answer, sessions);
      if (round >= 0) samples[name].push({ round, ...cost });
    }
  }
  return samples;
}

/** @param {import("./field.mjs").Entrant} entrant @param {string} question */
async function askMetered(entrant, question) {
  const meter = new Meter(entrant.pids);
  meter.begin();
  try {
    const asked = await ask(controlOf(entrant), question);
    meter.end();
    return { ...asked, cpuNs: meter.cpuNs };
  } finally {
    meter.stop();
  }
}

/** A list without all sessions, or one after a reload that has ended some, is no figure. @param {Record<string, unknown>} answer @param {number} sessions */
function checkListed(answer, sessions) {
  const listed = countOf(answer);
  if (listed !== sessions) throw new Error(`${listed} of ${sessions} sessions are listed`);
}

/** Ports are open a moment before the socket for questions is. @param {import("./field.mjs").Entrant} entrant @param {number} count */
async function untilSessions(entrant, count) {
  const deadline = performance.now() + COUNT_MS;
  for (;;) {
    const found = await ask(controlOf(entrant), LIST.question).then(
      ({ answer }) => countOf(answer),
      (/** @type {Error} */ { message }) => message,
    );
    if (found === count) return;
    if (performance.now() > deadline) throw new Error(`not ${count} sessions are listed: ${found}`);
    await sleep(RETRY_MS);
  }
}

/** @param {Record<string, unknown>} answer */
function countOf({ sessions }) {
  return Array.isArray(sessions) ? sessions.length : Number.NaN;
}

/** @param {import("./field.mjs").Entrant} entrant */
function controlOf({ control, contestant }) {
  if (control === undefined) throw new Error(`${contestant.title} cannot be asked`);
  return control;
}
