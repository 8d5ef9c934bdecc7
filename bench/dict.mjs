// `npm run bench:dict -- [--seconds N]`: calls per second on a shared dictionary, by one process, with few keys and with very many in no
// order, and by several processes on the same key.
import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build, isBuilt } from "../scripts/build.mjs";

const SIZE = "10m";
const KEYS = Array.from({ length: 1_000 }, (_, index) => `session:${index}`);
const TEXT = "x".repeat(100);
/** What does not fit into the caches of a processor is bound by memory: a table with a million keys of 100 bytes takes 256 MB. */
const LARGE_SIZE = "512m";
const TABLES = [1_000, 100_000, 1_000_000];
/** Calls between looks at the clock. */
const BATCH = 10_000;

/** @typedef {import("../dist/shared/dict/shared-dict.js").SharedDict} SharedDict */
/** @type {Readonly<Record<string, (dict: SharedDict, round: number) => unknown>>} */
const CALLS = {
  "get, a number": (dict) => dict.get("counter"),
  "get, 100 bytes": (dict, round) => dict.get(KEYS[round % KEYS.length] ?? ""),
  "get, nothing there": (dict) => dict.get("nothing"),
  "set, a number": (dict, round) => dict.set("number", round),
  "set, 100 bytes": (dict, round) => dict.set(KEYS[round % KEYS.length] ?? "", TEXT),
  "set, with a TTL": (dict, round) => dict.set(KEYS[round % KEYS.length] ?? "", round, { ttlMs: 60_000 }),
  add: (dict) => dict.add("counter", 1),
  incr: (dict) => dict.incr("counter", 1),
  cas: (dict, round) => dict.cas("steps", round, round + 1),
  "rpush and lpop": (dict, round) => {
    dict.rpush("list", round);
    dict.lpop("list");
  },
};

/** What is done to keys in no order, `pick()`. Each key is a new string, as if it had just been read from a socket. */
const RANDOM_CALLS = {
  "only the key": (_dict, pick) => pick().charCodeAt(0),
  "get, a number": (dict, pick) => dict.get(`n${pick()}`),
  "get, 100 bytes": (dict, pick) => dict.get(pick()),
  "set, 100 bytes": (dict, pick) => dict.set(pick(), TEXT),
  incr: (dict, pick) => dict.incr(`n${pick()}`, 1),
};

/** Keys in no order, the same with each run (xorshift). */
function picker(keys) {
  let seed = 2_463_534_242;
  return () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return `session:${(seed >>> 0) % keys}`;
  };
}

/** Each table has as many texts as numbers. Some rounds of `get` first: what was stored in order is then used in no order. */
function large(openDicts, ms) {
  for (const keys of TABLES) {
    const { dict } = openDicts({ dict: LARGE_SIZE }, { isShared: true }).dicts;
    for (let index = 0; index < keys; index++) {
      dict.set(`session:${index}`, TEXT);
      dict.set(`nsession:${index}`, 0);
    }
    const pick = picker(keys);
    for (let index = 0; index < 2 * keys; index++) dict.get(pick());
    console.log(`\n${keys.toLocaleString("en")} keys`.padEnd(25), "  by clock", "by CPU time".padStart(12));
    for (const [name, call] of Object.entries(RANDOM_CALLS)) {
      measure(() => call(dict, pick), dict, ms / 4);
      const { perSecond, perCpuSecond } = measure(() => call(dict, pick), dict, ms);
      console.log(name.padEnd(24), millions(perSecond), millions(perCpuSecond).padStart(12));
    }
  }
}

/** Calls in `ms`; what the process itself took of a core, too: others may have had it for a while. */
function measure(call, dict, ms) {
  let rounds = 0;
  const began = performance.now();
  const cpu = process.cpuUsage();
  while (performance.now() - began < ms) for (let end = rounds + BATCH; rounds < end; rounds++) call(dict, rounds);
  const { user, system } = process.cpuUsage(cpu);
  return {
    rounds,
    perSecond: (rounds / (performance.now() - began)) * 1_000,
    perCpuSecond: (rounds / (user + system)) * 1e6,
  };
}

const millions = (/** @type {number} */ perSecond) => `${(perSecond / 1e6).toFixed(2)} M/s`.padStart(10);

async function alone(dict, ms) {
  for (const key of KEYS) dict.set(key, TEXT);
  dict.set("counter", 0);
  console.log("one process".padEnd(24), "  by clock", "by CPU time".padStart(12));
  for (const [name, call] of Object.entries(CALLS)) {
    dict.set("steps", 0);
    measure(call, dict, ms / 4);
    dict.set("steps", 0);
    const { perSecond, perCpuSecond } = measure(call, dict, ms);
    console.log(name.padEnd(24), millions(perSecond), millions(perCpuSecond).padStart(12));
  }
}

async function together(dict, handle, { workers, ms, key }) {
  dict.set("sum", 0);
  const started = Array.from({ length: workers }, (_, id) => {
    const job = JSON.stringify({ handle, ms, key: key(id) });
    return fork(fileURLToPath(import.meta.url), ["--job", job]);
  });
  await Promise.all(started.map((worker) => once(worker, "message")));
  for (const worker of started) worker.send("go");
  const results = await Promise.all(started.map(async (worker) => (await once(worker, "message"))[0]));
  const done = results.reduce((sum, { rounds }) => sum + rounds, 0);
  const counted = [...new Set(started.map((_, id) => key(id)))].reduce((sum, name) => sum + dict.get(name), 0);
  const each = results.map(({ perSecond }) => millions(perSecond)).join("");
  const byCpu = results.map(({ perCpuSecond }) => millions(perCpuSecond)).join("");
  console.log(
    `by clock ${each}\nby CPU   ${byCpu}\nsum     `,
    counted === done ? `${done}, exact` : `wrong: ${counted} instead of ${done}`,
  );
}

/** One of several: counts when it is told to. */
async function work({ handle, ms, key }, attachDicts) {
  const { dict } = attachDicts({ dict: handle }).dicts;
  const incr = () => dict.incr(key, 1, 0);
  process.send?.("ready");
  await once(process, "message");
  process.send?.(measure(incr, dict, ms), () => process.disconnect());
}

const { values } = parseArgs({ options: { seconds: { type: "string", default: "1" }, job: { type: "string" } } });
if (values.job === undefined && !isBuilt()) build();
const { attachDicts, openDicts } = await import("../dist/shared/dict/open-dicts.js");
if (values.job !== undefined) {
  await work(JSON.parse(values.job), attachDicts);
} else {
  const ms = Number(values.seconds) * 1_000;
  const { dicts, handles } = openDicts({ dict: SIZE }, { isShared: true });
  await alone(dicts.dict, ms);
  large(openDicts, ms);
  for (const workers of [2, 4]) {
    console.log(`\nincr by ${workers} processes, one key`);
    await together(dicts.dict, handles.dict, { workers, ms, key: () => "sum" });
    console.log(`incr by ${workers} processes, a key each`);
    for (let id = 0; id < workers; id++) dicts.dict.delete(`sum:${workers}:${id}`);
    await together(dicts.dict, handles.dict, { workers, ms, key: (id) => `sum:${workers}:${id}` });
  }
}
