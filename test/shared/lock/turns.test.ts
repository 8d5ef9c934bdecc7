import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { machineClock } from "../../../src/shared/dict/clock.ts";
import { type Dicts, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import { startOf } from "../../../src/shared/dict/process-state.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { lock } from "../../../src/shared/lock/lock.ts";
import { eventually } from "../../support/eventually.ts";
import { processes } from "../processes.ts";
import type { TurnOrder, TurnWord } from "./turn-process.ts";

const { start } = processes("lock/turn-process.ts");
const LONG_MS = 600_000;
/** Long enough for those who wait to look many times, and to doubt whether the owner lives. */
const LOOKS_MS = 400;

function open(): { readonly dicts: Dicts; readonly dict: SharedDict } {
  const dicts = openDicts({ dict: "1m" }, { isShared: true });
  const { dict } = dicts.dicts;
  if (dict === undefined) throw new Error("it was opened above");
  return { dicts, dict };
}

/** How many stand in the queue. */
function waiting(dict: SharedDict): number {
  return String(dict.get("lock:turn") ?? "\n").split("\n").length - 2;
}

/** A worker, and what it has said so far. */
function worker(dicts: Dicts): { child: ChildProcess; said: TurnWord[]; tell(order: TurnOrder): void } {
  const child = start({}, dicts);
  const said: TurnWord[] = [];
  child.on("message", (word: TurnWord) => said.push(word));
  return { child, said, tell: (order) => void child.send(order) };
}

/** Stops a process, and waits until it is. */
async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGSTOP");
  const state = (): string | undefined => / ([A-Z]) /.exec(readFileSync(`/proc/${child.pid}/stat`, "latin1"))?.[1];
  await eventually(() => expect(state()).toBe("T"));
}

test("three processes have a lock in the order in which they asked, whoever that was", {
  timeout: 60_000,
}, async () => {
  const { dicts, dict } = open();
  const workers = [worker(dicts), worker(dicts), worker(dicts)];
  const had: number[] = [];
  for (const [number, { child, tell }] of workers.entries()) {
    child.on("message", ({ kind }: TurnWord) => {
      if (kind !== "had") return;
      had.push(number);
      tell({ kind: "release" });
    });
  }
  for (let round = 0; round < 5; round++) {
    const first = await lock(dict, "turn", { timeoutMs: 10_000 });
    const order = Array.from({ length: 9 }, () => Math.floor(Math.random() * workers.length));
    for (const [place, number] of order.entries()) {
      workers[number]?.tell({ kind: "ask", exptimeMs: LONG_MS });
      await eventually(() => expect(waiting(dict)).toBe(place + 1));
    }
    first.unlock();
    await eventually(() => expect(had).toHaveLength(order.length));
    expect(had.splice(0)).toEqual(order);
  }
});

test("the lock of a process that is stopped is nobody else's, and goes on when it does", async () => {
  const { dicts, dict } = open();
  const owner = worker(dicts);
  owner.tell({ kind: "ask", exptimeMs: LONG_MS });
  await eventually(() => expect(owner.said).toHaveLength(1));
  await stop(owner.child);
  const next = lock(dict, "turn", { timeoutMs: 60_000 });
  expect(await Promise.race([next, sleep(LOOKS_MS, "nobody's")])).toBe("nobody's");
  owner.child.kill("SIGCONT");
  owner.tell({ kind: "release" });
  (await next).unlock();
  await eventually(() => expect(owner.said[1]).toEqual({ kind: "released", isHeld: true, ok: true }));
});

test("a process that is stopped until its time is over finds that the lock is another's, and takes nothing away", async () => {
  const { dicts, dict } = open();
  const owner = worker(dicts);
  owner.tell({ kind: "ask", exptimeMs: 300 });
  await eventually(() => expect(owner.said).toHaveLength(1));
  await stop(owner.child);
  const lease = await lock(dict, "turn", { timeoutMs: 60_000 });
  owner.child.kill("SIGCONT");
  owner.tell({ kind: "release" });
  await eventually(() => expect(owner.said).toHaveLength(2));
  expect(owner.said[1]).toEqual({ kind: "released", isHeld: false, ok: false });
  expect(lease.isHeld).toBe(true);
  lease.unlock();
});

test("one that waits and is killed is passed over; one that is stopped has its turn when it goes on", async () => {
  const { dicts, dict } = open();
  const first = await lock(dict, "turn");
  const [killed, stopped] = [worker(dicts), worker(dicts)];
  for (const [place, each] of [killed, stopped].entries()) {
    each.tell({ kind: "ask", exptimeMs: LONG_MS });
    await eventually(() => expect(waiting(dict)).toBe(place + 1));
  }
  const last = lock(dict, "turn", { timeoutMs: 60_000 });
  await stop(stopped.child);
  killed.child.kill("SIGKILL");
  await once(killed.child, "exit");
  first.unlock();
  expect(await Promise.race([last, sleep(LOOKS_MS, "its turn comes")])).toBe("its turn comes");
  stopped.child.kill("SIGCONT");
  await eventually(() => expect(stopped.said).toEqual([{ kind: "had" }]));
  stopped.tell({ kind: "release" });
  (await last).unlock();
});

test("a process that has the number of a dead owner does not hold its lock", async () => {
  const { dict } = open();
  const began = startOf(process.ppid) ?? 0;
  for (const token of [`${process.ppid}.${began - 1}.x`, `${process.pid}.${(startOf(process.pid) ?? 0) - 1}.x`]) {
    dict.set("lock:turn", `${token} ${machineClock() + LONG_MS}\n`);
    (await lock(dict, "turn", { timeoutMs: 5_000 })).unlock();
  }
  dict.set("lock:turn", `${process.ppid}.${began}.x ${machineClock() + LONG_MS}\n`);
  await expect(lock(dict, "turn", { timeoutMs: LOOKS_MS })).rejects.toThrow("lock not taken in time");
});
