import { describe, expect, test } from "vitest";
import { eventually } from "../../support/eventually.ts";
import { GameServerRig, LinksRig, QUICK } from "./rig.ts";

describe("to a game server", () => {
  test("messages arrive in order, whatever they hold", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    const values = [null, true, 1.5, "ü", [1, [2]], { a: { b: 1 } }, Buffer.from([0, 255])];
    for (const value of values) expect(rig.links.send(server.address, value)).toEqual({ ok: true });
    await side.heard("message", values.length);
    expect(side.ofType("message").map(({ data }) => data)).toEqual(values);
  });

  test("what the codec cannot say is the caller's mistake, and ends nothing", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    await rig.linkedTo(server);
    expect(() => rig.links.send(server.address, [new Date(Number.NaN)])).toThrow(TypeError);
    expect(rig.links.send(server.address, "still here")).toEqual({ ok: true });
  });

  test("one that is larger than a frame is not sent", async () => {
    await using rig = new LinksRig({ limits: { frameBytes: 1_000 } });
    await using server = await GameServerRig.open();
    await rig.linkedTo(server);
    expect(rig.links.send(server.address, "x".repeat(1_000))).toEqual({ err: "too large" });
    expect(rig.links.send(server.address, "x".repeat(900))).toEqual({ ok: true });
    expect(rig.links.list()[0]).toMatchObject({ sent: 1, dropped: 1 });
  });

  test("while it cannot be reached nothing waits: messages are lost, and the caller is told", async () => {
    // Long enough away to be seen, however busy the machine is.
    await using rig = new LinksRig({ timing: { ...QUICK, minRetryMs: 3_000, maxRetryMs: 3_000 } });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.socket.destroy();
    await eventually(() => expect(rig.links.send(server.address, "lost")).toEqual({ err: "not connected" }));
    const again = await server.link(2).then(() => rig.open(server));
    rig.links.send(server.address, "arrives");
    await again.heard("message");
    expect(again.ofType("message")).toEqual([{ type: "message", data: "arrives" }]);
  });
});

describe("from a game server", () => {
  test("hooks hear each message, from whom, in order, and the server that it was taken", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const heard: unknown[] = [];
    rig.links.onMessage((data, from) => heard.push([data, from]));
    const side = await rig.linkedTo(server);
    side.send({ type: "message", data: 1 }, { type: "message", id: "m", data: { two: 2 } });
    expect(await side.heard("done")).toEqual({ type: "done", id: "m" });
    const from = { service: "game", instance: "one", address: server.address, link: server.address };
    expect(heard).toEqual([
      [1, from],
      [{ two: 2 }, from],
    ]);
  });

  test("where nobody listens it is refused, also when all have stopped listening", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const generation = new AbortController();
    const stop = rig.links.onMessage(() => {});
    rig.links.onMessage(() => {}, { signal: generation.signal });
    rig.links.onMessage(() => {}, { signal: AbortSignal.abort() });
    const side = await rig.linkedTo(server);
    side.send({ type: "message", id: 1, data: 1 });
    await side.heard("done");
    stop();
    generation.abort();
    side.send({ type: "message", id: 2, data: 1 });
    expect(await side.heard("refused")).toEqual({ type: "refused", id: 2, reason: "nobody listens" });
  });

  test("a hook that waits gets the next message when it is done with the last; pushes and pings do not wait", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const open: (() => void)[] = [];
    const begun: unknown[] = [];
    rig.links.onMessage(async (data) => {
      begun.push(data);
      await new Promise<void>((resolve) => open.push(resolve));
    });
    rig.sessions.add("a");
    const side = await rig.linkedTo(server);
    side.send({ type: "message", data: 1 }, { type: "message", data: 2 });
    side.send({ type: "push", id: 1, session: "a", data: "hi" }, { type: "ping", id: 2 });
    await side.heard("pong");
    expect(begun).toEqual([1]);
    open[0]?.();
    await eventually(() => expect(begun).toEqual([1, 2]));
    open[1]?.();
  });

  test("so many wait for a slow hook, and no more: others are refused, and those that wait arrive", async () => {
    await using rig = new LinksRig({ limits: { inboxMessages: 10 } });
    await using server = await GameServerRig.open();
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const heard: unknown[] = [];
    rig.links.onMessage(async (data) => {
      await gate;
      heard.push(data);
    });
    const side = await rig.linkedTo(server);
    side.send(...Array.from({ length: 100 }, (_, data) => ({ type: "message", id: data, data })));
    await side.heard("refused", 89);
    expect(side.ofType("refused")[0]).toEqual({ type: "refused", id: 11, reason: "too many messages wait" });
    release();
    await eventually(() => expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]));
  });

  test("bytes that wait are bounded, too", async () => {
    await using rig = new LinksRig({ limits: { inboxBytes: 10_000 } });
    await using server = await GameServerRig.open();
    rig.links.onMessage(() => new Promise(() => {}));
    const side = await rig.linkedTo(server);
    const data = "x".repeat(3_000);
    side.send(...Array.from({ length: 10 }, (_, id) => ({ type: "message", id, data })));
    await side.heard("refused", 6);
    expect(side.ofType("done")).toHaveLength(4);
  });

  test("what a hook throws or rejects with is logged, and ends nothing", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const heard: unknown[] = [];
    rig.links.onMessage(() => {
      throw new Error("thrown");
    });
    rig.links.onMessage(() => Promise.reject(new Error("rejected")));
    rig.links.onMessage((data) => heard.push(data));
    const side = await rig.linkedTo(server);
    side.send({ type: "message", data: 1 }, { type: "message", data: 2 });
    await eventually(() => expect(heard).toEqual([1, 2]));
    await eventually(() => expect(rig.log.lines.filter(({ level }) => level === "error")).toHaveLength(4));
    expect(server.links).toHaveLength(1);
  });
});
