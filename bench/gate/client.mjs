// A client of the gate: reads by count, gives up in time, and knows how its connection ended.
import { connect } from "node:net";
import { REPLY_BYTES } from "../openings.mjs";

/** How long anything that has to come may take. */
export const DEADLINE_MS = 4_000;
const MAX_PIECE = 90_000;

/** One connection, which stays open until it is destroyed, also when the other side has ended. */
export class Client {
  socket;
  /** @type {string | undefined} the system's word for what went wrong */
  fault;
  /** @type {Buffer[]} */
  #chunks = [];
  #size = 0;
  #ended = false;
  #closed = false;
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {number} port */
  constructor(port) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    this.socket.on("data", (chunk) => {
      this.#chunks.push(chunk);
      this.#size += chunk.length;
      this.#changed();
    });
    this.socket.on("drain", () => this.#changed());
    this.socket.on("error", (/** @type {NodeJS.ErrnoException} */ cause) => {
      this.fault = cause.code; // "close" follows
    });
    this.socket.on("end", () => this.#over());
    this.socket.on("close", () => {
      this.#closed = true;
      this.#over();
    });
  }

  #over() {
    this.#ended = true;
    this.#changed();
  }

  #changed() {
    for (const wake of this.#waiting) wake();
  }

  /** In pieces of any size. @param {Buffer} bytes */
  async write(bytes) {
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(Math.random() * MAX_PIECE);
      const piece = bytes.subarray(at, at + size);
      at += piece.length;
      if (this.#closed) return;
      this.socket.write(piece);
      await this.#until(() => !this.socket.writableNeedDrain || this.#closed, "room for more bytes");
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

  /** All that comes until the other side ends. */
  async rest() {
    await this.#until(() => this.#ended, "the end");
    return Buffer.concat(this.#chunks);
  }

  async closed() {
    await this.#until(() => this.#closed, "the close");
  }

  /** @param {() => boolean} holds @param {string} what */
  async #until(holds, what) {
    const deadline = performance.now() + DEADLINE_MS;
    while (!holds()) {
      if (performance.now() > deadline) throw new Error(`${what} did not come`);
      await this.#change(deadline - performance.now() + 1);
    }
  }

  /** @param {number} atMostMs */
  async #change(atMostMs) {
    const { promise, resolve } = withResolve();
    const timer = setTimeout(resolve, atMostMs);
    this.#waiting.add(resolve);
    await promise;
    this.#waiting.delete(resolve);
    clearTimeout(timer);
  }
}

/** @returns {{ promise: Promise<void>, resolve: () => void }} */
function withResolve() {
  let resolve = () => {};
  const promise = /** @type {Promise<void>} */ (
    new Promise((done) => {
      resolve = done;
    })
  );
  return { promise, resolve };
}

/**
 * Connects, has the opening answered, and leaves no socket behind.
 * @param {import("../field.mjs").OpenLane} lane
 * @param {(client: Client) => Promise<void>} use
 */
export async function withClient({ port, opening }, use) {
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
