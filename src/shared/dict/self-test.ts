import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import process from "node:process";
import { setTimeout as after } from "node:timers/promises";
import { messageOf } from "../../errors.ts";
import { startOf } from "./process-state.ts";
import { createSharedMemory } from "./shared-memory.ts";

/** Words of the memory that the test uses: the lock, what is counted under it, what is added atomically, and whose turn it is. */
const WORDS = 1_024;
const LOCK = 0;
const COUNTED = 1;
const ADDED = 2;
const TURN = 3;

/** Each process counts so far: some milliseconds in which both are at it. */
const ROUNDS = 20_000;
/** A process of Node starts in 50 ms; on a busy machine in a second. */
const PATIENCE_MS = 5_000;

/** What the other process runs: maps the memory, says that it is there, waits for its turn, counts. It gives up by itself. */
const COUNTER = `
const [koffi, path] = [require(process.argv[1]), process.argv[2]];
const mmap = koffi.load(null).func("void *mmap(void *at, size_t n, int prot, int flags, int fd, int64_t offset)");
const address = mmap(null, ${WORDS * 4}, 3, 1, require("fs").openSync(path, "r+"), 0);
const words = new Int32Array(koffi.view(address, ${WORDS * 4}));
const deadline = Date.now() + ${PATIENCE_MS};
const wait = (at, wanted) => { while (Atomics.load(words, at) !== wanted) if (Date.now() > deadline) process.exit(1); };
Atomics.store(words, ${TURN}, 1);
wait(${TURN}, 2);
for (let round = 0; round < ${ROUNDS}; round++) {
  while (Atomics.compareExchange(words, ${LOCK}, 0, 2) !== 0) wait(${LOCK}, 0);
  words[${COUNTED}]++;
  Atomics.store(words, ${LOCK}, 0);
  Atomics.add(words, ${ADDED}, 1);
}`;

/**
 * Asks, once at start, whether processes can share dictionaries here: two of them count in the same memory, and the sums
 * must be right. Answers undefined, or why not; then `openDicts` must not be asked for shared ones. Takes about 0.1 s.
 */
export async function whyNotShared(): Promise<string | undefined> {
  if (process.platform !== "linux") return `no shared memory on ${process.platform}`;
  try {
    if (startOf(process.pid) === undefined) return "/proc does not show this process";
    const { buffer, path } = createSharedMemory(WORDS * 4);
    return await countTogether(startCounter(path), new Int32Array(buffer));
  } catch (cause) {
    return messageOf(cause);
  }
}

function startCounter(path: string): ChildProcess {
  const koffi = createRequire(import.meta.url).resolve("koffi");
  // Options of Node that are meant for the gateway, such as the port of a debugger, are not for this one.
  const env = { ...process.env, NODE_OPTIONS: "" };
  return spawn(process.execPath, ["-e", COUNTER, koffi, path], { env, stdio: "ignore" });
}

async function countTogether(counter: ChildProcess, words: Int32Array): Promise<string | undefined> {
  const ended = once(counter, "exit");
  const deadline = performance.now() + PATIENCE_MS;
  try {
    while (Atomics.load(words, TURN) !== 1) {
      if (performance.now() > deadline || counter.exitCode !== null) return "a second process cannot map the memory";
      await Promise.race([after(1), ended]);
    }
    Atomics.store(words, TURN, 2);
    if (!count(words, deadline)) return "a lock between two processes does not come free";
    await ended;
  } finally {
    counter.kill("SIGKILL");
  }
  if (startOf(counter.pid ?? 0) !== undefined) return "/proc shows a process that has ended";
  const isRight = words[COUNTED] === 2 * ROUNDS && words[ADDED] === 2 * ROUNDS;
  return isRight ? undefined : "two processes that count in the same memory lose counts";
}

function count(words: Int32Array, deadline: number): boolean {
  for (let round = 0; round < ROUNDS; round++) {
    while (Atomics.compareExchange(words, LOCK, 0, 1) !== 0) if (performance.now() > deadline) return false;
    words[COUNTED] = (words[COUNTED] ?? 0) + 1;
    Atomics.store(words, LOCK, 0);
    Atomics.add(words, ADDED, 1);
  }
  return true;
}
