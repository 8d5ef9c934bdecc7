import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Timers, type TimerTrouble } from "../../src/shared/timer.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Timers whose trouble is collected. */
function watched(limits?: ConstructorParameters<typeof Timers>[0]): { timers: Timers; troubles: TimerTrouble[] } {
  const timers = new Timers(limits);
  const troubles: TimerTrouble[] = [];
  timers.onTrouble((trouble) => troubles.push(trouble));
  return { timers, troubles };
}

const never = (): Promise<void> => new Promise(() => {});
/** Lets promises that are settled tell it. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("timer.at", () => {
  test("calls once, with premature false and the arguments", () => {
    const { timers } = watched();
    const calls: unknown[] = [];
    const made = timers.at(50, (premature, name: string, size: number) => calls.push([premature, name, size]), "a", 2);
    expect(made).toMatchObject({ ok: true });
    vi.advanceTimersByTime(49);
    expect(calls).toEqual([]);
    vi.advanceTimersByTime(1_000);
    expect(calls).toEqual([[false, "a", 2]]);
  });

  test("with delay 0 waits until what runs now has ended", () => {
    const { timers } = watched();
    const calls: string[] = [];
    timers.at(0, () => calls.push("timer"));
    calls.push("now");
    vi.advanceTimersByTime(1);
    expect(calls).toEqual(["now", "timer"]);
  });

  test("can be cancelled, once", () => {
    const { timers } = watched();
    const callback = vi.fn();
    const made = timers.at(50, callback);
    expect([made.cancel(), made.cancel()]).toEqual([true, false]);
    vi.advanceTimersByTime(1_000);
    expect(callback).not.toHaveBeenCalled();
    expect(timers.counts().pending).toBe(0);
  });

  test("has the name of its callback", () => {
    const { timers } = watched();
    expect(timers.at(1, function refresh() {})).toMatchObject({ name: "refresh" });
    expect(timers.at(1, () => {})).toMatchObject({ name: "anonymous" });
  });
});

describe("timer.every", () => {
  test("calls again and again, also when the callback throws or rejects, and tells of it", async () => {
    const { timers, troubles } = watched();
    let calls = 0;
    const broken = (): Promise<void> | undefined => {
      calls++;
      if (calls === 1) throw new Error("thrown");
      return calls === 2 ? Promise.reject(new Error("rejected")) : undefined;
    };
    const made = timers.every(10, broken);
    for (let left = 4; left > 0; left--) {
      vi.advanceTimersByTime(10);
      await turn();
    }
    expect(calls).toBe(4);
    expect(troubles).toEqual([
      { kind: "failed", name: "broken", cause: new Error("thrown") },
      { kind: "failed", name: "broken", cause: new Error("rejected") },
    ]);
    expect(timers.counts()).toEqual({ pending: 1, running: 0, dropped: 0, failed: 2 });
    expect(made.cancel()).toBe(true);
    vi.advanceTimersByTime(100);
    expect(calls).toBe(4);
  });

  test("never calls before the last call has ended", async () => {
    const { timers } = watched();
    const ends: (() => void)[] = [];
    timers.every(10, () => new Promise<void>((resolve) => ends.push(resolve)));
    vi.advanceTimersByTime(100);
    await turn();
    expect([ends.length, timers.counts().running]).toEqual([1, 1]);
    ends[0]?.();
    await turn();
    vi.advanceTimersByTime(10);
    expect(ends.length).toBe(2);
  });

  test("can be cancelled by its own callback", async () => {
    const { timers } = watched();
    const callback = vi.fn(() => made.cancel());
    const made = timers.every(10, callback);
    vi.advanceTimersByTime(100);
    await turn();
    expect(callback).toHaveBeenCalledTimes(1);
  });
});

describe("a wrong argument throws", () => {
  test.each([
    ["every", 0, "delay cannot be zero"],
    ["every", 0.4, "delay cannot be zero"],
    ["at", -1, "delay cannot be negative"],
    ["every", -1, "delay cannot be negative"],
    ["at", Number.NaN, "bad argument #1 to 'at' (number expected, got NaN)"],
    ["every", "5", "bad argument #1 to 'every' (number expected, got string)"],
    ["at", Number.POSITIVE_INFINITY, "delay cannot be more than 2147483647 ms"],
  ] as const)("%s(%s): %s", (method, delay, message) => {
    const { timers } = watched();
    expect(() => timers[method](delay as number, () => {})).toThrow(new TypeError(message));
    expect(timers.counts().pending).toBe(0);
  });

  test("the callback must be a function", () => {
    const { timers } = watched();
    const wrong = null as unknown as () => void;
    expect(() => timers.at(1, wrong)).toThrow(new TypeError("bad argument #2 to 'at' (function expected, got null)"));
  });
});

describe("limits", () => {
  test("1,024 timers may wait; one more is answered with `too many pending timers`", () => {
    const { timers } = watched();
    for (let count = 0; count < 1_024; count++) expect(timers.at(1_000, () => {}).err).toBeUndefined();
    const refused = timers.at(1_000, () => {});
    expect(refused.err).toBe("too many pending timers");
    expect(refused.cancel()).toBe(false);
    vi.advanceTimersByTime(1_000);
    expect(timers.at(1, () => {}).ok).toBe(true);
  });

  test("above 256 running callbacks the next is dropped, counted and told of; `every` tries again", async () => {
    const { timers, troubles } = watched();
    for (let count = 0; count < 256; count++) timers.at(1, never);
    const tick = vi.fn();
    vi.advanceTimersByTime(1);
    timers.every(10, tick);
    timers.at(10, function late() {});
    vi.advanceTimersByTime(20);
    expect(tick).not.toHaveBeenCalled();
    expect(timers.counts()).toMatchObject({ pending: 1, running: 256, dropped: 3 });
    expect(troubles).toContainEqual({ kind: "dropped", name: "late", maxRunning: 256 });
    await turn();
  });
});

describe("when the process stops", () => {
  test("100 pending timers are called at once, with premature true, and never again", async () => {
    const { timers } = watched();
    const calls: boolean[] = [];
    for (let count = 1; count <= 99; count++) timers.at(count * 1_000, (premature) => calls.push(premature));
    timers.every(5_000, (premature) => calls.push(premature));
    timers.expire();
    expect(calls).toEqual(Array.from({ length: 100 }, () => true));
    vi.advanceTimersByTime(1_000_000);
    await timers.finish(1_000);
    expect(calls.length).toBe(100);
    expect(timers.counts()).toMatchObject({ pending: 0, running: 0 });
  });

  test("delays are refused with `process exiting`, but 0 is still taken, and is not premature", async () => {
    const { timers } = watched();
    const calls: unknown[] = [];
    timers.at(1_000, () => {
      calls.push(timers.at(10, () => {}).err, timers.every(10, () => {}).err);
      timers.at(0, (premature) => calls.push(premature));
    });
    const finished = timers.finish(5_000);
    await turn();
    vi.advanceTimersByTime(1);
    await finished;
    expect(calls).toEqual(["process exiting", "process exiting", false]);
    expect(timers.at(0, () => {}).err).toBe("process exiting");
  });

  test("waits for callbacks that run, but not for ever", async () => {
    const { timers } = watched();
    timers.at(1_000, never);
    const finished = timers.finish(5_000);
    let isFinished = false;
    void finished.then(() => {
      isFinished = true;
    });
    vi.advanceTimersByTime(4_999);
    await turn();
    expect(isFinished).toBe(false);
    vi.advanceTimersByTime(1);
    await finished;
  });

  test("a chain of timers without delay does not hold the process for ever", async () => {
    const { timers } = watched();
    let calls = 0;
    const again = (): void => {
      calls++;
      timers.at(0, again);
    };
    timers.at(1_000, again);
    const finished = timers.finish(50);
    vi.advanceTimersByTime(50);
    await finished;
    const atTheEnd = calls;
    vi.advanceTimersByTime(1_000);
    expect(atTheEnd).toBeGreaterThan(1);
    expect(calls).toBe(atTheEnd);
  });
});

test("trouble that nobody listens to becomes a warning of the process", async () => {
  const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
  const timers = new Timers();
  const stop = timers.onTrouble(() => {});
  stop();
  timers.at(1, function silent() {
    throw new Error("lost");
  });
  vi.advanceTimersByTime(1);
  await turn();
  expect(warned).toHaveBeenCalledWith("timer silent: lost");
});
