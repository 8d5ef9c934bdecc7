import { describe, expect, test } from "vitest";
import { done, perform, refusal } from "../../../src/worker/link/requests.ts";
import { GameServerRig, LinksRig, polite, SessionsRig } from "./rig.ts";

const data = Buffer.from("hi");

/** Sessions 1 to `count`; every second one is in the east. */
function sessionsOf(count: number): SessionsRig {
  const sessions = new SessionsRig();
  for (let number = 1; number <= count; number++) sessions.add(`s${number}`, number % 2 === 0 ? ["east"] : []);
  return sessions;
}

describe("push", () => {
  test("reaches the session, and is silent unless asked", () => {
    const sessions = sessionsOf(2);
    expect(perform({ kind: "push", id: undefined, session: "s1", data }, sessions)).toBeUndefined();
    expect(perform({ kind: "push", id: 7, session: "s2", data }, sessions)).toEqual({ type: "done", id: 7 });
    expect(sessions.pushed).toEqual([
      ["s1", "hi"],
      ["s2", "hi"],
    ]);
  });

  test("to a session that takes none is refused, asked or not", () => {
    const sessions = sessionsOf(0);
    sessions.add("carried", [], "relayed without filters");
    const push = { kind: "push", id: undefined, session: "carried", data } as const;
    expect(perform(push, sessions)).toEqual({ type: "refused", session: "carried", reason: "relayed without filters" });
    expect(perform({ ...push, id: "x", session: "gone" }, sessions)).toEqual({
      type: "refused",
      id: "x",
      session: "gone",
      reason: "no such session",
    });
  });
});

test("kick ends the session; the second one finds none", () => {
  const sessions = sessionsOf(1);
  const kick = { kind: "kick", id: 1, session: "s1" } as const;
  expect(perform(kick, sessions)).toEqual(done(1));
  expect(perform(kick, sessions)).toEqual(refusal(1, "no such session", "s1"));
  expect(sessions.killed).toEqual(["s1", "s1"]);
});

describe("broadcast", () => {
  test("reaches those with the tag, and says how many", async () => {
    const sessions = sessionsOf(1_500);
    sessions.add("slow", ["east"], "slow");
    const answer = await perform({ kind: "broadcast", id: 1, tag: "east", data }, sessions);
    expect(answer).toEqual({ type: "done", id: 1, sessions: 750, refused: 1 });
    expect(new Set(sessions.pushed.map(([session]) => Number(session.slice(1)) % 2))).toEqual(new Set([0]));
  });

  test("reaches all with the tag *", async () => {
    const sessions = sessionsOf(3);
    expect(await perform({ kind: "broadcast", id: undefined, tag: "*", data }, sessions)).toBeUndefined();
    expect(sessions.pushed).toHaveLength(3);
  });

  test("gives others their turn between two parts of many sessions", async () => {
    const sessions = sessionsOf(5_000);
    let turns = 0;
    const count = (): void => {
      turns++;
      if (sessions.pushed.length < 5_000) setImmediate(count);
    };
    setImmediate(count);
    await perform({ kind: "broadcast", id: 1, tag: "*", data }, sessions);
    expect(turns).toBeGreaterThanOrEqual(9);
  });
});

describe("sessions", () => {
  const ask = { kind: "sessions", id: 1, tag: "*", after: 0, limit: 100 } as const;
  const all = async (
    sessions: SessionsRig,
    request: typeof ask | { tag: string; limit: number } = ask,
  ): Promise<string[]> => {
    const ids: string[] = [];
    for (let after = 0, pages = 0; pages < 1_000; pages++) {
      const page = await perform({ ...ask, ...request, after }, sessions);
      if (!page || !("sessions" in page) || !Array.isArray(page.sessions)) throw new Error("no page");
      expect(page.sessions.length).toBeLessThanOrEqual(request.limit);
      ids.push(...page.sessions.map((row) => String(Object.values(row)[0])));
      if (!("next" in page) || page.next === undefined) break;
      after = page.next;
    }
    return ids;
  };

  test("come in pages, each session once, in order", async () => {
    const sessions = sessionsOf(250);
    expect(await all(sessions)).toEqual([...sessions.all.keys()]);
    expect(await all(sessions, { tag: "*", limit: 1 })).toHaveLength(250);
    expect(await all(sessionsOf(0))).toEqual([]);
  });

  test("with a tag come alone, without a pass over all for one page", async () => {
    const sessions = sessionsOf(12_000);
    sessions.add("rare", ["west"]);
    expect(await all(sessions, { tag: "west", limit: 10 })).toEqual(["rare"]);
    const first = await perform({ ...ask, tag: "west" }, sessions);
    expect(first).toEqual({ type: "sessions", id: 1, sessions: [], next: 5_000 });
  });

  test("give others their turn, however far behind the page is", async () => {
    const sessions = sessionsOf(5_000);
    let turns = 0;
    let isOver = false;
    const count = (): void => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    expect(await perform({ ...ask, after: 4_999 }, sessions)).toMatchObject({ sessions: [{ session: "s5000" }] });
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(9);
  });

  test("that end between two pages are missing, and no other is", async () => {
    const sessions = sessionsOf(10);
    const first = await perform({ ...ask, limit: 5 }, sessions);
    sessions.kill("s5");
    sessions.kill("s7");
    const second = await perform({ ...ask, after: 5, limit: 5 }, sessions);
    expect(first).toMatchObject({ next: 5 });
    expect(second).toMatchObject({ sessions: ["s6", "s8", "s9", "s10"].map((session) => ({ session })) });
  });

  test("whose page is larger than a frame are refused, and come in smaller ones", async () => {
    await using rig = new LinksRig({ limits: { frameBytes: 4_096 } });
    await using server = await GameServerRig.open();
    for (let number = 0; number < 300; number++) rig.sessions.add(`session-${number}`, ["a-tag-of-some-length"]);
    const side = await rig.linkedTo(server);
    side.send({ type: "sessions", id: 1, limit: 300 }, { type: "sessions", id: 2, limit: 10 });
    expect(await side.heard("refused")).toEqual({ type: "refused", id: 1, reason: "the answer is too large" });
    expect((await side.heard("sessions"))["id"]).toBe(2);
  });
});

describe("over a link", () => {
  test("requests of one server take effect in their order", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    for (let number = 0; number < 1_200; number++) rig.sessions.add(`s${number}`);
    const side = await rig.linkedTo(server);
    side.send(
      { type: "push", id: 1, session: "s0", data: "first" },
      { type: "broadcast", id: 2, tag: "*", data: "second" },
      { type: "kick", id: 3, session: "s0" },
      { type: "push", id: 4, session: "s0", data: "too late" },
    );
    await side.heard("refused");
    const answers = side.frames.filter(({ type }) => type === "done" || type === "refused");
    expect(answers.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
    expect(rig.sessions.pushed.slice(0, 2)).toEqual([
      ["s0", "first"],
      ["s0", "second"],
    ]);
    expect(rig.sessions.pushed).toHaveLength(1_201);
  });

  test("what is wrong is refused, counted, and ends nothing", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.send({ type: "dance", id: 1 }, 7, { type: "push" }, { type: "welcome" }, { type: "refused", reason: "no" });
    side.send({ type: "kick", id: 9, session: "nobody" });
    await side.heard("refused", 4);
    expect(side.ofType("refused")).toEqual([
      { type: "refused", id: 1, reason: 'unknown type "dance"' },
      { type: "refused", reason: "expected a map with a type" },
      { type: "refused", reason: "session: expected text" },
      { type: "refused", id: 9, session: "nobody", reason: "no such session" },
    ]);
    expect(rig.links.list()[0]).toMatchObject({ state: { kind: "open" }, refused: 4 });
  });

  test("a fault of ours ends the link, and not the process", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    rig.sessions.find = () => {
      throw new Error("a bug");
    };
    rig.sessions.list = () => {
      throw new Error("another bug");
    };
    const side = await rig.linkedTo(server);
    side.send({ type: "push", session: "a", data });
    (await server.link(2).then(() => rig.open(server))).send({ type: "broadcast", tag: "*", data });
    await server.link(3);
    expect(rig.log.lines.flatMap(({ fields }) => fields["reason"] ?? [])).toEqual(["a bug", "another bug"]);
  });

  test("two servers do not wait for each other", async () => {
    await using rig = new LinksRig();
    await using one = await GameServerRig.open();
    await using two = await GameServerRig.open(polite);
    rig.sessions.add("a");
    await rig.register("two", { address: two.address });
    const first = await rig.linkedTo(one);
    const second = await rig.open(two);
    first.socket.pause();
    second.send({ type: "push", id: 1, session: "a", data });
    await second.heard("done");
  });
});

describe("ban", () => {
  const request = (fields: object): unknown => ({ type: "ban", id: 1, ...fields });

  test.each([
    ["its address", { session: "s1" }, { whom: "192.0.2.1" }],
    ["a key", { session: "s1", by: "clientId", ttl_ms: 60_000, reason: "aimbot" }, { whom: "clientId=s1" }],
    ["a name", { whom: "203.0.113.0/24", ttl_ms: null, reason: null }, { whom: "203.0.113.0/24" }],
  ])("by %s is done when it is kept", async (_name, fields, added) => {
    await using server = await GameServerRig.open(polite);
    await using rig = new LinksRig();
    rig.sessions.add("s1");
    const side = await rig.linkedTo(server);
    side.send(request(fields));
    expect(await side.heard("done")).toEqual({ type: "done", id: 1 });
    expect(rig.bans.added).toMatchObject([added]);
    const { ttl_ms, reason } = fields as { ttl_ms?: number; reason?: string };
    if (ttl_ms) expect(rig.bans.added).toMatchObject([{ ttlMs: ttl_ms, reason }]);
  });

  test.each([
    [{ session: "gone" }, { session: "gone", reason: "no such session" }],
    [
      { session: "s1", by: "ja4" },
      { session: "s1", reason: "the session has no ja4" },
    ],
    [{ whom: "broken" }, { reason: "not banned: registry cannot be reached: it is away" }],
    [{}, { reason: "session: expected text" }],
    [{ session: "s1", by: 7 }, { reason: "by: expected text" }],
    [{ session: "s1", whom: "192.0.2.1" }, { reason: "whom: expected no session beside it" }],
    [{ whom: 7 }, { reason: "whom: expected text" }],
    [{ whom: "x".repeat(1_025) }, { reason: "whom: expected text" }],
    [{ session: "s1", ttl_ms: 0 }, { reason: "ttl_ms: expected more than 0" }],
    [{ session: "s1", ttl_ms: "soon" }, { reason: "ttl_ms: expected more than 0" }],
    [{ session: "s1", reason: 7 }, { reason: "reason: expected text" }],
  ])("with %j is refused", async (fields, refused) => {
    await using server = await GameServerRig.open(polite);
    await using rig = new LinksRig();
    rig.sessions.add("s1");
    const side = await rig.linkedTo(server);
    side.send(request(fields));
    expect(await side.heard("refused")).toEqual({ type: "refused", id: 1, ...refused });
    expect(rig.bans.added).toEqual([]);
  });
});

describe("unban", () => {
  test("is done when the registry has the ban no more", async () => {
    await using server = await GameServerRig.open(polite);
    await using rig = new LinksRig();
    await rig.bans.add("203.0.113.0/24");
    const side = await rig.linkedTo(server);
    side.send({ type: "unban", id: 1, whom: "203.0.113.0/24" });
    expect(await side.heard("done")).toEqual({ type: "done", id: 1 });
    expect(rig.bans.added).toEqual([]);
  });

  test.each([
    [{ whom: "192.0.2.1" }, "no such ban"],
    [{ whom: "broken" }, "not unbanned: registry cannot be reached: it is away"],
    [{}, "whom: expected text"],
    [{ session: "s1" }, "whom: expected text"],
    [{ whom: "x".repeat(1_025) }, "whom: expected text"],
  ])("with %j is refused", async (fields, reason) => {
    await using server = await GameServerRig.open(polite);
    await using rig = new LinksRig();
    const side = await rig.linkedTo(server);
    side.send({ type: "unban", id: 1, ...fields });
    expect(await side.heard("refused")).toEqual({ type: "refused", id: 1, reason });
  });
});
