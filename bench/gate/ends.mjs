// Checks that each end of a connection arrives as what it was: FIN as FIN, a reset as a reset, and neither too early.
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { REPLY_BYTES } from "../openings.mjs";
import { Client, DEADLINE_MS, withClient } from "./client.mjs";
import { fnv1a } from "./hash.mjs";
import { whileStill } from "./still.mjs";

const UPLOAD_BYTES = 500_000; // more than all the buffers on the way hold at first
const ASK_AGAIN_MS = 20;
const LAST_BYTE = Buffer.from("x");

/**
 * @typedef {import("../field.mjs").OpenLane} OpenLane
 * @typedef {{ number: string, how: string, got: string }} Record what the server behind tells of its latest witness
 */

/**
 * The server ends its direction with its first answer, while the client goes on.
 * @param {OpenLane} lane
 * @param {number} tell
 */
export async function serverEndsFirst(lane, tell) {
  const sent = randomBytes(UPLOAD_BYTES);
  const { how, got } = await recordOf(tell, () =>
    withClient(lane, async (client) => {
      await client.rest(); // the FIN has arrived
      await client.write(sent);
      client.socket.end();
      await client.closed();
    }),
  );
  const [count] = got.split(" ");
  if (Number(count) !== sent.length) throw new Error(`${count} of ${sent.length} bytes arrive`);
  if (got !== `${sent.length} ${fnv1a(sent)}`) throw new Error("other bytes arrive");
  if (how !== "end") throw new Error("the end arrives as a reset");
}

/**
 * One byte and FIN reach the contestant as one, behind bytes that it has passed on and, once more, as a connection's first bytes.
 * @param {OpenLane} lane
 * @param {readonly number[]} pids
 */
export async function gluedEnd(lane, pids) {
  const expected = `1 ${fnv1a(LAST_BYTE)}\n`;
  await withClient(lane, async (client) => {
    await whileStill(pids, () => endWith(client, LAST_BYTE));
    expectAnswer(await client.rest(), expected);
  });
  /** @type {Client | undefined} */
  let client;
  try {
    await whileStill(pids, () => {
      client = new Client(lane.port);
      return endWith(client, Buffer.concat([lane.opening, LAST_BYTE]));
    });
    const answer = await client?.rest();
    expectAnswer(answer?.subarray(REPLY_BYTES), expected);
  } finally {
    client?.socket.destroy();
  }
}

/** Resolves when bytes and FIN are with the kernel. @param {Client} client @param {Buffer} bytes */
function endWith({ socket }, bytes) {
  return /** @type {Promise<void>} */ (new Promise((resolve) => socket.end(bytes, () => resolve())));
}

/** @param {Buffer | undefined} answer @param {string} expected */
function expectAnswer(answer, expected) {
  if (answer?.toString() !== expected) throw new Error(answer?.length ? `${answer} came` : "no answer came");
}

/**
 * @param {OpenLane} lane
 * @param {number} tell
 */
export async function clientResets(lane, tell) {
  const { how } = await recordOf(tell, () =>
    withClient(lane, async (client) => {
      client.socket.resetAndDestroy();
      await client.closed();
    }),
  );
  if (how !== "reset") throw new Error("the reset arrives as an end");
}

/** @param {OpenLane} lane */
export async function serverResets(lane) {
  await withClient(lane, async (client) => {
    await client.write(LAST_BYTE);
    await client.rest();
    if (client.fault !== "ECONNRESET") throw new Error("the reset arrives as an end");
  });
}

/**
 * What the server behind puts on record because of `act`.
 * @param {number} tell its port
 * @param {() => Promise<void>} act
 * @returns {Promise<Record>}
 */
async function recordOf(tell, act) {
  const before = await ask(tell);
  await act();
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline) {
    const record = await ask(tell);
    if (record.number !== before.number) return record;
    await sleep(ASK_AGAIN_MS);
  }
  throw new Error("the server never learns of the end");
}

/** @param {number} port @returns {Promise<Record>} */
async function ask(port) {
  const client = new Client(port);
  try {
    const [number = "", how = "", ...got] = (await client.rest()).toString().trim().split(" ");
    return { number, how, got: got.join(" ") };
  } finally {
    client.socket.destroy();
  }
}
