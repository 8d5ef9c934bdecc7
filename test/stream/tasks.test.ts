import { getEventListeners } from "node:events";
import { describe, expect, expectTypeOf, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { sleep } from "../../src/shared/sleep.ts";
import type { Task } from "../../src/stream/task.ts";
import { Tasks } from "../../src/stream/tasks.ts";
import { eventually } from "../support/eventually.ts";

/** The tasks of a session that can be ended, and what was reported of them. */
function session(): { tasks: Tasks; reports: unknown[]; signal: AbortSignal; end: () => void } {
  const life = new AbortController();
  const reports: unknown[] = [];
  const tasks = new Tasks({ signal: life.signal, report: (cause) => reports.push(cause) });
  return { tasks, reports, signal: life.signal, end: () => life.abort(ENDED) };
}

const ENDED = new GatewayError("RC_SHUTDOWN", "the session has ended");
const never = (): Promise<never> => new Promise(() => {});
/** Lets promises that are settled tell it. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const timersAlive = (): number => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

describe("spawn", () => {
  test("runs the function at once until its first await, then goes on beside whoever spawned", async () => {
    const { tasks } = session();
    const order: string[] = [];
    const task = tasks.spawn(async () => {
      order.push("begun");
      await turn();
      order.push("ended");
      return 7;
    });
    order.push("spawned");
    expect(task.status).toBe("running");
    expect(await task).toBe(7);
    expect(order).toEqual(["begun", "spawned", "ended"]);
  });

  test("a task that ends is a zombie until somebody waits for it, then it is dead", async () => {
    const { tasks } = session();
    const task = tasks.spawn(() => "at once");
    expect(task.status).toBe("running"); // its end is told as every promise's
    await turn();
    expect(task.status).toBe("zombie");
    expect([await task, task.status]).toEqual(["at once", "dead"]);
    expect(await task).toBe("at once");
  });

  test("what a task throws is reported once when nobody waits for it, and ends nothing", async () => {
    const { tasks, reports } = session();
    const at = (): never => {
      throw new Error("at once");
    };
    void tasks.spawn(at);
    void tasks.spawn(async () => Promise.reject(new Error("later")));
    const other = tasks.spawn(async () => {
      await turn();
      return "well";
    });
    await turn();
    expect(reports).toEqual([new Error("at once"), new Error("later")]);
    expect(await other).toBe("well");
  });

  test("what a task throws goes to whoever awaits it, and is not reported then", async () => {
    const { tasks, reports } = session();
    const task = tasks.spawn(async () => Promise.reject(new Error("mine")));
    await expect(task).rejects.toThrow("mine");
    const waited = tasks.waitAny([tasks.spawn(async () => Promise.reject(new Error("yours")))]);
    await expect(waited).rejects.toThrow("yours");
    expect(reports).toEqual([]);
  });

  test("is refused when the session has ended, and for what is no function", () => {
    const { tasks, end } = session();
    expect(() => tasks.spawn("x" as unknown as () => void)).toThrow(TypeError);
    end();
    expect(() => tasks.spawn(never)).toThrow(ENDED);
  });
});

describe("kill", () => {
  test("aborts the task's own signal only, and drops what the function still returns", async () => {
    const { tasks, signal } = session();
    const causes: unknown[] = [];
    const spawn = (): Task<string> =>
      tasks.spawn(async (scope) => {
        await sleep(10_000, scope).catch((cause) => causes.push(cause));
        return "came through";
      });
    const [killed, other] = [spawn(), spawn()];
    expect(killed.kill()).toEqual({ ok: true });
    await turn();
    expect(causes).toMatchObject([{ name: "AbortError", message: "the task was killed" }]);
    expect([killed.status, other.status, signal.aborted]).toEqual(["dead", "running", false]);
    await expect(killed).rejects.toThrow("already waited or killed");
    other.kill();
  });

  test("answers `already waited or killed` for a dead task, `already terminated` for a zombie", async () => {
    const { tasks } = session();
    const [killed, ended, waited] = [tasks.spawn(never), tasks.spawn(() => 1), tasks.spawn(() => 2)];
    killed.kill();
    await waited;
    expect([killed.kill(), waited.kill(), ended.kill()]).toEqual([
      { err: "already waited or killed" },
      { err: "already waited or killed" },
      { err: "already terminated" },
    ]);
    expect(await ended).toBe(1);
  });

  test("of a task with no wait that can be cancelled: its function goes on, unheard", async () => {
    const { tasks, reports } = session();
    let goOn = (): void => {};
    const task = tasks.spawn(async () => {
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      throw new Error("too late");
    });
    task.kill();
    goOn();
    await turn();
    expect(reports).toEqual([]);
  });

  test("a signal that is asked for after the kill has aborted", async () => {
    const { tasks } = session();
    let aborted: boolean | undefined;
    const task = tasks.spawn(async (scope) => {
      await turn();
      aborted = scope.signal.aborted;
    });
    task.kill();
    await turn();
    await turn();
    expect(aborted).toBe(true);
  });
});

describe("waitAny", () => {
  test("answers the first that ends, and each task once", async () => {
    const { tasks } = session();
    const endingIn = (ms: number): Task<number> =>
      tasks.spawn(async (scope) => {
        await sleep(ms, scope);
        return ms;
      });
    const all = [endingIn(40), endingIn(1), endingIn(20)];
    const values: number[] = [];
    for (const _ of all) values.push((await tasks.waitAny(all)).value);
    expect(values).toEqual([1, 20, 40]);
    await expect(tasks.waitAny(all)).rejects.toThrow("already waited or killed");
  });

  test("answers a zombie at once", async () => {
    const { tasks } = session();
    const [slow, quick] = [tasks.spawn(never), tasks.spawn(() => 5)];
    await turn();
    expect(await tasks.waitAny([slow, quick])).toEqual({ task: quick, value: 5 });
    expect(quick.status).toBe("dead");
  });

  test("throws what the first of them throws; the others go on", async () => {
    const { tasks } = session();
    const other = tasks.spawn(never);
    const failing = tasks.spawn(async () => Promise.reject(new Error("first")));
    await expect(tasks.waitAny([other, failing])).rejects.toThrow("first");
    expect(other.status).toBe("running");
  });

  test("passes over a task that is killed meanwhile", async () => {
    const { tasks } = session();
    const [killed, other] = [tasks.spawn(never), tasks.spawn(never)];
    const waited = tasks.waitAny([killed, other]);
    killed.kill();
    await turn();
    other.kill();
    await expect(waited).rejects.toThrow("already waited or killed");
  });

  test("ends with the session", async () => {
    const { tasks, end } = session();
    const waited = tasks.waitAny([tasks.spawn(never)]);
    end();
    await expect(waited).rejects.toThrow(ENDED);
  });

  test("leaves nothing at a task that never ends, however often it is asked", async () => {
    const { tasks } = session();
    const held: (() => void)[] = [];
    const endless = tasks.spawn(never);
    const listen = Reflect.get(endless, "listen");
    Reflect.set(endless, "listen", (listener: () => void) => {
      held.push(listener);
      Reflect.apply(listen, endless, [listener]);
    });
    const unlisten = Reflect.get(endless, "unlisten");
    Reflect.set(endless, "unlisten", (listener: () => void) => {
      held.splice(held.indexOf(listener), 1);
      Reflect.apply(unlisten, endless, [listener]);
    });
    for (let round = 0; round < 100; round++) await tasks.waitAny([endless, tasks.spawn(turn)]);
    expect(held).toEqual([]);
  });

  test.each([
    ["nothing", () => [], "at least one coroutine should be specified"],
    ["a promise", () => [Promise.resolve()], "attempt to wait on a coroutine that is not a user thread"],
    [
      "a task of another session",
      () => [session().tasks.spawn(never)],
      "only the parent coroutine can wait on the thread",
    ],
  ])("of %s throws, and so does waitAll", async (_, make, message) => {
    const { tasks } = session();
    const wrong = make() as unknown as Task[];
    await expect(tasks.waitAny(wrong)).rejects.toThrow(new TypeError(message));
    await expect(tasks.waitAll(wrong)).rejects.toThrow(new TypeError(message));
  });
});

describe("waitAll", () => {
  test("answers all values in the order of the list, with their types", async () => {
    const { tasks } = session();
    const text = tasks.spawn(async () => {
      await turn();
      return "x";
    });
    const both = await tasks.waitAll([text, tasks.spawn(() => 2)] as const);
    expectTypeOf(both).toEqualTypeOf<[string, number]>();
    expect(both).toEqual(["x", 2]);
  });

  test("rejects with the first error, or for a task that was killed", async () => {
    const { tasks } = session();
    const [endless, failing] = [tasks.spawn(never), tasks.spawn(async () => Promise.reject(new Error("no")))];
    await expect(tasks.waitAll([endless, failing])).rejects.toThrow("no");
    endless.kill();
    await expect(tasks.waitAll([endless])).rejects.toThrow("already waited or killed");
  });
});

describe("onAbort", () => {
  test("runs once, as a task, when the client leaves", async () => {
    const { tasks, reports } = session();
    let calls = 0;
    tasks.onAbort(async () => {
      calls++;
      throw new Error("in its own task");
    });
    tasks.clientLeft();
    tasks.clientLeft();
    await turn();
    expect([calls, reports]).toEqual([1, [new Error("in its own task")]]);
  });

  test("a second registration throws `duplicate call`, also when the first was called", () => {
    const { tasks } = session();
    tasks.onAbort(() => {});
    expect(() => tasks.onAbort(() => {})).toThrow("duplicate call");
    tasks.clientLeft();
    expect(() => tasks.onAbort(() => {})).toThrow("duplicate call");
  });

  test("does not run when the session has ended, or nobody asked for it", () => {
    const { tasks, end } = session();
    expect(() => tasks.clientLeft()).not.toThrow();
    tasks.onAbort(() => {
      throw new Error("must not run");
    });
    end();
    expect(() => tasks.clientLeft()).not.toThrow();
  });
});

describe("the end of the session", () => {
  test("ends all tasks: their signals abort with its reason, and whoever waits is told", async () => {
    const { tasks, reports, end } = session();
    const causes: unknown[] = [];
    const task = tasks.spawn((scope) =>
      sleep(10_000, scope).catch((cause) => {
        causes.push(cause);
        throw cause;
      }),
    );
    const awaited = Promise.resolve(task);
    const idle = tasks.idle();
    end();
    await expect(awaited).rejects.toBe(ENDED);
    await idle;
    expect([causes, reports, task.status, task.kill()]).toEqual([
      [ENDED],
      [],
      "dead",
      { err: "already waited or killed" },
    ]);
  });

  test("idle waits until the last task has ended", async () => {
    const { tasks } = session();
    await tasks.idle();
    const order: string[] = [];
    void tasks.spawn(async () => {
      await turn();
      void tasks.spawn(async () => {
        await turn();
        order.push("inner");
      });
    });
    await tasks.idle().then(() => order.push("idle"));
    expect(order).toEqual(["inner", "idle"]);
  });

  test("1,000 sessions that end during sleeps of a minute leave no timer and no listener behind", async () => {
    const before = timersAlive();
    const began = performance.now();
    const open = Array.from({ length: 1_000 }, () => session());
    const signals: AbortSignal[] = [];
    for (const { tasks } of open) {
      for (let count = 0; count < 2; count++) {
        void tasks.spawn((scope) => {
          signals.push(scope.signal);
          return sleep(60_000, scope);
        });
      }
    }
    expect(signals.length).toBe(2_000);
    for (const { end } of open) end();
    await Promise.all(open.map(({ tasks }) => tasks.idle()));
    await eventually(() => expect(timersAlive()).toBeLessThanOrEqual(before)); // the test's runner has some of its own
    expect(signals.flatMap((signal) => getEventListeners(signal, "abort"))).toEqual([]);
    expect(open.flatMap(({ signal }) => getEventListeners(signal, "abort"))).toEqual([]);
    expect(performance.now() - began).toBeLessThan(50_000);
  });
});
