import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readUntil } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";

// Tasks beside the hooks of a session: OpenResty's light threads, as hooks use them.

const CLIENTS = 1_000;
let gateway: Gateway;

beforeAll(async () => {
  gateway = await Gateway.start(
    `
import { content, defineGateway, otherwise, sleep } from "restyconf";
const handler = (work) => ({ listen: "127.0.0.1:0", routes: [otherwise(content(work))] });
const never = () => new Promise(() => {});
const say = (what) => console.error(JSON.stringify(what));
export default defineGateway({
  servers: {
    beside: handler(async (session) => {
      const order = [];
      const slow = session.spawn(async (task) => { order.push("begun"); await sleep(50, task); return "slow"; });
      const quick = session.spawn(async (task) => { await sleep(5, task); return "quick"; });
      order.push("spawned");
      const first = await session.waitAny([slow, quick]);
      const values = await session.waitAll([slow]);
      await session.end([...order, first.value, ...values].join(" "));
    }),
    outlives: handler((session) => { session.spawn(async (task) => { await sleep(20, task); await session.write("from the task"); }); }),
    exits: handler(async (session) => { session.spawn(async () => { await null; session.exit(503); }); await never(); }),
    throws: handler(async (session) => { session.spawn(() => { throw new Error("of a task"); }); await session.write("fine"); }),
    awaited: handler(async (session) => { await session.spawn(async () => { throw new Error("of an awaited task"); }); }),
    sleeping: handler(async (session) => {
      await session.write("in");
      session.spawn((task) => sleep(10_000, task));
      await sleep(10_000, session);
    }),
    resources: handler(async (session) => {
      await session.end(String(process.getActiveResourcesInfo().filter((name) => name === "Timeout").length));
    }),
    aborting: handler(async (session) => {
      session.onAbort(() => { say({ aborted: session.server }); session.exit(499); });
      let twice = "";
      try { session.onAbort(() => {}); } catch (error) { twice = error.message; }
      await session.write("in " + twice);
      await never();
    }),
    ignoring: handler(async (session) => {
      session.onAbort(() => say({ aborted: session.server }));
      await session.write("in");
      await sleep(100, session);
      say({ finished: session.server });
    }),
    finishing: handler(async (session) => { session.onAbort(() => say({ aborted: session.server })); await session.write("done"); }),
  },
});`,
    { ports: 10 },
  );
});
afterAll(() => gateway[Symbol.asyncDispose]());

async function lineAfter(server: string, act: () => Promise<unknown>): Promise<LogLine> {
  const before = gateway.log.length;
  await act();
  return gateway.access((line) => line["server"] === server && gateway.log.indexOf(line) >= before);
}

describe("a task", () => {
  test("runs at once until it first waits, and is waited for singly or together", async () => {
    expect(await exchange(gateway.port("beside"), "x")).toBe("begun spawned quick slow");
  });

  test("keeps its content handler's session until it has ended", async () => {
    expect(await exchange(gateway.port("outlives"), "x")).toBe("from the task");
  });

  test("may end the session", async () => {
    const line = await lineAfter("exits", () => exchange(gateway.port("exits"), "x"));
    expect(line).toMatchObject({ status: 503, end_cause: "exited" });
  });

  test("that throws is logged and disturbs nobody, unless it is awaited", async () => {
    expect(await exchange(gateway.port("throws"), "x")).toBe("fine");
    const error = await gateway.line((line) => line["msg"] === "task failed");
    expect(error).toMatchObject({ server: "throws", err: { message: "of a task" } });
    const line = await lineAfter("awaited", () => exchange(gateway.port("awaited"), "x"));
    expect(line).toMatchObject({ code: "RC_HOOK_FAILED", reason: "hook failed: content: of an awaited task" });
  });
});

test("1,000 sessions that are closed while they sleep leave no timer behind", async () => {
  const before = Number(await exchange(gateway.port("resources"), "x"));
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => dialIn(gateway.port("sleeping"))));
  await Promise.all(sockets.map((socket) => readUntil(socket, (text) => text === "in")));
  for (const socket of sockets) socket.resetAndDestroy();
  await eventually(async () => {
    expect(gateway.log.filter((line) => line["server"] === "sleeping" && line["end_cause"])).toHaveLength(CLIENTS);
    expect(Number(await exchange(gateway.port("resources"), "x"))).toBeLessThanOrEqual(before + 2);
  });
});

describe("onAbort", () => {
  test.each(["end", "reset"])("runs when the client leaves by %s, and may end the session", async (how) => {
    const line = await lineAfter("aborting", async () => {
      const socket = await dialIn(gateway.port("aborting"));
      expect(await readUntil(socket, (text) => text.endsWith("call"))).toBe("in duplicate call");
      if (how === "end") socket.end();
      else socket.resetAndDestroy();
      await once(socket, "close");
    });
    expect(line).toMatchObject({ status: 499, end_cause: "exited" });
  });

  test("that does nothing lets the handler finish, also after a reset", async () => {
    const socket = await dialIn(gateway.port("ignoring"));
    await readUntil(socket, (text) => text === "in");
    socket.resetAndDestroy();
    await gateway.line((line) => line["aborted"] === "ignoring");
    await gateway.line((line) => line["finished"] === "ignoring");
  });

  test("does not run where the handler ends first", async () => {
    const socket = await dialIn(gateway.port("finishing"));
    await lineAfter("finishing", () => readUntil(socket, (text) => text === "done"));
    socket.destroy();
    await sleep(50); // enough for a task that must not come
    expect(gateway.log.filter((line) => line["aborted"] === "finishing")).toEqual([]);
  });
});
