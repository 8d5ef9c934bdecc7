import { describe, expect, test } from "vitest";
import type { ConnAdmitted, ConnIncoming, ConnSettings } from "../../src/shared/limits/limit-conn.ts";
import type { CountSettings } from "../../src/shared/limits/limit-count.ts";
import type { RateSettings } from "../../src/shared/limits/limit-rate.ts";
import type { ReqSettings } from "../../src/shared/limits/limit-req.ts";
import type { IncomingOptions, LimitAnswer, Refused } from "../../src/shared/limits/limiter.ts";

type Awaitable<T> = T | Promise<T>;

/** A limiter of any driver. */
export interface AnyLimiter<Answer = LimitAnswer> {
  incoming(key: string, options?: IncomingOptions & ConnIncoming): Awaitable<Answer>;
  uncommit(key: string): Awaitable<boolean>;
  retryAfterMs(key: string): Awaitable<number | undefined>;
}

interface AnyRate extends AnyLimiter {
  take(key: string, count: number, options?: IncomingOptions): Awaitable<LimitAnswer>;
  takeAvailable(key: string, count: number): Awaitable<number>;
}

/** Limiters that count somewhere, and what tests do to the place where they count. */
export interface LimiterDriver {
  limitReq(settings: ReqSettings): AnyLimiter;
  limitConn(settings: ConnSettings): AnyLimiter<ConnAdmitted | Refused>;
  limitCount(settings: CountSettings): AnyLimiter;
  limitRate(settings: RateSettings): AnyRate;
  /** Lets time go by. */
  pass(ms: number): Awaitable<void>;
  /** Puts something under a key that no limiter would. */
  spoil(kind: "req" | "conn" | "count" | "rate", key: string): Awaitable<void>;
}

/** So long may a question take where time is real. */
const SLACK_MS = 5_000;

/** What every limiter must obey, wherever it counts. Drivers begin empty; each law has keys of its own. */
export function limiterLaws(name: string, driver: () => LimiterDriver): void {
  describe(name, () => {
    describe("limitReq", () => reqLaws(driver));
    describe("limitCount", () => countLaws(driver));
    describe("limitRate", () => rateLaws(driver));
    describe("limitConn", () => connLaws(driver));
  });
}

function about(delayMs: number | undefined, expected: number): void {
  expect(delayMs).toBeLessThanOrEqual(expected);
  expect(delayMs).toBeGreaterThanOrEqual(Math.max(expected - SLACK_MS, 0));
}

const REJECTED = { err: "rejected" };
const ABUSED = { err: "shdict abused by other users" };

function reqLaws(driver: () => LimiterDriver): void {
  const slow = { rate: 0.1, burst: 2 };

  test("lets the first in at once, the next wait their turn, and turns away who is beyond the burst", async () => {
    const limiter = driver().limitReq(slow);
    expect(await limiter.incoming("turns")).toEqual({ delayMs: 0, remaining: 2 });
    const second = await limiter.incoming("turns");
    about(second.delayMs, 10_000);
    expect(second.remaining).toBe(1);
    const third = await limiter.incoming("turns");
    about(third.delayMs, 20_000);
    expect(third.remaining).toBe(0);
    expect(await limiter.incoming("turns")).toEqual(REJECTED);
  });

  test("without a burst lets one in per step", async () => {
    const limiter = driver().limitReq({ rate: 0.25 });
    expect(await limiter.incoming("single")).toEqual({ delayMs: 0, remaining: 0 });
    expect(await limiter.incoming("single")).toEqual(REJECTED);
    expect(await limiter.retryAfterMs("single")).toBe(4_000);
    await driver().pass(4_010);
    expect(await limiter.incoming("single")).toEqual({ delayMs: 0, remaining: 0 });
  });

  test("does not count whom it turns away", async () => {
    const limiter = driver().limitReq({ rate: 0.25, burst: 1 });
    for (let time = 0; time < 2; time++) await limiter.incoming("away");
    for (let time = 0; time < 10; time++) expect(await limiter.incoming("away")).toEqual(REJECTED);
    await driver().pass(8_020);
    expect((await limiter.incoming("away")).delayMs).toBe(0);
  });

  test("counts nothing when it is only asked", async () => {
    const limiter = driver().limitReq(slow);
    for (let time = 0; time < 9; time++) {
      expect(await limiter.incoming("req asked", { commit: false })).toEqual({ delayMs: 0, remaining: 2 });
    }
    expect((await limiter.incoming("req asked")).delayMs).toBe(0);
  });

  test("takes back what it has counted", async () => {
    const limiter = driver().limitReq(slow);
    expect(await limiter.uncommit("back")).toBe(false);
    for (let time = 0; time < 3; time++) await limiter.incoming("back");
    expect(await limiter.uncommit("back")).toBe(true);
    about((await limiter.incoming("back")).delayMs, 20_000);
    expect(await limiter.incoming("back")).toEqual(REJECTED);
  });

  test("counts each key by itself", async () => {
    const limiter = driver().limitReq({ rate: 0.1 });
    expect((await limiter.incoming("one")).delayMs).toBe(0);
    expect((await limiter.incoming("other")).delayMs).toBe(0);
    expect(await limiter.incoming("one")).toEqual(REJECTED);
  });

  test("says so when somebody else uses its key", async () => {
    await driver().spoil("req", "req foreign");
    expect(await driver().limitReq(slow).incoming("req foreign")).toEqual(ABUSED);
    expect(await driver().limitReq(slow).uncommit("req foreign")).toBe(false);
  });

  test.each([{ rate: 0 }, { rate: -1 }, { rate: Number.NaN }, { rate: 1, burst: -1 }])("refuses %j", (settings) => {
    expect(() => driver().limitReq(settings)).toThrow(TypeError);
  });
}

function countLaws(driver: () => LimiterDriver): void {
  test("lets so many in, then nobody until the window ends", async () => {
    const limiter = driver().limitCount({ limit: 3, windowMs: 4_000 });
    for (const remaining of [2, 1, 0]) expect(await limiter.incoming("window")).toEqual({ delayMs: 0, remaining });
    for (let time = 0; time < 5; time++) expect(await limiter.incoming("window")).toEqual(REJECTED);
    const retryMs = (await limiter.retryAfterMs("window")) ?? 0;
    expect(retryMs).toBeGreaterThan(0);
    expect(retryMs).toBeLessThanOrEqual(4_000);
    await driver().pass(4_020);
    expect(await limiter.incoming("window")).toEqual({ delayMs: 0, remaining: 2 });
  });

  test("goes on counting below 0, as OpenResty does", async () => {
    const limiter = driver().limitCount({ limit: 1, windowMs: 60_000 });
    for (let time = 0; time < 3; time++) await limiter.incoming("below");
    await limiter.uncommit("below");
    expect(await limiter.incoming("below")).toEqual(REJECTED);
  });

  test("counts nothing when it is only asked, and takes back what it has counted", async () => {
    const limiter = driver().limitCount({ limit: 2, windowMs: 60_000 });
    expect(await limiter.uncommit("count asked")).toBe(false);
    expect(await limiter.incoming("count asked", { commit: false })).toEqual({ delayMs: 0, remaining: 1 });
    expect(await limiter.incoming("count asked")).toEqual({ delayMs: 0, remaining: 1 });
    expect(await limiter.uncommit("count asked")).toBe(true);
    expect(await limiter.incoming("count asked")).toEqual({ delayMs: 0, remaining: 1 });
  });

  test("says so when somebody else uses its key", async () => {
    await driver().spoil("count", "count foreign");
    const limiter = driver().limitCount({ limit: 2, windowMs: 60_000 });
    expect(await limiter.incoming("count foreign")).toEqual(ABUSED);
    expect(await limiter.incoming("count foreign", { commit: false })).toEqual(ABUSED);
  });
}

function rateLaws(driver: () => LimiterDriver): void {
  const slow = { capacity: 3, intervalMs: 10_000, quantum: 2 };

  test("gives out what the bucket holds, then what is to come, for those who wait", async () => {
    const limiter = driver().limitRate(slow);
    for (const remaining of [2, 1, 0]) expect(await limiter.incoming("bucket")).toEqual({ delayMs: 0, remaining });
    for (const [remaining, delayMs] of [
      [-1, 10_000],
      [-2, 10_000],
      [-3, 20_000],
    ] as const) {
      const answer = await limiter.incoming("bucket");
      about(answer.delayMs, delayMs);
      expect(answer.remaining).toBe(remaining);
    }
  });

  test("turns away who would wait too long, and does not count him", async () => {
    const limiter = driver().limitRate({ ...slow, maxWaitMs: 10_000 });
    for (let time = 0; time < 5; time++) expect((await limiter.incoming("wait")).err).toBeUndefined();
    for (let time = 0; time < 5; time++) expect(await limiter.incoming("wait")).toEqual(REJECTED);
  });

  test("takes several tokens or none, or as many as there are", async () => {
    const limiter = driver().limitRate({ ...slow, maxWaitMs: 0 });
    expect(await limiter.take("several", 2)).toEqual({ delayMs: 0, remaining: 1 });
    expect(await limiter.take("several", 2)).toEqual(REJECTED);
    expect(await limiter.takeAvailable("several", 5)).toBe(1);
    expect(await limiter.takeAvailable("several", 5)).toBe(0);
  });

  test("fills up as time goes by, and not beyond its capacity", async () => {
    const limiter = driver().limitRate({ capacity: 4, intervalMs: 100, quantum: 1, maxWaitMs: 0 });
    expect(await limiter.takeAvailable("fills", 9)).toBe(4);
    await driver().pass(250);
    expect(await limiter.takeAvailable("fills", 1)).toBe(1);
    await driver().pass(700);
    expect(await limiter.takeAvailable("fills", 9)).toBe(4);
  });

  test("counts nothing when it is only asked, and takes back what it has counted", async () => {
    const limiter = driver().limitRate({ ...slow, capacity: 1, maxWaitMs: 0 });
    expect(await limiter.uncommit("rate asked")).toBe(false);
    expect(await limiter.incoming("rate asked", { commit: false })).toEqual({ delayMs: 0, remaining: 0 });
    expect(await limiter.incoming("rate asked")).toEqual({ delayMs: 0, remaining: 0 });
    expect(await limiter.incoming("rate asked")).toEqual(REJECTED);
    expect(await limiter.uncommit("rate asked")).toBe(true);
    expect(await limiter.incoming("rate asked")).toEqual({ delayMs: 0, remaining: 0 });
  });

  test("says so when somebody else uses its key", async () => {
    await driver().spoil("rate", "rate foreign");
    expect(await driver().limitRate(slow).incoming("rate foreign")).toEqual(ABUSED);
  });
}

function connLaws(driver: () => LimiterDriver): void {
  const admitted = (answer: ConnAdmitted | Refused): ConnAdmitted => {
    if (answer.err === undefined) return answer;
    throw new Error(answer.err);
  };

  test("lets so many in at once, has those of the burst wait, and turns others away", async () => {
    const limiter = driver().limitConn({ conns: 2, burst: 3, delayMs: 100 });
    const answers = [];
    for (let time = 0; time < 6; time++) answers.push(await limiter.incoming("many"));
    expect(answers).toMatchObject([
      { delayMs: 0, remaining: 4, conns: 1 },
      { delayMs: 0, remaining: 3, conns: 2 },
      { delayMs: 100, remaining: 2, conns: 3 },
      { delayMs: 100, remaining: 1, conns: 4 },
      { delayMs: 200, remaining: 0, conns: 5 },
      REJECTED,
    ]);
  });

  test("has a place for another when one has left, and a lease can be given back once", async () => {
    const limiter = driver().limitConn({ conns: 2 });
    const first = admitted(await limiter.incoming("leaves"));
    admitted(await limiter.incoming("leaves"));
    first.release();
    first.release();
    expect(admitted(await limiter.incoming("leaves")).conns).toBe(2);
    expect(await limiter.incoming("leaves")).toEqual(REJECTED);
  });

  test("gives a lease back when its signal aborts", async () => {
    const limiter = driver().limitConn({ conns: 1 });
    const session = new AbortController();
    const lease = admitted(await limiter.incoming("signal", { signal: session.signal }));
    session.abort();
    lease.release();
    admitted(await limiter.incoming("signal", { signal: session.signal })); // over already: given back at once
    expect(admitted(await limiter.incoming("signal")).conns).toBe(1);
  });

  test("counts nothing when it is only asked, and takes back what it has counted", async () => {
    const limiter = driver().limitConn({ conns: 1 });
    expect(await limiter.uncommit("conn asked")).toBe(false);
    admitted(await limiter.incoming("conn asked", { commit: false })).release();
    expect(admitted(await limiter.incoming("conn asked")).conns).toBe(1);
    expect(await limiter.incoming("conn asked", { commit: false })).toEqual(REJECTED);
    expect(await limiter.uncommit("conn asked")).toBe(true);
    expect(admitted(await limiter.incoming("conn asked")).conns).toBe(1);
  });

  test("what was taken back is not given back once more by its signal: it is the newest", async () => {
    const limiter = driver().limitConn({ conns: 9 });
    const sessions = [new AbortController(), new AbortController()];
    for (const { signal } of sessions) admitted(await limiter.incoming("conn back", { signal }));
    expect(await limiter.uncommit("conn back")).toBe(true);
    sessions[1]?.abort();
    expect(await limiter.incoming("conn back")).toMatchObject({ conns: 2 });
    sessions[0]?.abort();
    expect(await limiter.incoming("conn back")).toMatchObject({ conns: 2 });
  });

  test("what was taken back is not given back once more by its release, and the others are, in any order", async () => {
    const limiter = driver().limitConn({ conns: 9 });
    const leases: ConnAdmitted[] = [];
    for (let time = 0; time < 5; time++) leases.push(admitted(await limiter.incoming("conn order")));
    expect(await limiter.uncommit("conn order")).toBe(true);
    leases[1]?.release();
    leases[4]?.release();
    expect(await limiter.uncommit("conn order")).toBe(true);
    leases[3]?.release();
    expect(await limiter.incoming("conn order", { commit: false })).toMatchObject({ conns: 3 });
    for (const lease of leases) lease.release();
    expect(await limiter.uncommit("conn order")).toBe(false);
    expect(await limiter.incoming("conn order")).toMatchObject({ conns: 1 });
    expect(await limiter.incoming("conn order")).toMatchObject({ conns: 2 });
  });

  test("learns how long one takes", async () => {
    const limiter = driver().limitConn({ conns: 1, burst: 1, delayMs: 100 });
    admitted(await limiter.incoming("learns")).release(300);
    await limiter.incoming("learns");
    expect(await limiter.incoming("learns")).toMatchObject({ delayMs: 200 });
  });

  test("is one count for all limiters with this key", async () => {
    admitted(await driver().limitConn({ conns: 2 }).incoming("shared"));
    expect(admitted(await driver().limitConn({ conns: 2 }).incoming("shared")).conns).toBe(2);
    expect(await driver().limitConn({ conns: 2 }).incoming("shared")).toEqual(REJECTED);
  });

  test("says so when somebody else uses its key", async () => {
    await driver().spoil("conn", "conn foreign");
    expect(await driver().limitConn({ conns: 2 }).incoming("conn foreign")).toEqual(ABUSED);
  });
}
