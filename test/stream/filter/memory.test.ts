import { createHash } from "node:crypto";
import { once } from "node:events";
import type { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { lengthPrefixed } from "../../../src/codecs/length-prefixed.ts";
import { frames } from "../../../src/stream/filter/frames.ts";
import { benchWith } from "./filter-rig.ts";

/** Enough to show growth; all of it in long runs. */
const BYTES = process.env["RESTYCONF_LONG"] ? 1_073_741_824 : 134_217_728;
const SIZES = [1, 40, 700, 9_000, 30_000, 65_535];
/** Buffers of both directions and of the test's own four ends, twice over. */
const ALLOWED_BYTES = 16 * 1_048_576;
const LOOK_EVERY_MS = 500;

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

const codec = lengthPrefixed({ size: 2 });
const plain = SIZES.map((size) => Buffer.from(codec.encode(Buffer.alloc(size, size % 251))));
/** Frames that the filter changes begin with 7, where it puts an 8. */
const changed = SIZES.map((size) => Buffer.from(codec.encode(Buffer.alloc(size, 7))));
const asChanged = changed.map((bytes) => Buffer.from(bytes).fill(8, 2, 3));

test(`${BYTES / 1_048_576} MiB go through a frame filter each way, whole, in order, and the heap does not grow`, async () => {
  const filter = frames(codec, (payload) => {
    if (payload[0] !== 7) return undefined;
    const copy = Buffer.from(payload);
    copy[0] = 8;
    return copy;
  });
  using bench = await benchWith({ client: filter, upstream: filter });
  let peak = 0;
  const before = used();
  const watch = setInterval(() => {
    peak = Math.max(peak, used());
  }, LOOK_EVERY_MS);
  const [up, down, gotUp, gotDown] = await Promise.all([
    send(bench.client),
    send(bench.peer),
    receive(bench.peer),
    receive(bench.client),
  ]);
  clearInterval(watch);
  expect(gotUp).toEqual(up);
  expect(gotDown).toEqual(down);
  expect(peak - before).toBeLessThan(ALLOWED_BYTES);
  expect((await bench.ended).error).toBeUndefined();
}, 240_000);

/** What is in use, garbage apart. The memory of buffers is only given back while the next collection begins. */
function used(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** Sends frames of both kinds, and tells what should arrive. */
async function send(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash("sha1");
  let bytes = 0;
  for (let turn = 0; bytes < BYTES; turn++) {
    const which = (turn * 7) % SIZES.length;
    const sent = turn % 3 === 0 ? changed : plain;
    const arrives = (turn % 3 === 0 ? asChanged : plain)[which];
    if (!arrives) continue;
    bytes += arrives.length;
    hash.update(arrives);
    if (!socket.write(sent[which] ?? "")) await once(socket, "drain");
  }
  socket.end();
  return { bytes, hash: hash.digest("hex") };
}

/** Not by `for await`, which closes a socket at its end, also for what is still to be sent. */
async function receive(socket: Socket): Promise<{ bytes: number; hash: string }> {
  const hash = createHash("sha1");
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  await once(socket, "end");
  return { bytes, hash: hash.digest("hex") };
}
