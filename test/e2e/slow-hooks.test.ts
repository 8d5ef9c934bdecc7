import { readdirSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exchange } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";

// Hooks that hold the event loop, and what the log says of them.

const CONFIG = `import { pbkdf2Sync } from "node:crypto";
import { content, defineGateway, otherwise, reject } from "restyconf";

interface Erased { readonly ms: number }
const HELD: Erased = { ms: 800 };

function busy() {
  for (const end = performance.now() + HELD.ms; performance.now() < end; ); // busy
}

const closed = [otherwise(reject("closed"))];
const pause = () => new Promise((resolve) => setTimeout(resolve, 100));
const server = (hook: () => unknown) => ({
  listen: "127.0.0.1:0",
  routes: [otherwise(content(hook as () => void))],
});

export default defineGateway({
  servers: {
    atOnce: { listen: "127.0.0.1:0", routes: closed, phases: { preread: () => { busy(); } } }, // atOnce
    later: server(async () => {
      await pause();
      busy(); // later
    }),
    native: server(() => {
      pbkdf2Sync("password", "salt", 1_000_000, 64, "sha512"); // native
    }),
    last: { listen: "127.0.0.1:0", routes: closed, phases: { log: () => { busy(); } } }, // last
    quick: server(() => {}),
  },
});
`;

/** The line that ends with this comment. */
const lineOf = (comment: string): number => CONFIG.split("\n").findIndex((line) => line.endsWith(`// ${comment}`)) + 1;
const at = (comment: string) => expect.stringContaining(`/restyconf.config.ts:${lineOf(comment)}:`);
const isSlow = (line: LogLine): boolean => line["msg"] === "slow hook";
const threadsOf = (gateway: Gateway): number => readdirSync(`/proc/${gateway.process.pid}/task`).length;

/** A gateway whose only hook does this. */
const withHook = (hook: string, env: Record<string, string> = {}): Promise<Gateway> =>
  Gateway.start(
    `import { defineGateway, otherwise, reject } from "restyconf";
    export default defineGateway({ servers: { edge: { listen: "127.0.0.1:0", routes: [otherwise(reject("closed"))]${hook} } } });`,
    { env },
  );

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.start(CONFIG, { ports: 5 });
});
afterAll(() => gateway[Symbol.asyncDispose]());

/** Sessions at that server, one after the other, until a line fits: the event loop is looked at once per second. */
async function slowLine(server: string, phase: string | undefined, comment = server): Promise<LogLine> {
  for (;;) {
    await exchange(gateway.port(server), "x");
    const line = await slowLineOf(phase, comment).catch(() => undefined);
    if (line) return line;
  }
}

/** The line of that hook: a machine that has other work may hold any. */
function slowLineOf(phase: string | undefined, comment: string): Promise<LogLine> {
  const place = `/restyconf.config.ts:${lineOf(comment)}:`;
  const isIt = (line: LogLine): boolean =>
    isSlow(line) && line["phase"] === phase && `${line["at"]} ${line["from"]}`.includes(place);
  return eventually(() => {
    const found = gateway.log.find(isIt);
    if (!found) throw new Error(`no slow hook in ${phase}`);
    return found;
  }, 2_000);
}

test("a hook that holds the event loop is logged with its phase, the line that held it, and the line it came from", async () => {
  const line = await slowLine("atOnce", "preread");
  expect(line).toMatchObject({ level: "warn", at: at("busy"), from: at("atOnce") });
  expect(line["ms"]).toBeGreaterThan(300);
});

test("so is one that holds it after it has waited", async () => {
  const line = await slowLine("later", undefined);
  expect(line).toMatchObject({ at: at("busy"), from: at("later") });
});

test("so is one that calls native code, and the log hook", async () => {
  expect(await slowLine("native", "content")).toMatchObject({ at: at("native") });
  expect(await slowLine("last", "log")).toMatchObject({ from: at("last") });
});

test("the same place is logged once a minute", async () => {
  const told = await slowLine("atOnce", "preread");
  for (let count = 0; count < 4; count++) await exchange(gateway.port("atOnce"), "x");
  await gateway.access(({ server }) => server === "atOnce");
  const isSame = (line: LogLine): boolean => isSlow(line) && line["phase"] === "preread" && line["at"] === told["at"];
  const lines = gateway.log.filter(isSame);
  const times = lines.map((line) => Date.parse(String(line["time"])));
  for (const [index, time] of times.slice(1).entries()) expect(time - (times[index] ?? time)).toBeGreaterThan(55_000);
});

test("hooks that do not hold it are not logged, and cost no thread where there are none", async () => {
  await using quick = await withHook(`, phases: { preread: () => {} }`);
  await using none = await withHook("");
  for (let count = 0; count < 20; count++) await exchange(quick.port(), "x");
  await quick.sessions(20);
  expect(quick.log.filter(isSlow)).toEqual([]);
  await eventually(() => expect(threadsOf(quick)).toBe(threadsOf(none) + 1));
  expect([await quick.stop("SIGTERM"), await none.stop("SIGTERM")]).toEqual([0, 0]);
});

test("while somebody debugs the gateway it is not stopped: the phase alone is logged", async () => {
  const hook = `, phases: { preread: () => { for (const end = performance.now() + 1_000; performance.now() < end; ); } }`;
  await using debugged = await withHook(hook, { NODE_OPTIONS: "--inspect=127.0.0.1:0" });
  await exchange(debugged.port(), "x");
  const line = await debugged.line(isSlow);
  expect(line).toMatchObject({ phase: "preread" });
  expect(line).not.toHaveProperty("at");
});
