import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { attachDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { lock } from "../../../src/shared/lock/lock.ts";

// What other processes do with a lock in these tests.

export interface LockTask {
  readonly name: "count" | "hold" | "storm";
  readonly rounds: number;
  readonly id: number;
}

/** Reads, waits and writes: without the lock, sums would be wrong. */
async function countOnce(dict: SharedDict, id: number): Promise<void> {
  await using _lease = await lock(dict, "sum", { timeoutMs: 60_000 });
  const before = Number(dict.get("sum") ?? 0);
  if (id % 2 === 0) await sleep(0);
  dict.set("sum", before + 1);
}

async function count(dict: SharedDict, rounds: number, id: number): Promise<void> {
  const each = Array.from({ length: 4 }, async () => {
    for (let round = 0; round < rounds / 4; round++) await countOnce(dict, id);
  });
  await Promise.all(each);
}

/** Never lets go. */
async function hold(dict: SharedDict): Promise<void> {
  await lock(dict, "held", { timeoutMs: 60_000, exptimeMs: 600_000 });
  process.send?.("held");
  await sleep(600_000);
}

/** Takes the lock again and again, several at once, until the process is killed. */
async function storm(dict: SharedDict): Promise<void> {
  const each = Array.from({ length: 3 }, async () => {
    for (let round = 0; ; round++) {
      await using lease = await lock(dict, "held", { timeoutMs: 60_000, exptimeMs: 600_000 });
      dict.set("owner", lease.token);
      if (round % 3 === 0) await sleep(1);
      if (dict.get("owner") !== lease.token) dict.incr("two inside", 1, 0);
      dict.delete("owner");
      if (round === 3) process.send?.("stormy");
    }
  });
  await Promise.all(each);
}

const { handles, task } = JSON.parse(process.argv[2] ?? "{}") as {
  handles: Parameters<typeof attachDicts>[0];
  task: LockTask;
};
const dict = attachDicts(handles).dicts["dict"];
if (dict === undefined) throw new Error("no dictionary");
if (task.name === "count") await count(dict, task.rounds, task.id);
else await (task.name === "hold" ? hold(dict) : storm(dict));
process.disconnect();
