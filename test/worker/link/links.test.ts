import { describe, expect, test } from "vitest";
import type { Codec } from "../../../src/codecs/codec.ts";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import { line } from "../../../src/codecs/line.ts";
import { eventually } from "../../support/eventually.ts";
import { TestServer } from "../../support/servers.ts";
import { GameServerRig, LinksRig, polite, QUICK } from "./rig.ts";

const hello = { type: "hello", version: 1, worker: 10, master: 1, address: "127.0.0.1:5050" };

describe("who is linked to", () => {
  test("every game server of the registry is told who we are", async () => {
    await using rig = new LinksRig();
    await using one = await GameServerRig.open();
    await using two = await GameServerRig.open();
    await rig.register("one", { address: one.address });
    await rig.register("two", { address: "127.0.0.1:1", link: two.address, state: "drain" });
    rig.links.follow(["game"]);
    for (const server of [one, two]) expect((await server.link()).frames[0]).toEqual(hello);
    expect(rig.links.list().map(({ servers }) => servers[0]?.instance)).toEqual(["one", "two"]);
  });

  test("the hello is four bytes of length, big-endian, and a msgpack map", async () => {
    await using rig = new LinksRig();
    const first: Buffer[] = [];
    await using server = await TestServer.open((socket) => void socket.on("data", (chunk) => first.push(chunk)));
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    const bytes = await eventually(() => first[0] ?? Promise.reject(new Error("nothing yet")));
    expect(bytes.readUInt32BE()).toBe(bytes.length - 4);
    expect(bytes[4]).toBe(0x80 + Object.keys(hello).length);
    expect(bytes.toString("latin1")).toContain("\xa4type\xa5hello");
  });

  test("one that wants no link has none, nor one whose address is none", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    await rig.register("no", { address: server.address, link: false });
    await rig.register("bad", { address: "nowhere" });
    await rig.register("worse", { address: server.address, link: 7 });
    await rig.registry.put("service:game:text", "hello");
    await rig.linkedTo(await server);
    expect(rig.links.list()).toHaveLength(1);
    expect(rig.log.lines.filter(({ level }) => level === "warn").map(({ event }) => event)).toEqual([
      "no link to service:game:bad: address: expected host:port or unix:/path",
      "no link to service:game:worse: link: expected false, host:port or unix:/path",
      "no link to service:game:text: expected a JSON object",
    ]);
  });

  test("two instances behind one address of links share it, and both can be sent to", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    await rig.register("a", { address: "10.0.0.1:7000", link: server.address });
    await rig.register("b", { address: "10.0.0.2:7000", link: server.address });
    rig.links.follow(["game"]);
    const side = await server.link().then(() => rig.open(server));
    expect(rig.links.send("10.0.0.1:7000", "to a")).toEqual({ ok: true });
    expect(rig.links.send("10.0.0.2:7000", "to b")).toEqual({ ok: true });
    expect(await side.heard("message", 2)).toEqual({ type: "message", data: "to b" });
    expect(server.links).toHaveLength(1);
  });

  test("one that leaves the registry is told goodbye, and not called again", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    await rig.registry.delete("service:game:one");
    expect(await side.heard("goodbye")).toEqual({ type: "goodbye", reason: "not in the registry" });
    await eventually(() => expect(side.socket.destroyed).toBe(true));
    expect(rig.links.list()).toEqual([]);
    expect(rig.links.send(server.address, 1)).toEqual({ err: "no such server" });
  });

  test("a value that says the same in other words changes nothing", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    await rig.linkedTo(server);
    await rig.register("one", { weight: 2, address: server.address, sessions: 7 });
    await rig.register("two", { address: "127.0.0.1:1", link: server.address });
    await eventually(() => expect(rig.links.list()[0]?.servers).toHaveLength(2));
    expect(server.links).toHaveLength(1);
  });

  test("services come and go with a reload, without a word to those that stay", async () => {
    await using rig = new LinksRig();
    await using game = await GameServerRig.open();
    await using chat = await GameServerRig.open();
    await rig.register("c", { address: chat.address }, "chat");
    const staying = await rig.linkedTo(game);
    rig.links.follow(["game", "chat"]);
    const leaving = await chat.link().then(() => rig.open(chat));
    expect(rig.links.broadcast("to chat", { service: "chat" })).toBe(1);
    rig.links.follow(["game"]);
    await leaving.heard("goodbye");
    expect(rig.links.broadcast("to all")).toBe(1);
    await staying.heard("message");
    expect(staying.frames.map(({ type }) => type).filter((type) => type !== "ping")).toEqual(["hello", "message"]);
  });

  test("a registry that cannot be read is asked again", async () => {
    await using server = await GameServerRig.open();
    await using rig = new LinksRig();
    let isAway = true;
    const { registry } = rig;
    await using second = new LinksRig({
      registry: {
        watch: (prefix, signal) => registry.watch(prefix, signal),
        list: (prefix) => (isAway ? Promise.reject(new Error("away")) : registry.list(prefix)),
      },
    });
    await rig.register("one", { address: server.address });
    second.links.follow(["game"]);
    await eventually(() => expect(second.log.lines[0]?.event).toBe("service:game:* cannot be read: away"));
    isAway = false;
    await second.open(server);
  });
});

describe("from the hello to the goodbye", () => {
  test("a stop says goodbye, and leaves nothing open", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    await rig.links.stop();
    expect(await side.heard("goodbye")).toEqual({ type: "goodbye", reason: "shutdown" });
    await eventually(() => expect(side.socket.destroyed).toBe(true));
    rig.links.follow(["game"]);
    expect(rig.links.list()).toEqual([]);
  });

  test("a stop does not wait for a server that takes nothing", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.socket.pause();
    const began = performance.now();
    await rig.links.stop();
    expect(performance.now() - began).toBeLessThan(QUICK.goodbyeMs + 10_000);
  });

  test("a drain is told to all, also to those that are linked later; links stay", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    rig.links.drain();
    await side.heard("drain");
    side.socket.destroy();
    const again = await server.link(2);
    await again.heard("drain");
    expect(rig.links.list()[0]?.state.kind).toBe("open");
  });

  test("a broken link is made anew, and announced anew", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const first = await rig.linkedTo(server);
    first.socket.resetAndDestroy();
    expect((await server.link(2)).frames[0]).toEqual(hello);
    await eventually(() => expect(rig.links.list()[0]).toMatchObject({ state: { kind: "open" }, welcomed: 2 }));
    expect(rig.log.lines).toContainEqual({
      level: "warn",
      event: "link lost",
      fields: { link: server.address, reason: "ECONNRESET", failures: 1 },
    });
  });

  test.each([
    ["end", (socket: import("node:net").Socket) => void socket.end(), "closed by the server"],
    ["goodbye", undefined, "goodbye: new version"],
  ])("a server that leaves by its %s is called again", async (_, leave, reason) => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    if (leave) leave(side.socket);
    else side.send({ type: "goodbye", reason: "new version" });
    await server.link(2);
    const lost = rig.log.lines.find(({ event }) => event === "link lost");
    expect(lost?.fields).toMatchObject({ reason });
  });

  test("numbers that change are told over the links that are there", async () => {
    let worker = 10;
    await using rig = new LinksRig({ announce: () => ({ worker, master: 1, address: "a" }) });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    worker = 20;
    rig.links.announce();
    expect(await side.heard("hello", 2)).toMatchObject({ worker: 20 });
    await side.heard("ping", 3);
    expect(server.links).toHaveLength(1);
  });

  test("the announcement is asked for each time", async () => {
    let worker = 10;
    await using rig = new LinksRig({ announce: () => ({ worker, master: 1, address: "a" }) });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    worker = 11;
    side.socket.destroy();
    expect((await server.link(2)).frames[0]).toMatchObject({ worker: 11 });
  });

  test("numbers that change before the server has taken the hello are told behind it", async () => {
    let worker = 10;
    await using rig = new LinksRig({ announce: () => ({ worker, master: 1, address: "a" }) });
    await using server = await GameServerRig.open((frame, side) => {
      if (frame["type"] !== "hello" || worker !== 10) return;
      worker = 20;
      rig.links.announce();
      side.send({ type: "welcome" });
    });
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    const side = await server.link();
    expect((await side.heard("hello", 2))["worker"]).toBe(20);
  });

  test("who has no numbers yet makes no link, and makes it as soon as there are some", async () => {
    let worker: number | undefined;
    const announce = () => (worker === undefined ? undefined : { worker, master: 1, address: "a" });
    await using rig = new LinksRig({ announce, timing: { ...QUICK, minRetryMs: 60_000, maxRetryMs: 60_000 } });
    await using server = await GameServerRig.open();
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    await eventually(() => expect(rig.log.lines[0]?.fields).toMatchObject({ reason: "no lease of ids yet" }));
    expect(server.links).toEqual([]);
    worker = 30;
    rig.links.announce();
    expect((await server.link()).frames[0]).toMatchObject({ worker: 30 });
  });

  test.each([
    ["says nothing", () => {}, "no welcome within 100 ms", 100],
    [
      "refuses",
      (side: { send(frame: unknown): void }) => side.send({ type: "refused", reason: "full" }),
      "refused: full",
      QUICK.welcomeMs,
    ],
    [
      "does not greet first",
      (side: { send(frame: unknown): void }) => side.send({ type: "kick", session: "a" }),
      "expected welcome, got kick",
      QUICK.welcomeMs,
    ],
    [
      "dances",
      (side: { send(frame: unknown): void }) => side.send({ type: "dance" }),
      'expected welcome, got unknown type "dance"',
      QUICK.welcomeMs,
    ],
  ])("a server that %s is left, and asked again", async (_, manners, reason, welcomeMs) => {
    await using rig = new LinksRig({ timing: { ...QUICK, welcomeMs } });
    await using server = await GameServerRig.open((frame, side) => void (frame["type"] === "hello" && manners(side)));
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    await server.link(3);
    expect(rig.log.lines.find(({ event }) => event === "link lost")?.fields).toMatchObject({ reason });
    expect(rig.links.send(server.address, "early")).toEqual({ err: "not connected" });
    expect(rig.sessions.killed).toEqual([]);
  });

  test("a server that is no game server is left for what it says", async () => {
    await using rig = new LinksRig();
    await using server = await TestServer.open((socket) => void socket.write("220 mail.example ESMTP\r\n"));
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    await eventually(() => expect(server.accepted).toBeGreaterThan(1));
    expect(rig.log.lines[0]?.fields["reason"]).toMatch(/^malformed frame: more than 1048576 bytes/);
  });

  test("a server that is not there is called rarely, and said once", async () => {
    await using rig = new LinksRig();
    await rig.register("one", { address: "127.0.0.1:1" });
    rig.links.follow(["game"]);
    const failures = expect.toSatisfy((count: unknown) => Number(count) >= 4);
    await eventually(() => expect(rig.links.list()[0]?.state).toMatchObject({ kind: "waiting", failures }));
    expect(rig.log.lines.filter(({ level }) => level === "warn")).toHaveLength(1);
  });
});

describe("heartbeat", () => {
  const timing = { ...QUICK, heartbeatMs: 50, heartbeatTimeoutMs: 500 };

  test("a server that stands still is found out, and the link made anew", async () => {
    await using rig = new LinksRig({ timing });
    let isAlive = true;
    await using server = await GameServerRig.open((frame, side) => {
      if (frame["type"] === "hello" || isAlive) polite(frame, side);
    });
    const side = await rig.linkedTo(server);
    await side.heard("ping", 2);
    isAlive = false;
    await server.link(2);
    const lost = rig.log.lines.find(({ event }) => event === "link lost");
    expect(lost?.fields["reason"]).toBe("no answer to a ping within 500 ms");
  });

  test("any frame is a sign of life", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open((frame, side) => {
      if (frame["type"] === "hello") side.send({ type: "welcome" });
      if (frame["type"] === "ping") side.send({ type: "kick", session: "nobody" });
    });
    const side = await rig.linkedTo(server);
    await side.heard("ping", 15);
    expect(server.links).toHaveLength(1);
  });

  test("a process that stood still itself reads what waits before it judges", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open((frame, side) => {
      polite(frame, side);
      if (frame["type"] === "ping") for (const end = performance.now() + 600; performance.now() < end; );
    });
    const side = await rig.linkedTo(server);
    await side.heard("ping", 4);
    expect(server.links).toHaveLength(1);
  });

  test("a server's ping is answered with its id", async () => {
    await using rig = new LinksRig();
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.send({ type: "ping", id: "abc" }, { type: "ping" });
    expect(await side.heard("pong")).toEqual({ type: "pong", id: "abc" });
  });
});

describe("codec", () => {
  const lines = line();
  const json: Codec<unknown> = {
    name: "json-lines",
    encode: (value) => Buffer.from(`${JSON.stringify(value)}\n`),
    decode: (bytes) => {
      const decoded = lines.decode(bytes);
      return decoded.kind === "frame" ? { ...decoded, value: JSON.parse(String(decoded.value)) } : decoded;
    },
  };

  test("frames may have any form", async () => {
    await using rig = new LinksRig({ codec: json });
    await using server = await GameServerRig.open(polite, json);
    rig.sessions.add("a");
    const side = await rig.linkedTo(server);
    side.send({ type: "push", id: 1, session: "a", data: "hi" });
    expect(await side.heard("done")).toEqual({ type: "done", id: 1 });
    expect(rig.sessions.pushed).toEqual([["a", "hi"]]);
  });

  test("a codec that throws costs the link alone", async () => {
    await using rig = new LinksRig({ codec: json });
    await using server = await GameServerRig.open((_, side) => void side.socket.write("no json\n"), json);
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    await server.link(2);
    expect(rig.log.lines[0]?.fields["reason"]).toMatch(/^malformed frame: /);
  });

  test("a codec that cannot say hello costs the link alone", async () => {
    const timing = { ...QUICK, welcomeMs: 500 }; // nobody can welcome who has not said hello
    await using rig = new LinksRig({ codec: lengthPrefixed({ size: 4 }) as Codec<unknown>, timing });
    await using server = await TestServer.open(() => {});
    await rig.register("one", { address: server.address });
    rig.links.follow(["game"]);
    await eventually(() => expect(server.accepted).toBeGreaterThan(1));
    expect(rig.log.lines[0]?.event).toBe("link lost");
  });
});
