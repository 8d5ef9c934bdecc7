// Nobody is measured who does not do the job. Every check goes through the contestant to the server behind.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { REPLY_BYTES } from "./openings.mjs";

const DEADLINE_MS = 5_000;
const UPLOAD_BYTES = 4_000_000;
const ECHO_BYTES = 2_000_000;
const MAX_PIECE = 90_000;
const UPLOADS = 3; // with half-close; a race may hide a loss
const BANNER = "220 ready\r\n";

/** @typedef {{ check: string, claimed: boolean, fault: string | undefined }} Finding */

/**
 * @param {import("./field.mjs").Entrant} entrant
 * @returns {Promise<Finding[]>}
 */
export async function gate({ contestant, lanes }) {
  /** @type {Finding[]} */
  const findings = [];
  const find = async (/** @type {string} */ check, /** @type {() => Promise<void>} */ run, claimed = true) => {
    const fault = await run().then(
      () => undefined,
      (/** @type {Error} */ cause) => cause.message,
    );
    findings.push({ check, claimed, fault });
  };
  await find("echo both ways", () => echo(lanes.echo));
  await find("upload, half-close, hash", () => uploads(lanes.sum), contestant.claims.halfClose);
  await find("server speaks first", () => banner(lanes.banner));
  if (!contestant.isPeer) await find("upstream refuses", () => refused(lanes.refused));
  return findings;
}

/** What stands against publishing numbers. @param {readonly Finding[]} findings */
export function faultsOf(findings) {
  return findings.filter(({ claimed, fault }) => claimed && fault !== undefined);
}

/** @param {import("./field.mjs").OpenLane} lane */
async function echo(lane) {
  await withClient(lane, async (client) => {
    const sent = randomBytes(ECHO_BYTES);
    const [received] = await Promise.all([client.read(sent.length), client.write(sent)]);
    if (!received.equals(sent)) throw new Error("other bytes came back");
  });
}

/** @param {import("./field.mjs").OpenLane} lane */
async function uploads(lane) {
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

/** @param {import("./field.mjs").OpenLane} lane */
async function banner(lane) {
  await withClient(lane, async (client) => {
    const spoken = (await client.read(BANNER.length)).toString();
    if (spoken !== BANNER) throw new Error(`other bytes came: ${spoken}`);
    await client.write(Buffer.from("hello"));
    if ((await client.read(5)).toString() !== "hello") throw new Error("no echo after the banner");
  });
}

/** @param {import("./field.mjs").OpenLane} lane */
async function refused({ port, opening }) {
  const client = new Client(port);
  try {
    await client.write(opening);
    const answer = await client.rest();
    if (answer.length > 0) throw new Error(`${answer.length} bytes came from nobody`);
  } finally {
    client.socket.destroy();
  }
}

/** @param {import("./field.mjs").OpenLane} lane @param {(client: Client) => Promise<void>} use */
async function withClient({ port, opening }, use) {
  const client = new Client(port);
  try {
    if (opening.length > 0) {
      await client.write(opening);
      await client.read(REPLY_BYTES);
    }
    await use(client);
  } finally {
    client.socket.destroy();
  }
}

/** A client that reads by count and gives up in time. */
class Client {
  socket;
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;
  #ended = false;
  #wake = () => {};

  /** @param {number} port */
  constructor(port) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#wake();
    });
    this.socket.on("error", () => {}); // "close" follows, and says enough
    for (const end of ["end", "close"]) {
      this.socket.on(end, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  /** In pieces of any size. @param {Buffer} bytes */
  async write(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(Math.random() * MAX_PIECE);
      const piece = bytes.subarray(at, at + size);
      at += piece.length;
      if (!this.socket.write(piece) && !this.#ended)
        await inTime(once(this.socket, "drain"), "the client cannot write");
    }
  }

  /** @param {number} size */
  async read(size) {
    await this.#until(() => this.#size >= size || this.#ended, `${size} bytes`);
    if (this.#size < size) throw new Error(`only ${this.#size} of ${size} bytes came`);
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(size)];
    this.#size -= size;
    return all.subarray(0, size);
  }

  async rest() {
    await this.#until(() => this.#ended, "the end");
    return Buffer.concat(this.#chunks);
  }

  /** @param {() => boolean} holds @param {string} what */
  async #until(holds, what) {
    const deadline = performance.now() + DEADLINE_MS;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error(`${what} did not come`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, deadline - performance.now() + 1);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(undefined);
        };
      });
    }
  }
}

/** @param {Promise<unknown>} promise @param {string} fault */
async function inTime(promise, fault) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(fault)), DEADLINE_MS);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Buffer} bytes */
function fnv1a(bytes) {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, "0");
}
