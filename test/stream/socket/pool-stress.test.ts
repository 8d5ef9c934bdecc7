import fc from "fast-check";
import { afterEach, expect, test } from "vitest";
import { connect } from "../../../src/stream/socket/connect.ts";
import type { StreamSocket } from "../../../src/stream/socket/socket.ts";
import { echo } from "../../support/servers.ts";
import { closeAll, later, said } from "./socket-rig.ts";

afterEach(closeAll);

const SIZE = 3;
const TASKS = 60;
const ROUNDS = process.env["RESTYCONF_LONG"] ? 300 : 15; // each opens real connections

/** How somebody leaves a socket. */
const ends = ["keep", "keep", "keep", "close", "dispose", "abort", "shutdown", "unread"] as const;

async function use(socket: StreamSocket, end: (typeof ends)[number], ending: AbortController): Promise<void> {
  await socket.send("line\n");
  expect(said(await socket.receive())).toBe("line"); // never somebody else's answer
  if (end === "shutdown") socket.shutdown("send");
  if (end === "unread") {
    await socket.send("left behind\n");
    await socket.receiveAny(1);
  }
  if (end === "abort") ending.abort();
  else if (end === "dispose") socket[Symbol.dispose]();
  else if (end === "close" || (await socket.setKeepalive(1_000)).err !== undefined) socket.close();
}

test("however sockets are left, no place is lost, the size holds, and nobody gets the bytes of others", async () => {
  const server = await echo();
  later(() => server[Symbol.asyncDispose]());
  let pool = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...ends), { minLength: TASKS, maxLength: TASKS }), async (leavings) => {
      const limits = { pool: `stress ${++pool}`, poolSize: SIZE, backlog: TASKS };
      let inUse = 0;
      let most = 0;
      const task = async (end: (typeof ends)[number]): Promise<void> => {
        const ending = new AbortController();
        const { socket, err } = await connect(server.address, { ...limits, signal: ending.signal });
        if (err !== undefined) throw new Error(err);
        most = Math.max(most, ++inUse);
        const done = use(socket, end, ending);
        await done.finally(() => inUse--);
      };
      await Promise.all(leavings.map(task));
      expect(most).toBeLessThanOrEqual(2 * SIZE); // who is next may begin before the one before has counted itself out
      const places = await Promise.all(Array.from({ length: SIZE }, () => connect(server.address, limits)));
      for (const { socket } of places) socket?.close();
      expect(places.map(({ err }) => err)).toEqual(Array(SIZE).fill(undefined));
    }),
    { numRuns: ROUNDS },
  );
});
