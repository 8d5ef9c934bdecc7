import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
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

/** Its `initWorker` ticks by `worker.timer`, and then does this. */
const ticking = (name: string, keys = "", work = ""): string => `
  import { content, defineGateway, otherwise } from "restyconf";
  const stays = content(async (session) => { await session.write("here\\n"); await session.reader.receive(); });
  export default defineGateway({
    stateDir: "state", ${keys}
    servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(stays)] } },
    phases: { initWorker: async (worker) => {
      const told = (what) => console.error(JSON.stringify({ by: "${name}", pid: process.pid, isReplaced: worker.isReplaced, ...what }));
      worker.timer.every(5, (premature) => told({ tick: true, premature }));
      worker.signal.addEventListener("abort", () => told({ aborted: true }));
      ${work}
    } },
  });`;

/** What has ticked. */
class Ticks {
  readonly gateway: Gateway;

  constructor(gateway: Gateway) {
    this.gateway = gateway;
  }

  by(name: string): LogLine[] {
    return this.gateway.log.filter((line) => line["tick"] === true && line["by"] === name);
  }

  /** Until there are more. */
  async more(name: string, after = this.by(name).length): Promise<void> {
    await eventually(() => expect(this.by(name).length).toBeGreaterThan(after));
  }

  /** Its last words, and nothing behind them while another one ticks. */
  async over(name: string, other: string): Promise<void> {
    await eventually(() => expect(this.by(name).at(-1)).toMatchObject({ premature: true, isReplaced: true }));
    const { length } = this.by(name);
    for (let more = 0; more < 3; more++) await this.more(other);
    expect(this.by(name)).toHaveLength(length);
  }

  write(text: string): void {
    writeFileSync(join(this.gateway.folder, "restyconf.config.ts"), text);
  }
}

test("a configuration's own timers rest after a reload, go on after a rollback, and end with the second reload", async () => {
  await using gateway = await Gateway.start(ticking("one"));
  const ticks = new Ticks(gateway);
  const reload = async (name: string): Promise<void> => {
    ticks.write(ticking(name));
    expect(await tell(gateway, "reload")).toMatchObject({ code: 0 });
    await ticks.more(name);
  };
  await ticks.more("one");
  await reload("two");
  const { length } = ticks.by("one");
  for (let more = 0; more < 3; more++) await ticks.more("two");
  expect(ticks.by("one")).toHaveLength(length);
  expect(await tell(gateway, "rollback")).toMatchObject({ code: 0 });
  await ticks.more("one", length);
  await ticks.over("two", "one");
  await reload("three");
  await reload("four");
  await ticks.over("one", "four");
  expect(ticks.by("one").filter(({ premature }) => premature)).toHaveLength(1);
  expect(ticks.by("three").every(({ isReplaced }) => !isReplaced)).toBe(true);
});

test("in a process whose place workers take, they are over, though its sessions go on", async () => {
  await using gateway = await Gateway.start(ticking("one"));
  const ticks = new Ticks(gateway);
  const socket = await dialIn(gateway.port());
  expect(await readUntil(socket, (text) => text.endsWith("\n"))).toBe("here\n");
  await ticks.more("one");
  ticks.write(ticking("two", "workers: 2,"));
  expect(await tell(gateway, "reload")).toMatchObject({ code: 0 });
  await ticks.over("one", "two");
  expect(gateway.log.filter((line) => line["aborted"] === true)).toEqual([]);
  socket.destroy();
  await gateway.line((line) => line["aborted"] === true && line["by"] === "one");
});

test.each([1, 2])("those of an `initWorker` that is given up are over at once, with %i workers", async (workers) => {
  const keys = `workers: ${workers},`;
  await using gateway = await Gateway.start(ticking("one", keys));
  const ticks = new Ticks(gateway);
  ticks.write(ticking("two", keys, "await new Promise(() => {});"));
  const reloaded = tell(gateway, "reload");
  await ticks.more("two");
  expect(await tell(gateway, "rollback")).toMatchObject({ code: 1 }); // there is nothing else to go back from
  expect(await reloaded).toMatchObject({ code: 1 });
  await ticks.over("two", "one");
});
