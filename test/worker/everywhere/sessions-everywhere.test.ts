import { afterEach, describe, expect, test } from "vitest";
import { memoryRegistry } from "../../../src/registry/memory.ts";
import { WorkerEvents } from "../../../src/shared/events/events.ts";
import { localTransport } from "../../../src/shared/events/local-transport.ts";
import { EventRelay } from "../../../src/shared/events/relay.ts";
import { livingWorkers } from "../../../src/worker/everywhere/living-workers.ts";
import { Everywhere } from "../../../src/worker/everywhere/sessions-everywhere.ts";
import { Identity } from "../../../src/worker/identity.ts";
import { SessionsRig } from "../link/rig.ts";

/** Nobody waits so long for an answer that comes. */
const ANSWER_MS = 10_000;

/** Long for a machine with other work, short for whoever waits it out. */
const BRIEF_MS = 2_000;

const open: Disposable[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each[Symbol.dispose]();
});

interface WorkerRig {
  readonly everywhere: Everywhere;
  readonly sessions: SessionsRig;
  readonly identity: Identity;
  readonly events: WorkerEvents;
  /** A new session, by an id of the worker's. */
  add(...tags: readonly string[]): string;
}

/** Workers of one gateway; `expected`: how many are believed to live. */
function gateway(count: number, expected = count, answerMs = ANSWER_MS): readonly [WorkerRig, WorkerRig] {
  const relay = new EventRelay();
  const workers = Array.from({ length: count }, (_, number) => worker(relay, number, expected, { answerMs }));
  const [first, second] = workers;
  if (!first || !second) throw new Error("two at least");
  return [first, second];
}

function worker(
  relay: EventRelay,
  number: number,
  expected: number,
  { masterId = 3, answerMs = ANSWER_MS } = {},
): WorkerRig {
  const identity = new Identity({ number, masterId });
  const sessions = new SessionsRig();
  const events = new WorkerEvents({ transport: localTransport(relay, number), number });
  const workers = async () => new Set(Array.from({ length: expected }, (_, each) => masterId * 10 + each));
  const everywhere = new Everywhere({ events, identity, sessions, workers, answerMs });
  open.push(everywhere);
  const began = Date.now();
  while (Date.now() === began); // ids of its first millisecond could be those of an earlier owner of the number
  const add = (...tags: readonly string[]): string => {
    const id = identity.snowflake.next();
    sessions.add(id, tags);
    return id;
  };
  return { everywhere, sessions, identity, events, add };
}

describe("one session", () => {
  test("is kicked, and pushed to, wherever it is", async () => {
    const [here, there] = gateway(3);
    const [near, far] = [here.add(), there.add()];
    for (const [session, { sessions }] of [
      [near, here],
      [far, there],
    ] as const) {
      expect(await here.everywhere.push(session, "grüß")).toEqual({ ok: true });
      expect(await here.everywhere.push(session, Uint8Array.of(104, 105))).toEqual({ ok: true });
      expect(sessions.pushed).toEqual([
        [session, "grüß"],
        [session, "hi"],
      ]);
      expect(await here.everywhere.kick(session)).toEqual({ ok: true });
      expect(sessions.killed).toEqual([session]);
      expect(await here.everywhere.kick(session)).toEqual({ err: "no such session" });
    }
  });

  test("is looked for by nobody but the worker that its id names", async () => {
    const [here, there] = gateway(3);
    const far = there.add();
    const third = worker(new EventRelay(), 2, 3);
    await here.everywhere.kick(far);
    expect([here.sessions.killed, there.sessions.killed, third.sessions.killed]).toEqual([[far], [far], []]);
  });

  test("that takes no bytes refuses them in the words of links", async () => {
    const [here, there] = gateway(2);
    const far = there.identity.snowflake.next();
    there.sessions.add(far, [], "relayed without filters");
    expect(await here.everywhere.push(far, "x")).toEqual({ err: "relayed without filters" });
  });

  test("without a number in its id is found, too", async () => {
    const [here, there] = gateway(2, 2, BRIEF_MS);
    there.sessions.add("lb2c-17");
    expect(await here.everywhere.kick("lb2c-17")).toEqual({ ok: true });
    expect(await here.everywhere.kick("lb2c-17")).toEqual({ err: "no answer" });
    expect(await here.everywhere.kick("silent-3")).toEqual({ err: "no such session" });
  });

  test("of a worker that does not answer is waited for no longer than said", async () => {
    const [here] = gateway(2, 2, BRIEF_MS);
    const elsewhere = new Identity({ number: 0, masterId: 8 }).snowflake.next();
    const began = performance.now();
    expect(await here.everywhere.push(elsewhere, "x")).toEqual({ err: "no answer" });
    expect(performance.now() - began).toBeLessThan(BRIEF_MS * 4);
  });

  test("of an earlier owner of the number may live there still: who has the number now does not deny it", async () => {
    const relay = new EventRelay();
    const asks = worker(relay, 0, 2);
    const before = worker(relay, 1, 2, { masterId: 5 });
    const session = before.add();
    before.identity.hold(7, Date.now() + 60_000); // its lease was lost, and another had
    const after = new Identity({ number: 1, masterId: 5 }); // who has the old number since
    expect(after.mayHave(session)).toBe(true);
    expect(after.hasMade(session)).toBe(false);
    expect(before.identity.mayHave(session)).toBe(true);
    expect(before.identity.hasMade(session)).toBe(false);
    expect(await asks.everywhere.kick(session)).toEqual({ ok: true });
  });

  test("is denied at once by the worker that has made its id", async () => {
    const [here, there] = gateway(2);
    const gone = there.identity.snowflake.next();
    const began = performance.now();
    expect(await here.everywhere.kick(gone)).toEqual({ err: "no such session" });
    expect(performance.now() - began).toBeLessThan(ANSWER_MS);
    expect(await here.everywhere.kick(here.identity.snowflake.next())).toEqual({ err: "no such session" });
  });

  test("gets pushes in the order in which they were asked for", async () => {
    const [here, there] = gateway(2);
    const far = there.add();
    const texts = Array.from({ length: 200 }, (_, number) => `${number}`);
    const done = await Promise.all(texts.map((text) => here.everywhere.push(far, text)));
    expect(done.every(({ ok }) => ok)).toBe(true);
    expect(there.sessions.pushed.map(([, text]) => text)).toEqual(texts);
  });
});

describe("a broadcast", () => {
  test("reaches the sessions with the tag at all workers, and counts them", async () => {
    const [here, there] = gateway(2);
    here.add("eu");
    there.add("eu");
    there.add("us");
    there.sessions.add("carried", ["eu"], "slow");
    expect(await here.everywhere.broadcast("eu", "hello")).toEqual({ sessions: 2, refused: 1, silent: 0 });
    expect(await here.everywhere.broadcast("*", "all")).toEqual({ sessions: 3, refused: 1, silent: 0 });
    expect(there.sessions.pushed.map(([, text]) => text)).toEqual(["hello", "all", "all"]);
  });

  test("waits for no worker longer than said, and tells how many were silent", async () => {
    const [here, there] = gateway(2, 4, BRIEF_MS);
    there.add("eu");
    const began = performance.now();
    expect(await here.everywhere.broadcast("eu", "x")).toEqual({ sessions: 1, refused: 0, silent: 2 });
    expect(performance.now() - began).toBeGreaterThan(BRIEF_MS - 50);
  });

  test("does not wait where all have answered", async () => {
    const [here] = gateway(4);
    const began = performance.now();
    for (let count = 0; count < 20; count++) await here.everywhere.broadcast("eu", "x");
    expect(performance.now() - began).toBeLessThan(ANSWER_MS * 2);
  });
});

describe("what is asked", () => {
  test("is no larger than an event holds, wherever the session is", async () => {
    const [here, there] = gateway(2);
    const [near, far] = [here.add("t"), there.add("t")];
    const most = Buffer.alloc(48_000, "x");
    for (const session of [near, far]) {
      expect(await here.everywhere.push(session, most)).toEqual({ ok: true });
      expect(await here.everywhere.push(session, Buffer.alloc(48_001))).toEqual({ err: "too large" });
    }
    expect(await here.everywhere.broadcast("t", most)).toEqual({ sessions: 2, refused: 0, silent: 0 });
    expect(await here.everywhere.broadcast("t", Buffer.alloc(48_001))).toMatchObject({ sessions: 0, err: "too large" });
  });

  test("is asked of a few at a time: more are not waited for", async () => {
    const [here] = gateway(2, 2, BRIEF_MS);
    const elsewhere = new Identity({ number: 0, masterId: 8 }).snowflake.next();
    const answers = await Promise.all(Array.from({ length: 1_200 }, () => here.everywhere.kick(elsewhere)));
    expect(answers.every(({ err }) => err === "no answer")).toBe(true);
  });

  test.each([
    ["an empty tag", (everywhere: Everywhere) => everywhere.broadcast("", "x"), "tag: expected text"],
    ["a number", (everywhere: Everywhere) => everywhere.kick(7 as never), "session: expected text"],
    ["nothing", (everywhere: Everywhere) => everywhere.push("1", undefined as never), "data: expected bytes or text"],
  ])("as %s is a TypeError", async (_name, ask, message) => {
    const [here] = gateway(2);
    await expect((async () => ask(here.everywhere))()).rejects.toThrow(new TypeError(message));
  });

  test("by strangers means nothing", async () => {
    const [here, there] = gateway(2);
    const far = there.add();
    for (const data of [
      null,
      7,
      "x",
      {},
      { type: "kick" },
      { type: "sessions", id: "a" },
      { type: "kick", session: far },
    ])
      here.events.publish("all", "~sessions", data);
    for (const data of [null, {}, { id: "x", worker: "y" }, { id: 1, worker: 2, sessions: 3, refused: 4 }])
      there.events.publish("all", "~sessions-done", data);
    expect(await here.everywhere.push(far, "still there")).toEqual({ ok: true });
    expect([here.events.counts().failed, there.events.counts().failed]).toEqual([0, 0]);
    expect(there.sessions.killed).toEqual([]);
  });
});

describe("which workers live", () => {
  const own = { count: () => 2, firstId: () => 30 };

  test("the registry tells, and is asked once in a while", async () => {
    const registry = memoryRegistry();
    await registry.put("worker:7", "{}");
    await registry.put("worker:nonsense", "{}");
    const workers = livingWorkers(registry, own);
    expect(await workers()).toEqual(new Set([7]));
    await registry.put("worker:8", "{}");
    expect(await workers()).toEqual(new Set([7]));
    expect(await livingWorkers(registry, own)()).toEqual(new Set([7, 8]));
    await registry[Symbol.asyncDispose]();
  });

  test("is the gateway's own number where no registry tells", async () => {
    const registry = memoryRegistry();
    await registry[Symbol.asyncDispose]();
    expect(await livingWorkers(undefined, own)()).toEqual(new Set([30, 31]));
    expect(await livingWorkers(registry, own)()).toEqual(new Set([30, 31]));
  });
});
