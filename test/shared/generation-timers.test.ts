import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GenerationTimers } from "../../src/shared/generation-timers.ts";
import { Timers } from "../../src/shared/timer.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

test("timers that rest are not called, and go on with what was due meanwhile", async () => {
  const all = new Timers();
  const own = new GenerationTimers(all);
  const calls: string[] = [];
  own.every(10, () => calls.push("every"));
  own.at(15, (premature) => calls.push(`at ${premature}`));
  own.at(100, () => calls.push("later"));
  all.every(10, () => calls.push("process"));
  await vi.advanceTimersByTimeAsync(10);
  expect(calls).toEqual(["every", "process"]);
  own.rest();
  await vi.advanceTimersByTimeAsync(20);
  expect(calls.splice(0)).toEqual(["every", "process", "process", "process"]);
  own.goOn();
  expect(calls.splice(0)).toEqual(["at false"]);
  await vi.advanceTimersByTimeAsync(70);
  expect(calls.filter((call) => call === "every")).toHaveLength(7);
  expect(calls.filter((call) => call.startsWith("at"))).toEqual([]);
  expect(calls).toContain("later");
});

test("at the end those that wait are called a last time, due or not, and no others are taken", async () => {
  const all = new Timers();
  const own = new GenerationTimers(all);
  const calls: string[] = [];
  own.every(10, (premature) => calls.push(`every ${premature}`));
  own.at(5, (premature, name: string) => calls.push(`${name} ${premature}`), "due");
  own.rest();
  await vi.advanceTimersByTimeAsync(6);
  own.at(1_000, (premature) => {
    calls.push(`late ${premature}`);
    expect(own.at(1, () => {})).toMatchObject({ err: "process exiting" });
    own.at(0, () => calls.push("last words"));
  });
  all.at(20, (premature) => calls.push(`process ${premature}`));
  own.end();
  expect(calls.splice(0)).toEqual(["every true", "due true", "late true"]);
  await vi.advanceTimersByTimeAsync(100);
  expect(calls).toEqual(["last words", "process false"]);
  expect(all.counts().pending).toBe(0);
  own.goOn();
  own.rest();
  expect([own.isOver, own.rests]).toEqual([true, false]);
});

test("what is cancelled while it rests is not called", async () => {
  const own = new GenerationTimers(new Timers());
  const callback = vi.fn();
  const made = own.at(5, callback);
  own.rest();
  await vi.advanceTimersByTimeAsync(10);
  expect(made.cancel()).toBe(true);
  own.goOn();
  own.end();
  expect(callback).not.toHaveBeenCalled();
});
