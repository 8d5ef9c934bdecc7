import { describe, expect, test } from "vitest";
import { machineClock } from "../../../src/shared/dict/clock.ts";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { combineLimits, type LimiterAndKey } from "../../../src/shared/limits/combine.ts";
import { Leases } from "../../../src/shared/limits/leases.ts";
import { limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { limitCount } from "../../../src/shared/limits/limit-count.ts";
import { limitRate } from "../../../src/shared/limits/limit-rate.ts";
import { limitReq } from "../../../src/shared/limits/limit-req.ts";
import { type LimiterDriver, limiterLaws } from "../../laws/limiter-laws.ts";

function openDict(options: Parameters<typeof openDicts>[1] = {}): SharedDict {
  const { dict } = openDicts({ dict: "1m" }, options).dicts;
  if (!dict) throw new Error("it was opened above");
  return dict;
}

/** A dictionary, and a clock that stands until it is moved. */
function dictDriver(isShared: boolean): LimiterDriver {
  const clock = { ms: machineClock() };
  const now = (): number => clock.ms;
  const dict = openDict({ now, isShared });
  return {
    limitReq: (settings) => limitReq({ ...settings, dict, now }),
    limitConn: (settings) => limitConn({ ...settings, dict }),
    limitCount: (settings) => limitCount({ ...settings, dict }),
    limitRate: (settings) => limitRate({ ...settings, dict, now }),
    pass: (ms) => {
      clock.ms += ms;
    },
    spoil: (kind, key) => void (kind === "req" ? dict.set(key, "text") : dict.rpush(key, 1)),
  };
}

for (const isShared of [false, true]) {
  const driver = dictDriver(isShared);
  limiterLaws(`limiters of a dictionary of ${isShared ? "several processes" : "one process"}`, () => driver);
}

test("limiters that are none cannot be combined", async () => {
  // biome-ignore lint/suspicious/noExplicitAny: what a user of JavaScript does
  await expect(combineLimits([["limiter", "key"]] as any)).rejects.toThrow("expected a list of { limiter, key }");
});

test("a limiter without a dictionary is a mistake, in OpenResty's words", () => {
  const { nothing } = openDicts({}).dicts;
  for (const [make, dict] of [limitReq, limitConn, limitCount, limitRate].flatMap((one) => [
    [one, nothing] as const,
    [one, "nothing"] as const,
  ])) {
    // biome-ignore lint/suspicious/noExplicitAny: what a user of JavaScript does
    expect(() => make({ dict, rate: 1, conns: 1, limit: 1, windowMs: 1 } as any)).toThrow("shared dict not found");
  }
});

test("a lease that was taken back by the limiter's end is not given back by its release, when others have come", () => {
  const limiter = limitConn({ dict: openDict(), conns: 9 });
  const sessions = [new AbortController(), new AbortController()];
  for (const { signal } of sessions) expect(limiter.incoming("key", { signal }).err).toBeUndefined();
  limiter.close();
  expect(limiter.incoming("key")).toMatchObject({ conns: 1 });
  for (const session of sessions) session.abort();
  expect(limiter.uncommit("key")).toBe(true);
  expect(limiter.uncommit("key")).toBe(false);
});

describe("leases", () => {
  const living = new Set(["a", "b", "c"]);
  const owners = (token: string) => ({
    newToken: () => token,
    hasOwnerEnded: (other: string) => !living.has(other),
  });

  test("of a process that has died are free for others at once", () => {
    const dict = openDict();
    const [dying, other] = [new Leases(dict, owners("dying")), new Leases(dict, owners("a"))];
    for (let time = 0; time < 3; time++) dying.take("key", 3);
    expect(other.take("key", 3)).toBe(1);
    expect(other.count("key")).toBe(1);
  });

  test("of a process that lives are not", () => {
    const dict = openDict();
    const [one, other] = [new Leases(dict, owners("a")), new Leases(dict, owners("b"))];
    for (let time = 0; time < 3; time++) one.take("key", 3);
    expect(other.take("key", 3)).toBe("rejected");
  });

  test("that somebody has flushed are written anew by their owner", () => {
    const dict = openDict();
    const [one, other] = [new Leases(dict, owners("a")), new Leases(dict, owners("b"))];
    one.take("key", 3);
    one.take("key", 3);
    dict.flushAll();
    expect(one.renew("key")).toBe(2);
    expect(other.take("key", 2)).toBe("rejected");
    expect(one.give("key")).toBe(1);
    dict.flushAll();
    expect(one.give("key")).toBe(0);
    expect(one.give("key")).toBeUndefined();
    expect(dict.get("key")).toBeUndefined();
  });

  test("are given back all at once by who closes", () => {
    const dict = openDict();
    const limiter = limitConn({ dict, conns: 5 });
    for (const key of ["a", "a", "b"]) limiter.incoming(key);
    limiter.close();
    expect(dict.keys()).toEqual([]);
  });
});

describe("combineLimits", () => {
  const limiters = (dict: SharedDict) => ({
    req: limitReq({ dict, rate: 0.1, burst: 9 }),
    count: limitCount({ dict, limit: 2, windowMs: 60_000 }),
    conn: limitConn({ dict, conns: 1, burst: 9, delayMs: 7 }),
  });

  test("answers the longest delay, the least that remains, and what each has said", async () => {
    const { req, count, conn } = limiters(openDict());
    const parts = [
      { limiter: req, key: "req" },
      { limiter: count, key: "count" },
      { limiter: conn, key: "conn" },
    ];
    await combineLimits(parts);
    const second = await combineLimits(parts);
    expect(second).toMatchObject({ remaining: 0, answers: [{}, { remaining: 0 }, { conns: 2, delayMs: 7 }] });
    expect(second.delayMs).toBeGreaterThan(9_000);
    expect(await combineLimits(parts)).toEqual({ err: "rejected", by: 1 });
  });

  test.each([0, 1, 2])("leaves nothing counted when the limiter of place %i rejects", async (place) => {
    const dict = openDict();
    const { req, conn } = limiters(dict);
    const closed = limitCount({ dict, limit: 1, windowMs: 60_000 });
    closed.incoming("closed");
    const parts: LimiterAndKey[] = [
      { limiter: req, key: "req" },
      { limiter: conn, key: "conn" },
    ];
    const answer = await combineLimits(parts.toSpliced(place, 0, { limiter: closed, key: "closed" }));
    expect(answer).toEqual({ err: "rejected", by: place });
    expect(req.incoming("req", { commit: false })).toMatchObject({ delayMs: 0, remaining: 9 });
    expect(conn.incoming("conn", { commit: false })).toMatchObject({ conns: 1 });
  });

  test("gives connections back by its release", async () => {
    const { conn } = limiters(openDict());
    const answer = await combineLimits([{ limiter: conn, key: "conn" }]);
    if (answer.err === undefined) answer.release();
    expect(conn.incoming("conn")).toMatchObject({ conns: 1 });
  });
});
