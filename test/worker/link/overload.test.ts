import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { linkCodec } from "../../../src/worker/link/link-codec.ts";
import { eventually } from "../../support/eventually.ts";
import { GameServerRig, LinksRig, QUICK } from "./rig.ts";

/** No heartbeat ends these links. */
const timing = { ...QUICK, heartbeatMs: 100_000 };
const MIB = 1_048_576;

describe("a server that stalls", () => {
  test("has so many bytes of messages wait for it; others are dropped and counted, those that wait arrive in order", async () => {
    await using rig = new LinksRig({ timing, limits: { queueBytes: 100_000 } });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.socket.pause();
    const filler = "x".repeat(10_000);
    const sent: number[] = [];
    for (let number = 0; number < 3_000; number++) {
      const { ok } = rig.links.send(server.address, { number, filler });
      if (ok) sent.push(number);
      if (number % 50 === 0) await new Promise((resolve) => setImmediate(resolve)); // the kernel takes what it can
    }
    expect(sent.length).toBeLessThan(2_000);
    expect(rig.links.send(server.address, filler)).toEqual({ err: "queue full" });
    expect(rig.links.list()[0]).toMatchObject({ sent: sent.length, dropped: 3_001 - sent.length });
    side.socket.resume();
    await side.heard("message", sent.length);
    const arrived = side.ofType("message").map(({ data }) => (data as { number: number }).number);
    expect(arrived).toEqual(sent);
    expect(rig.links.send(server.address, "again")).toEqual({ ok: true });
  });

  test("and does not take its answers is not read from; when it takes them, all come, in order", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open();
    for (let number = 0; number < 500; number++) rig.sessions.add(`session-${number}`, ["x".repeat(100)]);
    const side = await rig.linkedTo(server);
    side.socket.pause();
    const count = 600; // answers of 60 KB each
    for (let id = 0; id < count; id++) side.send({ type: "sessions", id, limit: 500 });
    const before = await settled(() => rig.links.list()[0]?.received ?? 0);
    expect(before).toBeLessThan(count);
    side.socket.resume();
    await side.heard("sessions", count);
    expect(side.ofType("sessions").map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, id) => id));
  });

  test("and does not take its answers is found out by the heartbeat", async () => {
    await using rig = new LinksRig({ timing: { ...QUICK, heartbeatMs: 50, heartbeatTimeoutMs: 300 } });
    await using server = await GameServerRig.open();
    for (let number = 0; number < 500; number++) rig.sessions.add(`session-${number}`, ["x".repeat(100)]);
    const side = await rig.linkedTo(server);
    side.socket.pause();
    for (let id = 0; id < 600; id++) side.send({ type: "sessions", id, limit: 500 });
    await server.link(2);
  });
});

describe("a server that floods", () => {
  test("gets all that it asks for, while others have their turn", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open();
    rig.sessions.add("a");
    const side = await rig.linkedTo(server);
    const count = 50_000;
    const one = linkCodec().encode({ type: "push", session: "a", data: "x" });
    const bytes = Buffer.concat(Array.from({ length: count }, () => one));
    let turns = 0;
    const turn = (): void => {
      turns++;
      if (rig.sessions.pushed.length < count) setImmediate(turn);
    };
    turn();
    side.socket.write(bytes);
    side.send({ type: "ping", id: "last" });
    await side.heard("pong");
    expect(rig.sessions.pushed).toHaveLength(count);
    expect(turns).toBeGreaterThan(count / 100);
  });

  test("with frames over the limit is told, and left", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.socket.write(Buffer.from([0, 16, 0, 0])); // a length of 1 MiB, to which four bytes are added
    await server.link(2);
    expect(side.ofType("goodbye")).toEqual([{ type: "goodbye", reason: `malformed frame: more than ${MIB} bytes` }]);
  });

  test("with a frame of the limit itself is served", async () => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open();
    rig.sessions.add("a");
    const side = await rig.linkedTo(server);
    const frame = (size: number) => ({ type: "push", id: 1, session: "a", data: Buffer.alloc(size) });
    const overhead = linkCodec().encode(frame(100_000)).length - 100_000;
    side.send(frame(MIB - overhead));
    await side.heard("done");
    expect(rig.sessions.pushed[0]?.[1]).toHaveLength(MIB - overhead);
  });

  test.each([
    ["no msgpack", Buffer.from([0, 0, 0, 1, 0xc1])],
    ["bytes behind the value", Buffer.from([0, 0, 0, 2, 0xc0, 0xc0])],
    ["a value that is cut", Buffer.from([0, 0, 0, 1, 0x81])],
    ["nothing at all", Buffer.from([0, 0, 0, 0])],
  ])("with %s is told, and left", async (_, bytes) => {
    await using rig = new LinksRig({ timing });
    await using server = await GameServerRig.open();
    const side = await rig.linkedTo(server);
    side.socket.write(bytes);
    await server.link(2);
    expect(String(side.ofType("goodbye")[0]?.["reason"])).toMatch(/^malformed frame: /);
  });
});

test("frames mean the same however their bytes are cut", async () => {
  await using rig = new LinksRig({ timing });
  await using server = await GameServerRig.open();
  rig.sessions.add("a");
  const side = await rig.linkedTo(server);
  const codec = linkCodec();
  let total = 0;
  const cut = fc.record({
    texts: fc.array(fc.string(), { maxLength: 5 }),
    sizes: fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 20 }),
  });
  await fc.assert(
    fc.asyncProperty(cut, async ({ texts, sizes }) => {
      const before = rig.sessions.pushed.length;
      const frames = texts.map((data) => ({ type: "push", session: "a", data }));
      const bytes = Buffer.concat([...frames, { type: "ping", id: ++total }].map((frame) => codec.encode(frame)));
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = (sizes[turn % sizes.length] ?? 0) + 1;
        side.socket.write(bytes.subarray(at, at + size));
        at += size;
        await new Promise((resolve) => setImmediate(resolve));
      }
      await side.heard("pong", total);
      expect(rig.sessions.pushed.slice(before).map(([, text]) => text)).toEqual(texts);
    }),
    { numRuns: 50 },
  );
});

/** A number when it has stopped growing. */
async function settled(read: () => number): Promise<number> {
  let last = -1;
  await eventually(async () => {
    const now = read();
    const isSame = now === last && now > 0;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isSame).toBe(true);
  });
  return last;
}
