import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { parseEndpoint } from "../../../src/codecs/address.ts";
import { loadAddon } from "../../../src/stream/carrier/addon.ts";
import { ListeningSockets } from "../../../src/worker/master/listening-sockets.ts";
import { type WantedPort, wantedPorts } from "../../../src/worker/ports.ts";

// Which worker accepts at which socket. With the carrier each worker has one of its own; without, all share one.

function wanted(...addresses: readonly string[]): readonly WantedPort[] {
  const listen = addresses.map((text) => parseEndpoint(text)).filter((endpoint) => endpoint !== undefined);
  return wantedPorts([{ name: "edge", listen }]);
}

/** Sockets for so many workers, at one free port. */
async function opened(workers: number): Promise<ListeningSockets> {
  const sockets = new ListeningSockets();
  sockets.commit(await sockets.prepare(wanted("127.0.0.1:0"), workers));
  return sockets;
}

/** The places that each of those that serve accepts at. */
function places(sockets: ListeningSockets, serving: readonly number[]): Readonly<Record<number, readonly number[]>> {
  const shares = [...sockets.shares(serving)].map(([number, share]) => [number, share.map(({ place }) => place)]);
  return Object.fromEntries(shares);
}

function portOf(sockets: ListeningSockets): number {
  return Number(sockets.listening[0]?.address.split(":").at(-1));
}

async function code(port: number): Promise<unknown> {
  const socket = connect({ port, host: "127.0.0.1" });
  return new Promise((resolve) => {
    socket.on("connect", () => resolve("connected")).on("error", (cause) => resolve(Reflect.get(cause, "code")));
  }).finally(() => socket.destroy());
}

describe("with a socket for each worker", () => {
  test("the carrier is there", () => expect(loadAddon().addon).toBeDefined());

  test.each([
    [4, [0, 1, 2, 3], { 0: [0], 1: [1], 2: [2], 3: [3] }],
    [4, [0, 1, 3], { 0: [0], 1: [1], 3: [2, 3] }],
    [4, [2], { 2: [0, 1, 2, 3] }],
    [2, [1], { 1: [0, 1] }],
    [2, [], {}],
  ])("of %i, where %j serve, each socket has its accepter", async (workers, serving, expected) => {
    const sockets = await opened(workers);
    expect(places(sockets, serving)).toEqual(expected);
    sockets.close();
  });

  test("those of workers that are no more are shared out evenly", async () => {
    const sockets = await opened(4);
    sockets.commit(await sockets.prepare(wanted("127.0.0.1:0"), 2));
    expect(places(sockets, [0, 1])).toEqual({ 0: [0, 2], 1: [1, 3] });
    sockets.commit(await sockets.prepare(wanted("127.0.0.1:0"), 4));
    expect(places(sockets, [0, 1, 2, 3])).toEqual({ 0: [0], 1: [1], 2: [2], 3: [3] });
    sockets.close();
  });

  test("nobody can connect before a worker accepts", async () => {
    const sockets = await opened(2);
    expect(await code(portOf(sockets))).toBe("ECONNREFUSED");
    sockets.close();
  });

  test("an address that two changes want is open until the last of them is dropped", async () => {
    const sockets = await opened(2);
    const more = wanted("127.0.0.1:0", "127.0.0.2:0");
    const one = await sockets.prepare(more, 2);
    const other = await sockets.prepare(more, 2);
    const key = more[1]?.key ?? "";
    expect(other.added.get(key)).toBe(one.added.get(key));
    sockets.abandon(one);
    expect(sockets.find({ key, place: 1 })?.fd).toBeGreaterThan(0);
    sockets.commit(other);
    expect(sockets.listening).toHaveLength(2);
    sockets.close();
    expect(sockets.find({ key, place: 1 })).toBeUndefined();
  });
});
