import type { Writable } from "node:stream";
import { Alarm } from "../alarm.ts";
import { type Done, OK, type Sent } from "./results.ts";
import { systemWords } from "./system-words.ts";

/** Written and awaited in pieces of this size, so that progress shows: the time-out is for a peer that takes nothing at all. */
const PIECE_BYTES = 65_536;

/** The writing half of an outgoing socket. One send at a time; any failure of one closes this half. */
export class Sender {
  readonly #stream: Writable;
  readonly #alarm = new Alarm(() => this.#giveUp?.("timeout"));
  #giveUp: ((err: string) => void) | undefined;
  #state: "open" | "shut" | "failed" = "open";
  #busy = false;

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  get busy(): boolean {
    return this.#busy;
  }

  get open(): boolean {
    return this.#state === "open" && this.#stream.writable;
  }

  /** Bytes may be stuck on their way: a close must not wait for them. */
  get failed(): boolean {
    return this.#state === "failed";
  }

  /** Resolves when all bytes are with the kernel, or no byte has moved for `stallMs`. */
  async send(bytes: Buffer, stallMs: number): Promise<Sent> {
    if (this.#state !== "open") return { err: "closed" };
    this.#busy = true;
    let err: string | undefined;
    for (let at = 0; at < bytes.length && err === undefined; at += PIECE_BYTES) {
      err = await this.#piece(bytes.subarray(at, at + PIECE_BYTES), stallMs);
    }
    this.#busy = false;
    if (err === undefined) return { sent: bytes.length };
    this.#state = "failed";
    return { err };
  }

  /** Half-closes: the peer sees the end, and may go on sending. */
  shutdown(): Done {
    if (this.#state === "shut") return { err: "already shutdown" };
    if (!this.open) return { err: "closed" };
    this.#state = "shut";
    this.#stream.end();
    return OK;
  }

  /** Leaves no timer behind; a send that waits answers `err`. */
  stop(err: string): void {
    this.#giveUp?.(err);
    this.#alarm.stop();
  }

  #piece(bytes: Buffer, stallMs: number): Promise<string | undefined> {
    return new Promise((resolve) => {
      const settle = (err?: string): void => {
        this.#giveUp = undefined;
        this.#alarm.set(Number.POSITIVE_INFINITY);
        resolve(err);
      };
      this.#giveUp = settle;
      this.#alarm.set(performance.now() + stallMs);
      this.#stream.write(bytes, (cause) => {
        if (this.#giveUp === settle) settle(cause ? systemWords(cause) : undefined);
      });
    });
  }
}
