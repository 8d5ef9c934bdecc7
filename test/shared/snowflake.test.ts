import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/errors.ts";
import { SNOWFLAKE_EPOCH_MS, Snowflake, type SnowflakeClock } from "../../src/shared/snowflake.ts";
import { RUNS } from "../laws/sniffer-laws.ts";

const START = Date.UTC(2026, 10, 22);

/** A clock that a test turns. While somebody waits, it goes on as a real one does, unless it stands. */
class HandClock implements SnowflakeClock {
  ms = START;
  waitedMs = 0;
  readonly #goesOn: boolean;

  constructor(goesOn = true) {
    this.#goesOn = goesOn;
  }

  readonly now = (): number => this.ms;

  readonly wait = (ms: number): void => {
    this.waitedMs += ms;
    if (this.#goesOn) this.ms += ms;
  };
}

const ids = (count: number, of: Snowflake): bigint[] => Array.from({ length: count }, () => BigInt(of.next()));

function expectIncreasing(made: readonly bigint[]): void {
  const wrong = made.findIndex((id, index) => index > 0 && id <= (made[index - 1] ?? id));
  expect(wrong, `${made[wrong]} after ${made[wrong - 1]}`).toBe(-1);
}

describe("an id", () => {
  test("is time since 2025, worker and count in 41, 10 and 12 bits, as decimal text", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 1_019, clock });
    for (const sequence of [0n, 1n, 2n]) {
      const expected = (BigInt(START - Date.UTC(2025, 0, 1)) << 22n) | (1_019n << 12n) | sequence;
      expect(snowflake.next()).toBe(String(expected));
    }
  });
  test("tells what it was made of", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 17 }),
        fc.integer({ min: 1_000, max: 2 ** 41 - 10 }),
        fc.nat(),
        (bits, time, seed) => {
          const clock = new HandClock();
          clock.ms = SNOWFLAKE_EPOCH_MS + time;
          const machineId = seed % 2 ** bits;
          const snowflake = new Snowflake({ machineId, machineBits: bits, clock });
          const [first, second] = [snowflake.next(), snowflake.next()];
          expect(snowflake.decode(first)).toEqual({ timeMs: clock.ms, machineId, sequence: 0 });
          expect(snowflake.decode(BigInt(second))).toEqual({ timeMs: clock.ms, machineId, sequence: 1 });
          expect(String(BigInt(second))).toBe(second); // no zero in front, no digit lost
          expect(BigInt(second)).toBe((((BigInt(time) << BigInt(bits)) | BigInt(machineId)) << BigInt(22 - bits)) | 1n);
        },
      ),
      { numRuns: RUNS },
    );
  });
  test.each(["", "-1", "1.5", "x", "9223372036854775808", "00000000000000000001", 2n ** 63n, -1n])(
    "is not read from %s",
    (id) => {
      expect(() => new Snowflake({ machineId: 0 }).decode(id)).toThrow(TypeError);
    },
  );
  test.each([{ machineId: -1 }, { machineId: 1_024 }, { machineId: 0.5 }, { machineId: 2, machineBits: 1 }])(
    "is not made for %o",
    (options) => expect(() => new Snowflake(options)).toThrow(/^machineId: expected/),
  );
  test.each([0, 18, 1.5, Number.NaN])("has no place for %s bits of machine", (machineBits) => {
    expect(() => new Snowflake({ machineId: 0, machineBits })).toThrow(/^machineBits: expected/);
  });
  test("begins anew each millisecond", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 3, clock });
    ids(10, snowflake);
    clock.ms++;
    expect(snowflake.decode(snowflake.next())).toEqual({ timeMs: START + 1, machineId: 3, sequence: 0 });
  });
});

describe("whatever the clock does", () => {
  test("ids are unique and increase", () => {
    const step = fc.oneof(fc.integer({ min: -8, max: 3 }), fc.integer({ min: -5_000, max: 5_000 }), fc.constant(0));
    const turn = fc.record({ step, count: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 80 })) });
    fc.assert(
      fc.property(fc.array(turn, { maxLength: 40 }), fc.boolean(), (turns, goesOn) => {
        const clock = new HandClock(goesOn);
        const snowflake = new Snowflake({ machineId: 5, machineBits: 17, clock }); // 32 ids per millisecond
        const made: bigint[] = [];
        const codes = new Set<string>();
        let ahead = 0;
        for (const { step, count } of turns) {
          clock.ms += step;
          for (let index = 0; index < count; index++) {
            try {
              made.push(BigInt(snowflake.next()));
              ahead = Math.max(ahead, snowflake.decode(made.at(-1) ?? 0n).timeMs - clock.ms);
            } catch (cause) {
              codes.add(cause instanceof GatewayError ? cause.code : String(cause));
            }
          }
        }
        expectIncreasing(made);
        expect(ahead).toBeLessThanOrEqual(6);
        expect([...codes].filter((code) => code !== "RC_CLOCK")).toEqual([]);
        expect(made.every((id) => snowflake.decode(id).machineId === 5)).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });
  test.each([1, 4, 5])("a step of %i ms back is not even noticed", (step) => {
    const clock = new HandClock(false);
    const snowflake = new Snowflake({ machineId: 0, clock });
    const before = ids(3, snowflake);
    clock.ms -= step;
    expectIncreasing([...before, ...ids(3, snowflake)]);
    expect(clock.waitedMs).toBe(0);
  });
  test("a step of 8 ms back is waited out", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 0, clock });
    const before = ids(3, snowflake);
    clock.ms -= 8;
    expectIncreasing([...before, ...ids(3, snowflake)]);
    expect(clock.waitedMs).toBe(3);
  });
  test("a larger step back is an error, until the clock has caught up", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 0, clock });
    const before = ids(3, snowflake);
    clock.ms -= 1_000;
    expect(() => snowflake.next()).toThrow("no ids: the clock went backwards: 995 ms behind the last id");
    expect(clock.waitedMs).toBe(5);
    clock.ms += 995;
    expectIncreasing([...before, ...ids(3, snowflake)]);
  });
  test("errors take no ids away and do not run ahead", () => {
    const clock = new HandClock(false);
    const snowflake = new Snowflake({ machineId: 0, machineBits: 17, clock });
    snowflake.next();
    clock.ms -= 100;
    for (let call = 0; call < 1_000; call++) expect(() => snowflake.next()).toThrow("clock");
    clock.ms += 100;
    expect(snowflake.decode(snowflake.next())).toEqual({ timeMs: START, machineId: 0, sequence: 1 });
  });
  test("a burst runs ahead of the clock by 5 ms, then waits for it", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 0, clock });
    const burst = ids(6 * 4_096, snowflake);
    expect(clock.waitedMs).toBe(0);
    expectIncreasing([...burst, ...ids(2 * 4_096, snowflake)]);
    expect(clock.waitedMs).toBe(2);
  });
  test.each([SNOWFLAKE_EPOCH_MS - 1, SNOWFLAKE_EPOCH_MS + 2 ** 41])("time %s has no ids", (ms) => {
    const clock = new HandClock();
    clock.ms = ms;
    expect(() => new Snowflake({ machineId: 0, clock }).next()).toThrow(/outside the time of ids/);
  });
  test("the machine's own clock and its wait make increasing ids, too", () => {
    const snowflake = new Snowflake({ machineId: 1, machineBits: 17 });
    const begun = Date.now();
    const made = ids(32 * 20, snowflake);
    const ended = Date.now();
    expectIncreasing(made);
    expect(ended - begun).toBeGreaterThanOrEqual(13); // 20 ms worth of ids, at most 6 of them ahead
    expect(snowflake.decode(made.at(-1) ?? 0n).timeMs).toBeLessThanOrEqual(ended + 6);
  });
});

describe("a worker's number that is leased", () => {
  test("makes ids until its time is over, and again when it is renewed", () => {
    const clock = new HandClock();
    const snowflake = new Snowflake({ machineId: 7, clock });
    snowflake.hold(7, START + 100);
    const before = ids(2, snowflake);
    expect(snowflake.isHeld).toBe(true);
    clock.ms += 100;
    expect(snowflake.isHeld).toBe(false);
    expect(() => snowflake.next()).toThrow("no ids: the worker's number is not leased: not renewed in time");
    snowflake.hold(7, clock.ms + 100);
    expectIncreasing([...before, ...ids(2, snowflake)]);
  });
  test("makes none once it is stopped, with an error of its own", () => {
    const snowflake = new Snowflake({ machineId: 7 });
    snowflake.stop("taken by another");
    expect(() => snowflake.next()).toThrow(expect.objectContaining({ code: "RC_ID_LEASE", status: 500 }));
    expect(() => snowflake.next()).toThrow("taken by another");
    expect(snowflake.isHeld).toBe(false);
  });
  test("may become another, even a lower one, and ids still increase", () => {
    const clock = new HandClock(false);
    const snowflake = new Snowflake({ machineId: 900, clock });
    const before = ids(2, snowflake);
    snowflake.hold(20);
    expect(snowflake.machineId).toBe(20);
    expectIncreasing([...before, ...ids(2, snowflake)]);
    expect(() => snowflake.hold(1_024)).toThrow(TypeError);
  });
});
