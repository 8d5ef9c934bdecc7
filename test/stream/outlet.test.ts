import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Outlet } from "../../src/stream/outlet.ts";
import { readAll } from "../support/client.ts";
import { socketPair } from "../support/sockets.ts";

const open: { destroy(): unknown }[] = [];
const outlets: Outlet[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const outlet of outlets.splice(0)) outlet.stop();
});

/** What we write to a client, and the client's end. */
async function client(stallMs: number): Promise<{ outlet: Outlet; near: Socket; far: Socket }> {
  const { near, far } = await socketPair();
  near.on("error", () => {});
  open.push(near, far);
  const outlet = new Outlet(near, stallMs);
  outlets.push(outlet);
  return { outlet, near, far };
}

/** More than all buffers of a connection on this machine hold. */
const MUCH = Buffer.alloc(64 * 1_048_576);

test("writes arrive in the order of their calls, and count once they are with the kernel", async () => {
  const { outlet, near, far } = await client(60_000);
  await Promise.all(["one ", "two ", "three"].map((text) => outlet.write(Buffer.from(text))));
  expect(outlet.sent).toBe(13);
  near.end();
  expect((await readAll(far)).toString()).toBe("one two three");
});

test("a client that takes no byte for too long is let go, and every later write fails alike", async () => {
  const { outlet, near } = await client(200);
  const closed = once(near, "close");
  await expect(outlet.write(MUCH)).rejects.toMatchObject({ code: "RC_IDLE_TIMEOUT" });
  await closed;
  expect(outlet.sent).toBeLessThan(MUCH.length);
  await expect(outlet.write(Buffer.from("x"))).rejects.toMatchObject({ code: "RC_IDLE_TIMEOUT" });
});

test("a client that reads slowly but does read is not let go", async () => {
  const { outlet, far } = await client(3_000);
  const writing = outlet.write(MUCH);
  let seen = 0;
  far.on("data", (chunk: Buffer) => {
    seen += chunk.length;
    far.pause();
    setTimeout(() => far.resume(), 4); // four seconds and more in all: longer than it may stall
  });
  await writing;
  outlet.stop();
  expect(outlet.sent).toBe(MUCH.length);
  expect(seen).toBeGreaterThan(0);
});

test("a client that goes away while it is written to is a reset", async () => {
  const { outlet, far } = await client(60_000);
  const writing = outlet.write(MUCH);
  far.resetAndDestroy();
  await expect(writing).rejects.toMatchObject({ code: "RC_CLIENT_RESET" });
});

test("shutdown half-closes behind what was written, and then nothing more may be", async () => {
  const { outlet, far } = await client(60_000);
  const written = outlet.write(Buffer.from("last words"));
  const shut = outlet.shutdown();
  expect((await readAll(far)).toString()).toBe("last words");
  await Promise.all([written, shut]);
  expect(() => outlet.write(Buffer.from("x"))).toThrow(TypeError);
  expect(() => outlet.shutdown()).toThrow(TypeError);
});
