// Checks that every byte arrives, whole and in order.
import { randomBytes } from "node:crypto";
import { Client, withClient } from "./client.mjs";
import { fnv1a } from "./hash.mjs";

const UPLOAD_BYTES = 4_000_000;
const ECHO_BYTES = 2_000_000;
const UPLOADS = 3; // with half-close; a race may hide a loss
const BANNER = "220 ready\r\n";

/** @typedef {import("../field.mjs").OpenLane} OpenLane */

/** @param {OpenLane} lane */
export async function echo(lane) {
  await withClient(lane, async (client) => {
    const sent = randomBytes(ECHO_BYTES);
    const [received] = await Promise.all([client.read(sent.length), client.write(sent)]);
    if (!received.equals(sent)) throw new Error("other bytes came back");
  });
}

/** Uploads that end with FIN; their hash has to come back. @param {OpenLane} lane */
export async function uploads(lane) {
  for (let left = UPLOADS; left > 0; left--) await withClient(lane, upload);
}

/** @param {Client} client */
async function upload(client) {
  const sent = randomBytes(UPLOAD_BYTES);
  await client.write(sent);
  client.socket.end();
  const answer = (await client.rest()).toString();
  const expected = `${sent.length} ${fnv1a(sent)}\n`;
  if (answer !== expected)
    throw new Error(answer === "" ? "no answer came" : `${answer.trim()} is not ${expected.trim()}`);
}

/** @param {OpenLane} lane */
export async function banner(lane) {
  await withClient(lane, async (client) => {
    const spoken = (await client.read(BANNER.length)).toString();
    if (spoken !== BANNER) throw new Error(`other bytes came: ${spoken}`);
    await client.write(Buffer.from("hello"));
    if ((await client.read(5)).toString() !== "hello") throw new Error("no echo after the banner");
  });
}

/** Nobody listens behind. @param {OpenLane} lane */
export async function refused({ port, opening }) {
  const client = new Client(port);
  try {
    await client.write(opening);
    const answer = await client.rest();
    if (answer.length > 0 && !isRefusal(answer)) throw new Error(`${answer.length} bytes came from nobody`);
  } finally {
    client.socket.destroy();
  }
}

/** A proxy may say in the client's own words that nobody is there: an MQTT CONNACK with a code that is not 0. @param {Buffer} answer */
function isRefusal(answer) {
  return answer.length === 4 && answer[0] === 0x20 && answer[1] === 2 && answer[3] !== 0;
}
