import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dialIn } from "../support/client.ts";
import { eventually } from "../support/eventually.ts";
import { Gateway } from "../support/gateway.ts";
import { cpuMs, openFiles } from "../support/process.ts";

const CLIENTS = 5_000;
/** Long enough for all of them to come before the first is let go, and to be looked at, also where the machine has other work. */
const PREREAD_MS = 18_000;
/** For one client, which comes at once. */
const SHORT_MS = 6_000;
/** Of a second, with 5,000 clients: one look at each would cost more. */
const MOST_CPU_MS = 60;
/** Whoever looks at clients looks in each of these seconds; what the accepts have left behind is tidied up in one of them. */
const SECONDS = 3;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.start(
    `import { defineGateway, on, reject } from "restyconf";
     import { http, mqtt } from "restyconf/preread";
     const server = (timeoutMs) => ({ listen: "127.0.0.1:0", preread: { timeoutMs }, routes: [on(http(), reject("-")), on(mqtt(), reject("-"))] });
     export default defineGateway({ servers: { edge: server(${PREREAD_MS}), short: server(${SHORT_MS}) } });`,
    { ports: 2 },
  );
});
afterAll(() => gateway[Symbol.asyncDispose]());

test("5,000 silent clients cost no CPU while they wait, and each is let go at its own timeout", {
  timeout: 60_000,
}, async () => {
  const lives: Promise<number>[] = [];
  for (let count = 0; count < CLIENTS; count += 100) {
    const began = performance.now();
    const batch = await Promise.all(Array.from({ length: 100 }, () => dialIn(gateway.port())));
    lives.push(...batch.map((socket) => life(socket, began)));
  }
  await eventually(() => expect(openFiles(gateway.process.pid)).toBeGreaterThan(CLIENTS)); // all are accepted, none is due
  const costs: number[] = [];
  for (let second = 0; second < SECONDS; second++) {
    const before = cpuMs(gateway.process.pid);
    await sleep(1_000); // a measured second
    costs.push(cpuMs(gateway.process.pid) - before);
  }
  expect(Math.min(...costs)).toBeLessThan(MOST_CPU_MS);
  const lived = await Promise.all(lives);
  expect(Math.min(...lived)).toBeGreaterThan(PREREAD_MS - 100);
  expect(Math.max(...lived)).toBeLessThan(2 * PREREAD_MS);
  const lines = (await gateway.sessions(CLIENTS)).slice(0, CLIENTS);
  expect(new Set(lines.map((line) => line["end_cause"]))).toEqual(new Set(["preread_timeout"]));
  for (const line of lines) {
    expect(Number(line["session_time"])).toBeGreaterThan((PREREAD_MS - 100) / 1_000);
    expect(Number(line["session_time"])).toBeLessThan((1.5 * PREREAD_MS) / 1_000);
  }
});

test("a client that sends a byte per second is let go by the same limit", async () => {
  const began = performance.now();
  const socket = await dialIn(gateway.port("short"));
  const trickle = setInterval(() => socket.write("G"), 1_100); // not when its time is over
  const lived = await life(socket, began);
  clearInterval(trickle);
  expect(lived).toBeGreaterThan(SHORT_MS - 100);
  expect(lived).toBeLessThan(2 * SHORT_MS); // with a limit per byte it would never end
  expect(await gateway.access((line) => Number(line["bytes_received"]) > 0)).toMatchObject({
    end_cause: "preread_timeout",
    code: "RC_PREREAD_TIMEOUT",
  });
});

/** How long until the gateway ends the connection, from before it was made; who still writes then is reset. */
async function life(socket: Socket, began: number): Promise<number> {
  await new Promise<void>((resolve) => {
    socket
      .once("end", resolve)
      .once("error", () => resolve())
      .resume();
  });
  socket.destroy();
  return performance.now() - began;
}
