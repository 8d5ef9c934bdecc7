import process from "node:process";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";

// What other processes do to a dictionary in these tests. All that they need is in the dictionary, or a number.

type Labour = (dict: SharedDict, amount: number, id: number) => void;

/** Gives up its core for some milliseconds. */
function nap(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Texts that say of themselves whether they are whole. */
export function sealed(size: number): string {
  const body = String.fromCharCode(97 + (size % 26)).repeat(size);
  return `${size}:${body}:${size}`;
}

export function isSealed(text: string): boolean {
  const size = Number(text.slice(0, text.indexOf(":")));
  return text === sealed(size);
}

function count(dict: SharedDict, amount: number): void {
  for (let round = 0; round < amount; round++) dict.incr("sum", 1, 0);
}

function countMany(dict: SharedDict, amount: number): void {
  for (let round = 0; round < amount; round++) dict.incr(`sum:${round % 100}`, 1, 0);
}

function countByCas(dict: SharedDict, amount: number): void {
  dict.add("sum", 0);
  for (let round = 0; round < amount; round++) {
    for (let old = dict.get("sum"); !dict.cas("sum", old, Number(old) + 1); ) old = dict.get("sum");
  }
}

/** Whoever adds a key first has it. */
function claim(dict: SharedDict, amount: number): void {
  for (let round = 0; round < amount; round++) if (dict.add(`claim:${round}`, 1).ok) dict.incr("won", 1, 0);
}

/** What one pushes some other pops: nothing twice, nothing never. */
function queue(dict: SharedDict, amount: number, id: number): void {
  let popped = 0;
  for (let round = 1; round <= amount; round++) {
    if (round % 2 === 0) dict.rpush("queue", round);
    else dict.lpush("queue", round);
    const taken = id % 2 === 0 ? dict.lpop("queue") : dict.rpop("queue");
    popped += Number(taken.value ?? 0);
  }
  dict.incr("popped", popped, 0);
}

/** Any writes at full speed, until the process is killed, or left alone by whoever would kill it. */
function storm(dict: SharedDict, _amount: number, id: number): void {
  const parent = process.ppid;
  for (let round = 0; round % 1_000 !== 0 || process.ppid === parent; round++) {
    dict.set(`text:${round % 40}`, sealed((round * 37) % 900), { ttlMs: round % 3 });
    dict.incr(`number:${id}`, 1, 0);
    dict.rpush(`list:${id}`, round);
    if (round % 50 > 25) dict.lpop(`list:${id}`);
    if (round % 5 === 0) dict.delete(`text:${(round * 7) % 40}`);
    dict.getset(`text:${round % 7}`, sealed(round % 300));
    if (round % 1_000 === 0) dict.flushExpired(10);
    if (round === 20) process.send?.("stormy");
  }
}

/** As a storm, but it never fills the dictionary: what others have put there stays. */
function breeze(dict: SharedDict): void {
  const parent = process.ppid;
  for (let round = 0; round % 1_000 !== 0 || process.ppid === parent; round++) {
    dict.set(`text:${round % 40}`, sealed((round * 37) % 900));
    dict.getset(`text:${round % 7}`, sealed(round % 300));
    if (round === 20) process.send?.("stormy");
  }
}

const LABOURS: Readonly<Record<LabourName, Labour>> = { count, countMany, countByCas, claim, queue, storm, breeze };

/** Those that go on until they are killed, and begin at once. */
const ENDLESS: readonly LabourName[] = ["storm", "breeze"];

export type LabourName = "count" | "countMany" | "countByCas" | "claim" | "queue" | "storm" | "breeze";

/** What a process is told to do. */
export interface Job {
  readonly name: LabourName;
  readonly amount: number;
  readonly id: number;
}

/** Waits until all are there, so that they are at it together. */
export function work(dict: SharedDict, { name, amount, id }: Job): void {
  dict.incr("ready", 1, 0);
  while (!ENDLESS.includes(name) && dict.get("go") !== true) nap(1);
  LABOURS[name](dict, amount, id);
  process.exitCode = 0;
}
