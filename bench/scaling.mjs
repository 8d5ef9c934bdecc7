// `npm run bench:scaling -- [--gateways 1,3,10] [--workers 1,2] [--servers 1,100,1000] [--many 300] [--seconds 10]`:
// what gateways cost the Redis that they share, as docs/scaling.md has it. Real gateways and a real redis-server on loopback;
// `--many` are workers' registries in this one process, since a machine has no room for hundreds of gateways. About five minutes.
import { execFile, spawn } from "node:child_process";
import { once, setMaxListeners } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { build, isBuilt } from "../scripts/build.mjs";

/** After a change of the list everybody has read it within this time: two rounds of 0.9 s, and some more on a busy machine. */
const SETTLE_MS = 4_000;
/** A machine that needs longer to start a gateway is too busy to measure on. */
const START_MS = 60_000;
/** Everything is over by then, whatever hangs. */
const LIMIT_MS = 15 * 60_000;
/** What this script asks itself. */
const OWN = /^(info|config|command|dbsize|pubsub|hello|ping|client)/;

const CLI = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const execute = promisify(execFile);

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A redis-server of our own, without a disk. */
async function startRedis(folder) {
  const port = await freePort();
  const args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--maxclients", 9_000, "--dir", folder];
  const child = spawn("redis-server", args.map(String), { stdio: "ignore" });
  const cli = async (...words) => (await execute("redis-cli", ["-p", port, ...words].map(String))).stdout.trim();
  while ((await cli("PING").catch(() => "")) !== "PONG") await sleep(20);
  return { port, cli, stop: () => end(child) };
}

async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 10_000);
  await exited;
  clearTimeout(late);
}

const config = (redisPort, workers) => `
import { defineGateway, otherwise, proxy, registry } from "restyconf";
export default defineGateway({
  workers: ${workers}, redis: "redis://127.0.0.1:${redisPort}", log: { access: false },
  upstreams: { game: { peers: registry("game") } },
  servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(proxy("game"))] } },
});`;

async function startGateway(folder, { port, workers, number }) {
  const home = mkdtempSync(join(folder, `gateway-${number}-`));
  const path = join(home, "restyconf.config.mjs");
  writeFileSync(path, config(port, workers));
  const child = spawn(process.execPath, [CLI, "start", "--config", path], { stdio: ["ignore", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout });
  await once(lines, "line", { signal: AbortSignal.timeout(START_MS) });
  return child;
}

/** As many game servers as that, which want no links: those cost Redis nothing. */
async function register(redis, servers) {
  const had = (await redis.cli("--scan", "--pattern", "restyconf:service:*")).split("\n").filter(Boolean);
  const keys = Array.from({ length: servers }, (_, index) => `restyconf:service:game:${index}`);
  const gone = had.slice(servers);
  const pairs = keys.flatMap((key, index) => [key, entryOf(index, "ready")]);
  for (let from = 0; from < gone.length; from += 500) await redis.cli("DEL", ...gone.slice(from, from + 500));
  for (let from = 0; from < pairs.length; from += 500) await redis.cli("MSET", ...pairs.slice(from, from + 500));
}

/** 90 to 92 bytes, with the usual fields. */
function entryOf(index, state) {
  const address = `10.0.${index >> 8}.${index & 255}:7000`;
  return JSON.stringify({ address, link: false, weight: 1, state, tags: ["eu", "ranked"] });
}

/** Numbers of a section of INFO, by name. */
async function info(redis, section) {
  const lines = (await redis.cli("INFO", section)).split("\n");
  return Object.fromEntries(lines.map((line) => line.trim().split(":")).filter(([, value]) => value !== undefined));
}

async function cpuSeconds(redis) {
  const { used_cpu_sys, used_cpu_user } = await info(redis, "cpu");
  return Number(used_cpu_sys) + Number(used_cpu_user);
}

/** What Redis does in so many seconds. */
async function measure(redis, seconds) {
  const cpu = await cpuSeconds(redis);
  await redis.cli("CONFIG", "RESETSTAT");
  const began = performance.now();
  await sleep(seconds * 1_000);
  const [commands, stats] = [await info(redis, "commandstats"), await info(redis, "stats")];
  const took = (performance.now() - began) / 1_000;
  const calls = {};
  for (const [name, text] of Object.entries(commands)) {
    const command = name.replace("cmdstat_", "");
    if (!OWN.test(command)) calls[command] = Number(/calls=(\d+)/.exec(text)?.[1]) / took;
  }
  const [, subscribers = 0] = (await redis.cli("PUBSUB", "NUMSUB", "restyconf:changes")).split("\n");
  return {
    calls,
    took,
    perSecond: Object.values(calls).reduce((sum, each) => sum + each, 0),
    inKiB: Number(stats.total_net_input_bytes) / took / 1_024,
    outKiB: Number(stats.total_net_output_bytes) / took / 1_024,
    messages: (calls.publish ?? 0) * Number(subscribers),
    cpuMs: (((await cpuSeconds(redis)) - cpu) / took) * 1_000,
    clients: Number((await info(redis, "clients")).connected_clients) - 1, // without the one that asks
    memoryKiB: Number((await info(redis, "memory")).used_memory) / 1_024,
  };
}

const COLUMNS = ["commands/s", "in KiB/s", "out KiB/s", "CPU ms/s", "connections", "memory KiB"];

function row(title, { perSecond, inKiB, outKiB, cpuMs, clients, memoryKiB }) {
  const cells = [perSecond.toFixed(1), inKiB.toFixed(1), outKiB.toFixed(1), cpuMs.toFixed(1), clients, memoryKiB | 0];
  console.log(`| ${[...title, ...cells].join(" | ")} |`);
}

function detail({ calls }) {
  const sorted = Object.entries(calls).sort(([, one], [, other]) => other - one);
  console.log(`  per second: ${sorted.map(([name, each]) => `${name} ${each.toFixed(2)}`).join(", ")}`);
}

/** One game server changes: what it costs above the steady state, in all. */
async function change(redis, steady, seconds) {
  const key = "service:game:0";
  const measuring = measure(redis, seconds);
  await sleep(seconds * 250);
  await redis.cli("SET", `restyconf:${key}`, entryOf(0, "drain"));
  await redis.cli("PUBLISH", "restyconf:changes", key);
  const after = await measuring;
  const more = (/** @type {"outKiB" | "perSecond" | "messages"} */ what) => (after[what] - steady[what]) * after.took;
  const snapshotKiB = Number(await redis.cli("STRLEN", "restyconf:~snapshot:service:game:")) / 1_024;
  const counts = [`${more("messages").toFixed(0)} messages`, `${more("perSecond").toFixed(0)} commands`];
  const bytes = [`${more("outKiB").toFixed(0)} KiB out`, `a snapshot has ${snapshotKiB.toFixed(0)} KiB`];
  console.log(`  one change: ${[...counts, ...bytes].join(", ")}`);
  detail(after);
}

/** Measures for each number of game servers, and one change of the last of them. */
async function rounds(redis, title, { servers, seconds }) {
  for (const count of servers) {
    await register(redis, count);
    await sleep(SETTLE_MS);
    const steady = await measure(redis, seconds);
    row([...title, count], steady);
    if (count !== servers.at(-1)) continue;
    detail(steady);
    await change(redis, steady, seconds);
  }
}

async function realGateways(folder, { gateways, workers, ...options }) {
  const redis = await startRedis(folder);
  const children = [];
  try {
    for (let number = 0; number < gateways; number++)
      children.push(await startGateway(folder, { port: redis.port, workers, number }));
    await rounds(redis, [gateways, workers], options);
  } finally {
    await Promise.all(children.map(end));
    await redis.stop();
  }
}

/** Workers' registries without their gateways: each with its connections, its heartbeat and its copy of the list. */
async function manyRegistries(folder, { many, ...options }) {
  const { openRegistry } = await import("../dist/registry/open-registry.js");
  const { registerWorker } = await import("../dist/registry/worker-entry.js");
  const redis = await startRedis(folder);
  const log = { info() {}, warn() {} };
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const open = [];
  try {
    for (let id = 0; id < many; id++) {
      const registry = await openRegistry({ redis: `redis://127.0.0.1:${redis.port}` }, { log });
      const facts = {
        id,
        address: "10.0.0.9:5050",
        pid: 1,
        startedAt: "2026-01-01T00:00:00Z",
        sessions: 0,
        generation: 1,
      };
      open.push(
        registerWorker(registry, () => facts, log),
        registry,
      );
      for (const prefix of ["service:game:", "ban:"]) void drain(registry.watch(prefix, over.signal));
    }
    await rounds(redis, ["–", many], options);
  } finally {
    over.abort();
    await Promise.all(open.map((each) => each[Symbol.asyncDispose]()));
    await redis.stop();
  }
}

async function drain(changes) {
  try {
    for await (const _ of changes);
  } catch {} // the end of it
}

const numbers = (/** @type {string} */ text) => text.split(",").filter(Boolean).map(Number);
const { values } = parseArgs({
  options: {
    gateways: { type: "string", default: "1,3,10" },
    workers: { type: "string", default: "1,2" },
    servers: { type: "string", default: "1,100,1000" },
    many: { type: "string", default: "300" },
    seconds: { type: "string", default: "10" },
  },
});
if (!isBuilt()) build();
const limit = setTimeout(() => process.exit(1), LIMIT_MS);
const folder = mkdtempSync(join(tmpdir(), "restyconf-scaling-"));
const options = { servers: numbers(values.servers), seconds: Number(values.seconds) };
try {
  console.log(`| gateways | workers each | game servers | ${COLUMNS.join(" | ")} |`);
  console.log(`|${" --- |".repeat(COLUMNS.length + 3)}`);
  for (const workers of numbers(values.workers))
    for (const gateways of numbers(values.gateways)) await realGateways(folder, { gateways, workers, ...options });
  for (const many of numbers(values.many)) await manyRegistries(folder, { many, ...options });
} finally {
  clearTimeout(limit);
  rmSync(folder, { recursive: true, force: true });
}
