import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";
import { tell } from "../support/operated.ts";

// Timers in a gateway: what they tell the log, and what a stop makes of them.

const page = readFileSync(new URL("../../docs/timers.md", import.meta.url), "utf8");
const [, documented = ""] = /```ts\n(\/\/ restyconf\.config\.ts\n[\s\S]+?)```/.exec(page) ?? [];

/** A gateway whose `initWorker` does this. */
const withTimers = (work: string): Promise<Gateway> =>
  Gateway.start(`
    import { defineGateway, otherwise, reject, timer } from "restyconf";
    export default defineGateway({
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("closed"))] } },
      phases: { initWorker: () => { ${work} } },
    });`);

test("docs/timers.md has an example that says its last words when the gateway stops", async () => {
  await using gateway = await Gateway.start(documented.replace(":5050", ":0"));
  await exchange(gateway.port(), "hello\n");
  await gateway.access();
  expect(await gateway.stop("SIGTERM")).toBe(0);
  expect(gateway.stderr).toContain("edge: 1 sessions, the last words\n");
});

test("a callback that throws is logged under its name, and `every` goes on", async () => {
  await using gateway = await withTimers(`
    let calls = 0;
    timer.every(5, function refresh() {
      calls += 1;
      if (calls === 3) console.error("third");
      throw new Error("no list");
    });`);
  const line = await gateway.line(({ msg }) => msg === "timer failed");
  expect(line).toMatchObject({ level: "error", timer: "refresh", err: { message: "no list" } });
  await eventually(() => expect(gateway.stderr).toContain("third\n"));
});

test("a callback that hangs does not hold a stop for ever", async () => {
  await using gateway = await withTimers(`timer.at(60_000, () => new Promise(() => {}));`);
  const began = performance.now();
  expect(await gateway.stop("SIGQUIT")).toBe(0);
  expect(performance.now() - began).toBeGreaterThan(4_000);
});

test("a configuration's own timers rest after a reload, go on after a rollback, and end with the second reload", async () => {
  const text = (name: string): string => `
    import { defineGateway, otherwise, reject } from "restyconf";
    export default defineGateway({
      stateDir: "state",
      servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("closed"))] } },
      phases: { initWorker: (worker) => {
        const told = (what) => console.error(JSON.stringify({ by: "${name}", isReplaced: worker.isReplaced, ...what }));
        worker.timer.every(5, (premature) => told({ tick: true, premature }));
      } },
    });`;
  await using gateway = await Gateway.start(text("one"));
  const ticks = (by: string): LogLine[] => gateway.log.filter((line) => line["tick"] === true && line["by"] === by);
  const ticked = (by: string, after = ticks(by).length): Promise<void> =>
    eventually(() => expect(ticks(by).length).toBeGreaterThan(after));
  const reload = async (name: string): Promise<void> => {
    writeFileSync(join(gateway.folder, "restyconf.config.ts"), text(name));
    expect(await tell(gateway, "reload")).toMatchObject({ code: 0 });
    await ticked(name);
  };
  await ticked("one");
  await reload("two");
  const { length } = ticks("one");
  for (let more = 0; more < 3; more++) await ticked("two");
  expect(ticks("one")).toHaveLength(length);
  expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
  await ticked("one", length);
  await eventually(() => expect(ticks("two").at(-1)).toMatchObject({ premature: true, isReplaced: true }));
  await reload("three");
  await reload("four");
  await eventually(() => expect(ticks("one").at(-1)).toMatchObject({ premature: true, isReplaced: true }));
  expect(ticks("one").filter(({ premature }) => premature)).toHaveLength(1);
  expect(ticks("three").every(({ isReplaced }) => !isReplaced)).toBe(true);
});
