import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dialIn, exchange, readAll } from "../support/client.ts";
import { Gateway, type LogLine } from "../support/gateway.ts";

// What light threads and timers mean in a session, sentence by sentence; test/openresty/sentences.test.ts says where each is proven.

const CONFIG = `
import { connect, content, defineGateway, otherwise, sleep, timer } from "restyconf";
const tell = (what) => console.error(JSON.stringify(what));
const handler = (work) => ({ listen: "127.0.0.1:0", routes: [otherwise(content(work))] });
export default defineGateway({
  servers: {
    outlived: handler(async (session) => {
      session.spawn(async () => { await sleep(30); await session.write("task"); });
      await session.write("entry ");
    }),
    exited: handler(async (session) => {
      session.spawn(async ({ signal }) => { try { await sleep(60_000, { signal }); } finally { tell({ cut: session.server, aborted: signal.aborted }); } });
      session.exit(200);
    }),
    broken: handler(async (session) => {
      session.spawn(async ({ signal }) => { try { await sleep(60_000, { signal }); } finally { tell({ cut: session.server, aborted: signal.aborted }); } });
      await sleep(0);
      throw new Error("the entry thread");
    }),
    harmless: handler(async (session) => {
      session.spawn(async () => { throw new Error("the other thread"); });
      await sleep(5);
      await session.write("unharmed");
    }),
    killed: handler(async (session) => {
      const told = [];
      const waits = { sleep: ({ signal }) => sleep(60_000, { signal }), connect: ({ signal }) => connect("192.0.2.1:9", { signal }),
        resolve: ({ signal }) => connect("nowhere.invalid:9", { signal }) };
      for (const [name, wait] of Object.entries(waits)) {
        const task = session.spawn(async (scope) => { const ended = await wait(scope).catch((error) => ({ err: error.name })); tell({ killed: name, err: ended.err }); });
        told.push(task.kill());
        told.push(task.kill());
      }
      await session.write(JSON.stringify(told.slice(0, 2)));
    }),
    gone: handler(async (session) => {
      const look = (before) => timer.at(20, () => {
        const isOver = session.signal.aborted;
        if (isOver) tell({ fired: session.server, began: before });
        else look(isOver);
      });
      look(session.signal.aborted);
    }),
    late: handler(async (session) => {
      const task = session.spawn(async () => "value");
      await sleep(0);
      const { value } = await session.waitAny([task]);
      const again = await session.waitAny([task]).catch((error) => error.message);
      await session.write([value, again, task.kill().err, task.status].join(", "));
    }),
  },
});`;

let gateway: Gateway;

beforeAll(async () => {
  gateway = await Gateway.start(CONFIG, { ports: [...CONFIG.matchAll(/^ {4}\w+: handler\(/gm)].length });
});
afterAll(() => gateway?.[Symbol.asyncDispose]());

const lineOf = (server: string): Promise<LogLine> => gateway.access((line) => line["server"] === server);

describe("ngx.thread (§8.1)", () => {
  test("the handler ends only when entry thread and all spawned threads have ended", async () => {
    expect(await exchange(gateway.port("outlived"), "x")).toBe("entry task");
    expect(await lineOf("outlived")).toMatchObject({ end_cause: "content_done" });
  });

  test.each([
    ["exited", { status: 200, end_cause: "exited" }],
    ["broken", { status: 500, end_cause: "hook_failed" }],
  ])("or on exit, or when the entry thread errors, which kills the rest: %s", async (server, end) => {
    const socket = await dialIn(gateway.port(server));
    socket.write("x");
    await readAll(socket);
    expect(await lineOf(server)).toMatchObject(end);
    expect(await gateway.line(({ cut }) => cut === server)).toMatchObject({ aborted: true });
    socket.destroy();
  });

  test("an error in a spawned thread does not disturb others", async () => {
    expect(await exchange(gateway.port("harmless"), "x")).toBe("unharmed");
  });

  test("a kill cancels a pending sleep, connect or resolve; a second one is already waited or killed", async () => {
    const [first, second] = JSON.parse(await exchange(gateway.port("killed"), "x"));
    expect([first, second]).toEqual([{ ok: true }, { err: "already waited or killed" }]);
    expect(await gateway.line(({ killed }) => killed === "sleep")).toMatchObject({ err: "AbortError" });
    expect(await gateway.line(({ killed }) => killed === "connect")).toMatchObject({ err: "aborted" });
    expect(await gateway.line(({ killed }) => killed === "resolve")).toMatchObject({ err: "aborted" });
  });

  test("what was waited for cannot be waited for, or killed, twice: already waited or killed", async () => {
    const gone = "already waited or killed";
    expect(await exchange(gateway.port("late"), "x")).toBe(["value", gone, gone, "dead"].join(", "));
  });
});

test("a timer outlives its session (§8.1)", async () => {
  await exchange(gateway.port("gone"), "x");
  expect(await gateway.line(({ fired }) => fired === "gone")).toMatchObject({ began: false });
});
