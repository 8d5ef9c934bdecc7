import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { machineClock } from "../../../src/shared/dict/clock.ts";
import { LOCK, layoutOf, RECOVERIES } from "../../../src/shared/dict/layout.ts";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import { Shard } from "../../../src/shared/dict/shard.ts";
import { openSharedMemory } from "../../../src/shared/dict/shared-memory.ts";
import { eventually } from "../../support/eventually.ts";
import { audit } from "./audit.ts";
import { ended, workforce } from "./workforce.ts";

const { hire } = workforce();
const SIZE_BYTES = 1024 ** 2;
const ROUNDS = process.env["RESTYCONF_LONG"] ? 100 : 3;
/** Those who wait doubt some milliseconds after they began, and then again and again. */
const DOUBTS_MS = 200;

async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGSTOP");
  const state = (): string | undefined => / ([A-Z]) /.exec(readFileSync(`/proc/${child.pid}/stat`, "latin1"))?.[1];
  await eventually(() => expect(state()).toBe("T"));
}

/** What a process has taken of a core, in hundredths of a second: `utime` and `stime` of proc(5). */
function cpuTicks({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
}

test("a process that is stopped within a call keeps others waiting until it goes on, and nothing is put in order behind its back", {
  timeout: 300_000,
}, async () => {
  const { dicts, handles } = openDicts({ dict: "1m" }, { isShared: true });
  const { dict } = dicts;
  const { dict: handle } = handles;
  if (dict === undefined || handle === undefined) throw new Error("it was opened above");
  dict.set("go", true);
  const buffer = openSharedMemory(handle.path, handle.bytes);
  const memory = { words: new Int32Array(buffer), doubles: new Float64Array(buffer) };
  const shard = new Shard(memory, layoutOf(SIZE_BYTES, 1), 0, machineClock);
  const worker = hire(handle, { name: "breeze", amount: 0, id: 1 });
  await once(worker, "message");
  for (let round = 1; round <= ROUNDS; round++) {
    for (await stop(worker); shard.fact(LOCK) === 0; await stop(worker)) {
      worker.kill("SIGCONT");
      await sleep(Math.random() * 3);
    }
    const waiter = hire(handle, { name: "count", amount: 1, id: 2 });
    await eventually(() => expect(cpuTicks(waiter)).toBeGreaterThan(10)); // it has started, which takes more than that …
    await sleep(DOUBTS_MS); // … and waits
    expect([waiter.exitCode, shard.fact(LOCK) > 0]).toEqual([null, true]);
    worker.kill("SIGCONT");
    expect(await ended(waiter)).toBe(0);
    expect(dict.get("sum")).toBe(round);
  }
  expect(shard.fact(RECOVERIES)).toBe(0);
  worker.kill("SIGKILL");
  await ended(worker);
  dict.incr("sum", 1);
  expect(audit(shard)).toEqual([]);
});
