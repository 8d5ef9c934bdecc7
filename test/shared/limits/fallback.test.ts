import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Fallback } from "../../../src/shared/limits/fallback.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A fallback that waits for 250 ms, asks again after a second, and writes down what it is told. */
function fallback() {
  const states: string[] = [];
  const refusals: string[] = [];
  const made = new Fallback({
    onState: (isAway) => states.push(isAway ? "away" : "back"),
    onRefusal: (reason) => refusals.push(reason),
  });
  return { made, states, refusals };
}

const after = (ms: number) => () => new Promise<string>((resolve) => setTimeout(resolve, ms, "there"));
const fails = (message: string, name: string) => () =>
  Promise.reject(Object.assign(new Error(message), { name }) satisfies Error);
const here = (): string => "here";

test("a Redis that answers in time only now and then is said to be away, or back, at most once a second", async () => {
  const { made, states } = fallback();
  for (let time = 0; time < 1_000; time++) {
    void made.ask(after(time % 3 === 0 ? 300 : 100), here);
    await vi.advanceTimersByTimeAsync(5);
  }
  expect(states.slice(0, 2)).toEqual(["away", "back"]);
  expect(states.length).toBeLessThanOrEqual(9); // in five seconds: each outage lasts one at least
});

test("answers to older questions do not end an outage, and their failures begin none", async () => {
  const { made, states } = fallback();
  const late = [made.ask(after(240), here), made.ask(after(10_000), here)];
  await vi.advanceTimersByTimeAsync(10);
  await made.ask(fails("Connection is closed.", "Error"), here);
  expect(states).toEqual(["away"]);
  await vi.advanceTimersByTimeAsync(235);
  expect(await late[0]).toBe("there");
  expect(made.isAway).toBe(true);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await late[1]).toBe("here");
  const probe = made.ask(after(10), here);
  expect(await made.ask(after(0), here)).toBe("here"); // one asks, the others do not wait for it
  await vi.advanceTimersByTimeAsync(10);
  expect(await probe).toBe("there");
  expect(states).toEqual(["away", "back"]);
});

test("a question that fails after Redis was back, and was asked before, takes it for away no more", async () => {
  const { made, states } = fallback();
  const slow = made.ask(after(249), here);
  const failing = made.ask(after(10_000), here);
  await made.ask(fails("Connection is closed.", "Error"), here);
  await vi.advanceTimersByTimeAsync(249);
  expect(await slow).toBe("there");
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await failing).toBe("here");
  expect(await Promise.all([made.ask(() => Promise.resolve("there"), here)])).toEqual(["there"]);
  expect(states).toEqual(["away", "back"]);
});

test("a question that Redis refuses is answered here, told once, and concerns no other", async () => {
  const { made, states, refusals } = fallback();
  const refused = fails("ERR value is not an integer or out of range", "ReplyError");
  for (let time = 0; time < 3; time++) expect(await made.ask(refused, here)).toBe("here");
  expect(await made.ask(() => Promise.resolve("there"), here)).toBe("there");
  expect([states, refusals]).toEqual([[], ["ERR value is not an integer or out of range"]]);
});

test.each(["LOADING Redis is loading the dataset in memory", "OOM command not allowed", "READONLY You can't write"])(
  "a Redis that can do nothing for anybody is away: %s",
  async (message) => {
    const { made, states, refusals } = fallback();
    expect(await made.ask(fails(message, "ReplyError"), here)).toBe("here");
    expect(await made.ask(() => Promise.resolve("there"), here)).toBe("here");
    expect([states, refusals]).toEqual([["away"], []]);
  },
);
