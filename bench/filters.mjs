// `npm run bench:filters -- [--rounds N]`: what a filter in `phases.bodyFilter` costs, as CPU time beside the same session without one.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { build, isBuilt } from "../scripts/build.mjs";
import { compileTools } from "./compile.mjs";
import { enter } from "./field.mjs";
import { makeLanes } from "./lanes.mjs";
import { cores, maxConnections, moveTo, raiseFileLimit } from "./machine.mjs";
import { plain } from "./modes.mjs";
import { portChooser } from "./ports.mjs";
import { Processes, untilOpen } from "./processes.mjs";
import { sample } from "./sample.mjs";

const dist = fileURLToPath(new URL("../dist/", import.meta.url));
const LIMIT_S = 1_800; // the server behind ends by itself then
const TIMES = { warmMs: 300, windowMs: 700 };
const MODES = plain.filter(({ name }) => ["ping-64", "bulk-up", "bulk-down"].includes(name));
/** What all others are compared with: what a session without filters has by default. */
const BASE = "carrier";

/** Frames of the load's bytes, whatever they are: 1 KiB each, or less where less is there. */
const CODEC = `const codec = {
  name: "blocks",
  decode: (bytes) => {
    const size = Math.min(bytes.length, 1024);
    return bytes.length > 0 ? { kind: "frame", value: Buffer.from(bytes.subarray(0, size)), size } : { kind: "more", atLeast: 1 };
  },
  encode: (bytes) => bytes,
};`;
const both = (/** @type {string} */ filter) => `{ bodyFilter: { client: ${filter}, upstream: ${filter} } }`;

/** @type {readonly { name: string, title: string, phases: string, env: Record<string, string> }[]} */
const VARIANTS = [
  { name: BASE, title: "no filter, carrier", phases: "{}", env: {} },
  { name: "wires", title: "no filter, node path", phases: "{}", env: { RESTYCONF_CARRIER: "node" } },
  {
    name: "streams",
    title: "no filter, node path with `net.Socket`",
    phases: "{}",
    env: { RESTYCONF_CARRIER: "node", RESTYCONF_NODE_IO: "streams" },
  },
  { name: "chunks", title: "chunks, passed on", phases: both("() => undefined"), env: {} },
  { name: "async", title: "chunks, passed on by an async function", phases: both("async () => undefined"), env: {} },
  {
    name: "three",
    title: "three filters, one behind the other",
    phases: both("[() => {}, () => {}, () => {}]"),
    env: {},
  },
  { name: "frames", title: "frames of 1 KiB, passed on", phases: both("frames(codec, () => undefined)"), env: {} },
  {
    name: "changed",
    title: "frames of 1 KiB, each replaced",
    phases: both("frames(codec, (block) => Buffer.from(block))"),
    env: {},
  },
];

/** @param {(typeof VARIANTS)[number]} variant @returns {import("./contestants.mjs").Contestant} */
function contestant({ name, title, phases, env }) {
  return {
    name,
    title,
    about: title,
    claims: { halfClose: true, reset: true },
    can: (lane) => MODES.some((mode) => mode.lane === lane.name),
    programs({ folder, lanes, ports }) {
      const servers = lanes.map((lane) => {
        const peers = `upstreams.${lane.name} = { peers: ["127.0.0.1:${lane.rules.at(-1)?.peer}"] };`;
        const routes = `[otherwise(proxy("${lane.name}"))]`;
        return `${peers} servers.${lane.name} = { listen: "127.0.0.1:${ports[lane.name]}", routes: ${routes}, phases: ${phases} };`;
      });
      const config = join(folder, "restyconf.config.mjs");
      const api = pathToFileURL(join(dist, "index.js")).href;
      const lines = [
        `import { frames, otherwise, proxy } from "${api}";`,
        CODEC,
        "const upstreams = {}, servers = {};",
      ];
      const state = `stateDir: ${JSON.stringify(join(folder, "state"))}`;
      writeFileSync(
        config,
        [...lines, ...servers, `export default { upstreams, servers, ${state}, log: { access: false } };`].join("\n"),
      );
      const program = { command: process.execPath, args: [join(dist, "cli.js"), "start", config], env, cwd: folder };
      return [{ ...program, ports: Object.values(ports) }];
    },
  };
}

async function main() {
  const { values } = parseArgs({ options: { rounds: { type: "string", default: "7" } } });
  raiseFileLimit();
  if (!isBuilt()) build();
  const { measured, others } = cores();
  moveTo(others);
  const processes = new Processes(measured);
  const folder = mkdtempSync(join(tmpdir(), "restyconf-bench-"));
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => processes.stopAll());
  try {
    print(await rounds(processes, folder, Number(values.rounds)));
  } finally {
    await processes.stopAll();
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * All variants run at once and take turns, so that the machine's moods meet them all.
 * @param {Processes} processes
 * @param {string} folder
 * @param {number} count
 */
async function rounds(processes, folder, count) {
  const tools = compileTools(folder);
  const port = portChooser();
  const { peer, lanes } = await makeLanes(port);
  const running = processes.start({ command: tools.server, args: [String(LIMIT_S), ...peer.args] });
  const { refused, ...open } = peer.ports;
  await untilOpen(running, Object.values(open));
  const certificate = { folder: "", cert: "", key: "", pem: "" };
  const ground = {
    processes,
    folder,
    lanes,
    peerPid: running.child.pid ?? 0,
    certificate,
    maxConnections: maxConnections(),
    port,
  };
  const entrants = [];
  for (const variant of VARIANTS) entrants.push(await enter(ground, contestant(variant)));
  /** @type {Map<string, number[]>} */
  const costs = new Map();
  for (let round = 0; round < count; round++) {
    for (const mode of MODES) {
      for (const entrant of entrants) {
        const { cpuNsPerUnit } = await sample({ processes, tools }, entrant, mode, TIMES);
        const key = `${entrant.contestant.name} ${mode.name}`;
        costs.set(key, [...(costs.get(key) ?? []), cpuNsPerUnit]);
      }
    }
    process.stderr.write(`round ${round + 1} of ${count}\n`);
  }
  return costs;
}

/** @param {ReadonlyMap<string, readonly number[]>} costs */
function print(costs) {
  const cost = (/** @type {string} */ name, /** @type {string} */ mode) => median(costs.get(`${name} ${mode}`) ?? []);
  process.stdout.write(
    `| | ${MODES.map(({ title }) => title).join(" | ")} |\n| --- |${" ---: |".repeat(MODES.length)}\n`,
  );
  for (const { name, title } of VARIANTS) {
    const cells = MODES.map((mode) => {
      const own = cost(name, mode.name);
      const shown = mode.unit === "GB" ? `${(own / 1e9).toFixed(2)} s/GB` : `${(own / 1e3).toFixed(1)} µs`;
      return `${shown} (${(own / cost(BASE, mode.name)).toFixed(2)})`;
    });
    process.stdout.write(`| ${title} | ${cells.join(" | ")} |\n`);
  }
}

/** @param {readonly number[]} values */
function median(values) {
  return [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN;
}

main().catch((/** @type {Error} */ cause) => {
  process.stderr.write(`${cause.stack ?? cause.message}\n`);
  process.exitCode = 1;
});
