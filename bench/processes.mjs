// Starts the programs of a run on the measured core, and leaves none behind.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

const STOP_MS = 2_000; // for a program to end by itself
const START_MS = 15_000; // for its ports to open
const RETRY_MS = 20;
const MAX_SAID = 16_000; // characters of a program's last words
const MAX_WORDS = 300; // of them, in a report
const SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"; // servers live here; a user's path may lack them

/** @typedef {{ command: string, args: readonly string[], env?: Record<string, string>, cwd?: string }} Program */
/** @typedef {{ child: import("node:child_process").ChildProcess, name: string, said: () => string }} Running */

/** All programs of one run. Stop it in every case: at the end, on errors and on Ctrl-C. */
export class Processes {
  /** @type {Set<Running>} */
  #running = new Set();
  #core;
  /** Once true, nothing is started any more. */
  isStopping = false;

  /** @param {number} core where everything that is measured runs */
  constructor(core) {
    this.#core = core;
  }

  /**
   * Starts a program on the core. Should this process be killed, the kernel ends the program.
   * @param {Program} program
   * @param {{ input?: boolean }} [options] `input`: its standard input is a pipe
   * @returns {Running}
   */
  start({ command, args, env, cwd }, { input = false } = {}) {
    if (this.isStopping) throw new Error("stopped");
    const chain = ["-c", String(this.#core), "setpriv", "--pdeathsig", "TERM", command, ...args];
    const child = spawn("taskset", chain, {
      cwd,
      detached: true, // a group of its own: workers end with their master, and Ctrl-C reaches us alone
      env: { ...process.env, PATH: `${process.env.PATH}:${SYSTEM_FOLDERS}`, ...env },
      stdio: [input ? "pipe" : "ignore", "pipe", "pipe"],
    });
    let said = "";
    const listen = (/** @type {Buffer} */ chunk) => {
      said = `${said}${chunk}`.slice(-MAX_SAID);
    };
    child.stderr?.on("data", listen);
    if (!input) child.stdout?.on("data", listen);
    child.on("error", (cause) => listen(Buffer.from(cause.message)));
    child.stdin?.on("error", () => {}); // it may end before we say so
    const running = { child, name: command, said: () => said };
    this.#running.add(running);
    child.once("close", () => this.#running.delete(running));
    return running;
  }

  /** @param {readonly Running[]} group */
  async stop(group) {
    await Promise.all(group.map(stopOne));
  }

  async stopAll() {
    this.isStopping = true;
    await this.stop([...this.#running]);
  }
}

/** @param {Running} running */
async function stopOne({ child }) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  signalGroup(child.pid, "SIGTERM");
  const late = setTimeout(() => signalGroup(child.pid, "SIGKILL"), STOP_MS);
  await closed;
  clearTimeout(late);
}

/**
 * @param {number | undefined} pid
 * @param {NodeJS.Signals} signal
 */
function signalGroup(pid, signal) {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {} // it has ended meanwhile
}

/**
 * Waits until a program answers on all its ports; throws when it does not.
 * @param {Running} running
 * @param {readonly number[]} ports
 */
export async function untilOpen({ child, name, said }, ports) {
  const deadline = performance.now() + START_MS;
  for (const port of ports) {
    while (!(await answers(port))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${name} ended at once: ${lastWords(said())}`);
      if (performance.now() > deadline)
        throw new Error(`${name} does not listen on port ${port}: ${lastWords(said())}`);
      await sleep(RETRY_MS);
    }
  }
}

/** The last line, without the folders of this machine: it may be published. @param {string} said */
export function lastWords(said) {
  const line = said.trimEnd().split("\n").at(-1) ?? "";
  return line.replaceAll(/(?:\/[^/\s:"']+)+\//g, "").slice(-MAX_WORDS);
}

/** @param {number} port */
async function answers(port) {
  const socket = connect(port, "127.0.0.1");
  const answer = await new Promise((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.destroy();
  return answer;
}

/**
 * A process and all its descendants.
 * @param {number} pid
 * @returns {number[]}
 */
export function familyOf(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const children = tasks.flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" "));
    return [pid, ...children.filter((child) => child !== "").flatMap((child) => familyOf(Number(child)))];
  } catch {
    return []; // it has ended
  }
}
