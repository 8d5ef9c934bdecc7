import { describe, expect, test } from "vitest";
import { openDicts } from "../../../src/shared/dict/open-dicts.ts";
import type { SharedDict } from "../../../src/shared/dict/shared-dict.ts";
import { eventually } from "../../support/eventually.ts";
import type { LabourName } from "./labours.ts";
import { ended, workforce } from "./workforce.ts";

const { hire } = workforce();
const AMOUNT = process.env["RESTYCONF_LONG"] ? 1_000_000 : 40_000;

/** Lets `workers` processes do the same to a new dictionary at the same time. */
async function together(name: LabourName, { workers, amount, size = "10m" }: Together): Promise<SharedDict> {
  const { dicts, handles } = openDicts({ dict: size }, { isShared: true });
  const { dict } = dicts;
  const { dict: handle } = handles;
  if (dict === undefined || handle === undefined) throw new Error("it was opened above");
  const hired = Array.from({ length: workers }, (_, id) => hire(handle, { name, amount, id }));
  await eventually(() => expect(dict.get("ready")).toBe(workers));
  dict.set("go", true);
  expect(await Promise.all(hired.map(ended))).toEqual(hired.map(() => 0));
  return dict;
}

interface Together {
  readonly workers: number;
  readonly amount: number;
  readonly size?: string;
}

describe.each([2, 3, 4])("%i processes", (workers) => {
  test("count on one key, and the sum is exact", async () => {
    const dict = await together("count", { workers, amount: AMOUNT });
    expect(dict.get("sum")).toBe(workers * AMOUNT);
  });

  test("count on a hundred keys in several shards, and the sums are exact", async () => {
    const dict = await together("countMany", { workers, amount: AMOUNT, size: "32m" });
    const sums = Array.from({ length: 100 }, (_, index) => dict.get(`sum:${index}`));
    expect(sums).toEqual(sums.map(() => (workers * AMOUNT) / 100));
  });

  test("compare and swap, and no step is lost", async () => {
    const dict = await together("countByCas", { workers, amount: AMOUNT / 10 });
    expect(dict.get("sum")).toBe((workers * AMOUNT) / 10);
  });

  test("add the same keys, and each key is added once", async () => {
    const dict = await together("claim", { workers, amount: AMOUNT / 10 });
    expect(dict.get("won")).toBe(AMOUNT / 10);
  });

  test("push and pop, and every item is taken once", async () => {
    const amount = AMOUNT / 10;
    const dict = await together("queue", { workers, amount });
    let left = 0;
    for (let popped = dict.lpop("queue"); popped.value !== undefined; popped = dict.lpop("queue")) {
      left += Number(popped.value);
    }
    expect(Number(dict.get("popped")) + left).toBe((workers * amount * (amount + 1)) / 2);
  });
});
