import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { acceptWires } from "./acceptor.ts";
import type { Wire } from "./wire.ts";
import { LATER, type Wires } from "./wires.ts";

/** On the machine itself it takes a few milliseconds; where it takes longer than this, something else happens than expected. */
const LIMIT_MS = 2_000;
/** Counted in so many parts: a process that was held up misses one of them, and not what came meanwhile. */
const LIMIT_PARTS = 20;

/** More than the kernel takes at once, so that the write is finished later. */
const BULK_BYTES = 8_388_608;

const HEAD = Buffer.from("head");

/**
 * Tries on a connection of our own what relays do: accept, connect, a write that is done at once and one that is not, reads by
 * chunk and into a buffer of ours, an end, two closes. False where Node's internals do something else.
 */
export async function roundTrip(wires: Wires): Promise<boolean> {
  const open: { close(): unknown }[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    let left = LIMIT_PARTS;
    timer = setInterval(() => --left === 0 && resolve(false), LIMIT_MS / LIMIT_PARTS);
  });
  try {
    return await Promise.race([late, attempt(wires, open)]);
  } catch {
    return false;
  } finally {
    clearInterval(timer);
    for (const one of open) one.close();
  }
}

async function attempt(wires: Wires, open: { close(): unknown }[]): Promise<boolean> {
  const server = createServer().listen(0, "127.0.0.1");
  open.push(server);
  await once(server, "listening");
  const [near, far] = await connected(wires, server, open);
  const gotHead = firstChunk(near);
  if (wires.write(far.handle, HEAD, { onWritten() {} }) === LATER || !(await gotHead).equals(HEAD)) return false;
  const counted = countInto(near, Buffer.alloc(65_536, 1));
  const isSent = await sendBulk(far);
  far.shutdown();
  const isWhole = (await counted) === BULK_BYTES;
  const isClosed = Promise.all([near, far].map((wire) => new Promise<void>((resolve) => wire.whenClosed(resolve))));
  near.close();
  far.close("reset");
  await isClosed;
  return isSent && isWhole;
}

async function connected(wires: Wires, server: Server, open: { close(): unknown }[]): Promise<[Wire, Wire]> {
  const bound = server.address();
  const port = typeof bound === "object" && bound ? bound.port : 0;
  const accepted = new Promise<Wire>((resolve, reject) => {
    const options = () => ({ noDelay: true, keepAliveMs: 1_000 });
    if (!acceptWires(server, wires, options, resolve)) reject(new Error("the server shows no handle"));
  });
  const far = await new Promise<Wire>((resolve, reject) => {
    const { wire, error } = wires.connect({ host: "127.0.0.1", port, keepAliveMs: 1_000 }, (status) =>
      status ? reject(status) : resolve(wire),
    );
    open.push(wire);
    if (error !== 0) reject(error);
  });
  const near = await accepted;
  open.push(near);
  return [near, far];
}

function firstChunk(wire: Wire): Promise<Buffer> {
  return new Promise((resolve) => {
    wire.reader = { take: resolve, settle: () => resolve(Buffer.alloc(0)) };
    wire.read();
  });
}

/** Resolves at the end with how many bytes came, or with none when they are not those that were sent. */
function countInto(wire: Wire, buffer: Buffer): Promise<number> {
  return new Promise((resolve) => {
    let count = 0;
    wire.handle.onread = () => {
      const size = wire.wires.lastRead;
      if (size > 0) count += buffer[size - 1] === 0 ? size : Number.NaN;
      else if (size < 0) resolve(wire.wires.isEnd(size) ? count : 0);
      return undefined;
    };
    wire.handle.useUserBuffer(buffer);
  });
}

/** True when the write was finished later, and said so. */
function sendBulk(wire: Wire): Promise<boolean> {
  return new Promise((resolve) => {
    const answer = wire.wires.write(wire.handle, Buffer.alloc(BULK_BYTES), {
      onWritten: (status) => resolve(status === 0),
    });
    if (answer !== LATER) resolve(false);
  });
}
