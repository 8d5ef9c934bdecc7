import { randomBytes, randomUUID, scrypt, scryptSync } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { performance as nodePerformance } from "node:perf_hooks";
import { setTimeout as nodeSleep, setInterval as ticks } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import {
  type AccessSession,
  content,
  defineGateway,
  otherwise,
  reject,
  type ServerPhases,
  sleep,
  timer,
} from "../../src/index.ts";
import { end, runSession, send, wait } from "../../src/testing/index.ts";

/** A gateway that refuses everybody, after its hook. */
const refusing = (access: NonNullable<ServerPhases["access"]>) =>
  defineGateway({
    servers: {
      edge: {
        listen: "127.0.0.1:5050",
        routes: [otherwise(content((session) => session.write("ok")))],
        phases: { access },
      },
    },
  });

/** How long a hook has taken by the clock of its run, in seconds. */
async function secondsOf(work: (session: AccessSession) => unknown): Promise<number> {
  const run = await runSession(
    refusing(async (session) => void (await work(session))),
    { client: send("x") },
  );
  expect(run.line).toMatchObject({ status: 200 });
  return run.line.session_time;
}

test.each<[string, number, () => unknown]>([
  ["sleep of restyconf", 30, () => sleep(30_000)],
  ["setTimeout", 30, () => new Promise((resolve) => setTimeout(resolve, 30_000))],
  ["setTimeout of node:timers/promises", 30, () => nodeSleep(30_000)],
  ["setTimeout that is promisified", 30, () => promisify(setTimeout)(30_000)],
  ["AbortSignal.timeout", 30, () => once(AbortSignal.timeout(30_000), "abort")],
  ["timer.at", 30, () => new Promise((resolve) => timer.at(30_000, resolve))],
  [
    "setInterval of node:timers/promises",
    30,
    async () => {
      let left = 3;
      for await (const _ of ticks(10_000)) if (--left === 0) return;
    },
  ],
  ["an interval that nobody waits for", 0, () => void setInterval(() => {}, 10)],
  [
    "turns of the event loop",
    0,
    async () => {
      for (let left = 200; left > 0; left--) await sleep(0);
    },
  ],
  ["a file", 0, () => readFile(new URL(import.meta.url))],
  [
    "random bytes",
    0,
    () => [randomUUID(), randomBytes(8), scryptSync("password", "salt", 64), promisify(randomBytes)(8)],
  ],
  ["a slow cipher", 0, () => promisify(scrypt)("password", "salt", 64)],
])("%s takes %d s, and no real time", async (_, seconds, work) => {
  const began = process.hrtime.bigint();
  expect(await secondsOf(work)).toBe(seconds);
  expect(Number(process.hrtime.bigint() - began) / 1e9).toBeLessThan(20);
});

test("all clocks of the process tell the time of the run, from the same day on", async () => {
  const told: unknown[] = [];
  const config = refusing(async () => {
    const tell = () => [
      Date.now(),
      new Date().toISOString(),
      performance.now(),
      nodePerformance.now(),
      process.hrtime()[0],
    ];
    told.push(tell());
    await sleep(2_000);
    told.push(tell());
  });
  const run = await runSession(config, { client: send("x") });
  const day = Date.UTC(2026, 0, 1);
  expect(told).toEqual([
    [day, "2026-01-01T00:00:00.000Z", 1_000_000, 1_000_000, 1_000],
    [day + 2_000, "2026-01-01T00:00:02.000Z", 1_002_000, 1_002_000, 1_002],
  ]);
  expect(run.line.time).toBe("2026-01-01T00:00:02.000Z");
  const later = await runSession(config, { client: send("x"), now: new Date("2030-02-03T04:05:06Z") });
  expect(later.line.time).toBe("2030-02-03T04:05:08.000Z");
});

test("a night closing is tested by day", async () => {
  const config = refusing(() => (new Date().getUTCHours() < 6 ? reject("we sleep") : undefined));
  const at = async (now: string) => (await runSession(config, { client: send("x"), now: new Date(now) })).line.status;
  expect([await at("2026-05-01T05:59:59Z"), await at("2026-05-01T06:00:00Z")]).toEqual([403, 200]);
});

test("entries of a dictionary expire by the clock of the run, and each run begins with none", async () => {
  const told: unknown[] = [];
  const access: ServerPhases["access"] = async ({ worker: { shared } }) => {
    told.push(shared["seen"]?.get("ann"));
    shared["seen"]?.set("ann", 1, { ttlMs: 10_000 });
    await sleep(9_000);
    told.push(shared["seen"]?.get("ann"));
    await sleep(1_001);
    told.push(shared["seen"]?.get("ann"));
  };
  const config = { ...refusing(access), shared: { seen: "1m" } };
  for (let runs = 2; runs > 0; runs--) await runSession(config, { client: send("x") });
  expect(told).toEqual([undefined, 1, undefined, undefined, 1, undefined]);
});

test("timers of a run are gone with it", async () => {
  const before = timer.counts().pending;
  const called: number[] = [];
  await secondsOf(() => void timer.every(1_000, () => called.push(Date.now())));
  expect([timer.counts().pending, called]).toEqual([before, []]);
});

test("what a timer throws is in the log of the run", async () => {
  const config = refusing(async () => {
    timer.at(10, function clean() {
      throw new Error("no luck");
    });
    await sleep(20);
  });
  const { logs } = await runSession(config, { client: send("x") });
  expect(logs).toContainEqual({
    level: "error",
    event: "timer failed",
    fields: { timer: "clean", err: expect.any(Error) },
  });
});

test("what a callback throws that nobody catches, the run rejects with; an exit ends the session", async () => {
  const fail = (): never => {
    throw new Error("no luck");
  };
  const failing = refusing(() => new Promise<void>(() => void setTimeout(fail, 10)));
  await expect(runSession(failing, { client: send("x") })).rejects.toThrow("no luck");
  const leaving = refusing((session) => new Promise<void>(() => void setTimeout(() => session.exit(403), 10)));
  const { line } = await runSession(leaving, { client: send("x") });
  expect(line).toMatchObject({ status: 403, end_cause: "exited", session_time: 0.01 });
});

test("runs that are started at once come one after the other", async () => {
  const config = refusing(() => sleep(1_000).then(() => undefined));
  const runs = await Promise.all([1, 2, 3].map(() => runSession(config, { client: send("x") })));
  expect(runs.map(({ line }) => line.session_time)).toEqual([1, 1, 1]);
});

test("a real socket of a hook is warned of, since the clock does not wait for it; with the real clock it works", async () => {
  await using server = createServer((socket) => socket.end("hello"));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  const said: string[] = [];
  const ask = async () => {
    const { connect } = await import("node:net");
    const socket = connect(port, "127.0.0.1");
    for await (const chunk of socket) said.push(String(chunk));
  };
  const fake = await runSession(refusing(ask), { client: [send("x"), wait(1), end()] });
  expect(fake.logs).toContainEqual({
    level: "warn",
    event: "a hook opened a real socket while the clock is fake",
    fields: {},
  });
  said.length = 0;
  const real = await runSession(refusing(ask), { client: send("x"), clock: "real" });
  expect([said, real.line.status, real.logs]).toEqual([["hello"], 200, []]);
});

test("with the real clock, a run that does not end is given up as well", async () => {
  const waits = runSession(
    refusing(() => sleep(60_000).then(() => undefined)),
    { clock: "real", client: send("x"), limitMs: 50 },
  );
  await expect(waits).rejects.toThrow("the run has not ended within 50 ms");
});
