import { describe, expect, test } from "vitest";
import { type DictHandle, openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { limitConn } from "../../../src/shared/limits/limit-conn.ts";
import { crowd } from "./crowd.ts";

const { together, kill } = crowd();
const AMOUNT = process.env["RESTYCONF_LONG"] ? 200_000 : 5_000;
const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

function opened(): { readonly dict: SharedDict; readonly handle: DictHandle } {
  const { dicts, handles } = openDicts({ dict: "1m" }, { isShared: true });
  const { dict } = dicts;
  const { dict: handle } = handles;
  if (!dict || !handle) throw new Error("it was opened above");
  return { dict, handle };
}

describe.each([2, 4])("%i processes", (processes) => {
  test.each(["req", "count", "rate", "hold"] as const)(
    "that ask one limiter (%s) let in exactly as many as there are places",
    async (kind) => {
      const { dict, handle } = opened();
      const places = AMOUNT / 2;
      expect(sum(await together({ where: { handle }, kind, amount: AMOUNT, places }, processes))).toBe(places);
      expect(dict.get("key")).toBeDefined();
      await kill(); // who holds leases has waited for that
    },
  );
});

test("processes that come and go are never more than there are places, and leave none behind", async () => {
  const { dict, handle } = opened();
  const admitted = await together({ where: { handle }, kind: "churn", amount: AMOUNT, places: 2 }, 3);
  expect(admitted).toEqual([AMOUNT, AMOUNT, AMOUNT]);
  expect(dict.get("key")).toBeUndefined();
});

test("places of processes that are killed are free for others at once", async () => {
  const { dict, handle } = opened();
  const places = 20;
  expect(sum(await together({ where: { handle }, kind: "hold", amount: places, places }, 3))).toBe(places);
  const limiter = limitConn({ dict, conns: places });
  expect(limiter.incoming("key")).toEqual({ err: "rejected" });
  await kill();
  expect(limiter.incoming("key")).toMatchObject({ conns: 1, remaining: places - 1 });
});
