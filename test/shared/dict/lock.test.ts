import { spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { expect, test } from "vitest";
import { CONTROL_WORDS, MAX_MEMBERS, MEMBER_WORDS, MEMBERS } from "../../../src/shared/dict/layout.ts";
import { Lock } from "../../../src/shared/dict/lock.ts";
import { Members } from "../../../src/shared/dict/members.ts";
import { startOf } from "../../../src/shared/dict/process-state.ts";

interface Rig {
  readonly words: Int32Array;
  readonly doubles: Float64Array;
  readonly members: Members;
  /** A lock at word 0, as the process of that number has it. */
  lock(serial: number): Lock;
  /** Says in the table of members that number `serial` is another process. */
  pretend(serial: number, pid: number, start: number): void;
}

function rig(): Rig {
  const buffer = new ArrayBuffer(CONTROL_WORDS * 4);
  const words = new Int32Array(buffer);
  const doubles = new Float64Array(buffer);
  const members = new Members(words, doubles);
  return {
    words,
    doubles,
    members,
    lock: (serial) => new Lock(words, 0, serial, members),
    pretend(serial, pid, start) {
      const at = MEMBERS + (serial % MAX_MEMBERS) * MEMBER_WORDS;
      words[at] = serial;
      words[at + 1] = pid;
      doubles[at / 2 + 1] = start;
    },
  };
}

async function pidOfTheDead(): Promise<number> {
  const child = spawn("true", { stdio: "ignore" });
  await once(child, "exit");
  return child.pid ?? 0;
}

test("a free lock is entered and left, and says that all is in order", () => {
  const { words, members, lock } = rig();
  const mine = lock(members.join());
  for (let round = 0; round < 3; round++) {
    expect([mine.enter(), words[0] !== 0]).toEqual([false, true]);
    mine.leave();
    expect(words[0]).toBe(0);
  }
});

test("the lock of a process that has ended is taken over, and says so", async () => {
  const { members, lock, pretend } = rig();
  const serial = members.join();
  pretend(77, await pidOfTheDead(), 5);
  lock(77).enter();
  expect(lock(serial).enter()).toBe(true);
});

test("a process number that another process has by now is not the holder", () => {
  const { members, lock, pretend } = rig();
  const serial = members.join();
  pretend(77, process.pid, (startOf(process.pid) ?? 0) - 1);
  lock(77).enter();
  expect(lock(serial).enter()).toBe(true);
});

test("a lock that was spoiled, or that this process was torn away from, is entered to put things in order", () => {
  const { members, lock } = rig();
  const mine = lock(members.join());
  mine.enter();
  expect(mine.enter()).toBe(true);
  mine.spoil();
  expect(lock(members.join()).enter()).toBe(true);
});

test("a killed process that its parent has not asked about has ended", async () => {
  const child = spawn("sleep", ["30"], { stdio: "ignore" });
  const pid = child.pid ?? 0;
  child.kill("SIGKILL");
  // Node asks about its children between turns, and this is one turn.
  while (startOf(pid) !== undefined);
  expect(() => process.kill(pid, 0)).not.toThrow();
  await once(child, "exit");
});

test("each member has a number of its own, and places of the dead are used again, those of the living never", async () => {
  const { members, pretend } = rig();
  const first = members.join();
  const dead = await pidOfTheDead();
  const earlier = 5 * MAX_MEMBERS;
  for (let place = 2; place <= MAX_MEMBERS; place++) pretend(earlier + place, dead, 1);
  const serials = Array.from({ length: MAX_MEMBERS - 1 }, () => members.join());
  expect(new Set(serials).size).toBe(MAX_MEMBERS - 1);
  expect([members.hasEnded(first), members.hasEnded(serials.at(-1) ?? 0), members.hasEnded(earlier + 3)]).toEqual([
    false,
    false,
    true,
  ]);
  expect(() => members.join()).toThrow("more than 1024 processes use this dictionary");
});
