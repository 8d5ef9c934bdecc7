import { readdirSync, readlinkSync } from "node:fs";
import { expect, test } from "vitest";
import { Gateway } from "../support/gateway.ts";
import { change, clients, config } from "../support/workers.ts";

/** How many dictionaries a process has open for others. */
function openDicts({ process: { pid } }: Gateway): number {
  const files = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
    } catch {
      return []; // closed since
    }
  });
  return files.filter((file) => file.includes("restyconf-dict")).length;
}

test.each([1, 2])("reloads that fail leave no dictionary open behind them, with %i workers", async (workers) => {
  const sized = (size: number, phases = ""): string =>
    config({ workers, keys: `shared: { big: "${size}k" },`, phases });
  await using gateway = await Gateway.start(sized(100));
  expect(await change(gateway, "SIGHUP", sized(200))).toMatchObject({ msg: "reload done" });
  const before = openDicts(gateway);
  for (let round = 0; round < 5; round++) {
    const broken = sized(300 + round, `initWorker: () => { throw new Error("no"); }`);
    expect(await change(gateway, "SIGHUP", broken)).toMatchObject({ msg: "reload failed", reason: "no" });
    expect(openDicts(gateway)).toBeLessThanOrEqual(before);
  }
  expect(await change(gateway, "SIGHUP", sized(400))).toMatchObject({ msg: "reload done" });
  expect((await clients(gateway.port()))[0]).toMatchObject({ generation: 8 });
  expect(await gateway.stop()).toBe(0);
});
