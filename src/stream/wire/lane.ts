import type { Socket } from "node:net";
import { isPaced, type Pace, Throttle } from "../throttle.ts";
import { LARGE_BYTES, SMALL_BYTES } from "./read-buffers.ts";
import type { Wire } from "./wire.ts";
import { LATER, type Writer } from "./wires.ts";

/** What becomes of a lane's bytes, its end and its faults. */
export interface LaneEvents {
  /** A byte moved. */
  onMove(from: Lane): void;
  /** No byte will follow, and all of them are with the kernel. */
  onLaneEnd(lane: Lane): void;
  /** The end of a lane that was cut has come. */
  onLaneDry(): void;
  /** A socket broke: by a reset, or because it could not be written to. */
  onBreak(wire: Wire): void;
}

/** Small reads in a row after which a large buffer is given back. */
const CALM_READS = 16;

/** Most times that an idle socket's buffer is changed. Each leaves a few bytes behind in Node, until the socket is closed. */
const MAX_SHRINKS = 1_000;

/**
 * One side of a relay: what it reads into its buffer goes out on the other side at once. While the kernel there does not take it,
 * nothing is read here, so one buffer is all the memory that a direction ever needs. The buffer grows while reads fill it.
 */
export class Lane implements Writer {
  readonly wire: Wire;
  /** Bytes read so far. */
  bytes = 0;
  /** No byte will follow, and all of them are with the kernel. */
  hasEnded = false;
  readonly #events: LaneEvents;
  readonly #to: Wire;
  #buffer: Buffer;
  /** What the rate has held back of the last read. */
  #heldFrom = 0;
  #heldUntil = 0;
  #throttle: Throttle | undefined;
  /** The other side has not taken the last bytes yet, so the buffer is not ours. */
  #isLent = false;
  #isReleased = false;
  /** Reads for nobody any more. */
  #isCut = false;
  /** Its wire has ended, or broke. */
  isDry = false;
  #calmReads = 0;
  #shrinks = 0;
  #wasIdle = false;

  constructor(wire: Wire, to: Wire, events: LaneEvents) {
    this.wire = wire;
    this.#to = to;
    this.#events = events;
    this.#buffer = wire.wires.buffers.take();
    wire.readInto(this.#buffer, this.#onRead);
  }

  /** Begins with `first`, and ends there if the end was seen. */
  start(first: Uint8Array, hadEnded: boolean): void {
    this.isDry = hadEnded;
    if (first.length > 0) this.#send(first);
    if (!this.#isLent) this.#goOn();
  }

  /** Takes nothing more: sends what was read; what still comes is thrown away. */
  cut(): void {
    if (this.#isCut || this.hasEnded) return;
    this.#isCut = true;
    this.#throttle?.stop();
    if (!this.#isLent) this.#goOn();
  }

  /** From now on. */
  limit(pace: Pace): void {
    if (isPaced(pace)) this.#throttle ??= new Throttle(() => this.#afterWait());
    this.#throttle?.set(pace);
  }

  /** Nothing of it is under way, and more may come. */
  get isAtRest(): boolean {
    return this.wire.isOpen && !this.isDry && !this.hasEnded && !this.#isLent && !this.#isHeld;
  }

  /** Gives the wire away, as a socket of Node's; only at rest. */
  leave(): Socket {
    const socket = this.wire.toSocket();
    this.release();
    return socket;
  }

  /** The wire is closed: the buffer may go to the next one, as soon as nobody writes out of it. */
  release(): void {
    this.wire.wires.shrinking.delete(this);
    this.#throttle?.stop();
    if (this.#isLent || this.#isReleased) return;
    this.#isReleased = true;
    this.wire.wires.buffers.give(this.#buffer);
  }

  /** Called every now and then while the buffer is a large one: gives it back when nothing came since the last call. */
  tick(): void {
    if (this.#wasIdle && !this.#isLent && !this.#isHeld && this.wire.isOpen && this.#shrinks < MAX_SHRINKS) {
      this.#shrinks++;
      this.wire.handle.useUserBuffer(this.#change(SMALL_BYTES));
    }
    this.#wasIdle = true;
  }

  readonly #onRead = (): Buffer | undefined => {
    const size = this.wire.wires.lastRead;
    if (size > 0) return this.#isCut ? undefined : this.#pass(size);
    if (size < 0) this.#onStop(size);
    return undefined;
  };

  #pass(size: number): Buffer | undefined {
    if (this.#throttle) return this.#passSlowly(size, this.#throttle);
    const buffer = this.#buffer;
    this.bytes += size;
    this.#send(size === buffer.length ? buffer : buffer.subarray(0, size));
    return this.#isLent ? undefined : this.#fit(size, buffer.length);
  }

  /** What the rate holds back stays in the buffer, and nothing is read before all of it has been sent. */
  #passSlowly(size: number, throttle: Throttle): Buffer | undefined {
    this.#heldFrom = 0;
    this.#heldUntil = size;
    this.#sendHeld(throttle);
    if (this.#isHeld) this.wire.stop();
    return this.#isHeld || this.#isLent ? undefined : this.#fit(size, this.#buffer.length);
  }

  get #isHeld(): boolean {
    return this.#heldFrom < this.#heldUntil;
  }

  #sendHeld(throttle: Throttle): void {
    const from = this.#heldFrom;
    const size = throttle.take(this.#heldUntil - from);
    this.#heldFrom += size;
    this.bytes += size;
    if (size > 0) this.#send(this.#buffer.subarray(from, from + size));
  }

  #afterWait(): void {
    if (this.wire.isOpen && !this.#isLent) this.#goOn();
  }

  #send(bytes: Uint8Array): void {
    this.#wasIdle = false;
    this.#events.onMove(this);
    const answer = this.wire.wires.write(this.#to.handle, bytes, this);
    if (answer === LATER) {
      this.#isLent = true;
      this.wire.stop();
    } else if (answer < 0) this.#events.onBreak(this.#to);
  }

  /** The other side has taken the bytes that it could not take at once, or never will. */
  onWritten(status: number): void {
    this.#isLent = false;
    if (!this.wire.isOpen) this.release();
    if (!this.wire.isOpen && !this.#isCut) return; // one that was cut still has its end to pass on
    if (status < 0) this.#events.onBreak(this.#to);
    else this.#events.onMove(this);
    if (this.wire.isOpen || this.#isCut) this.#goOn();
  }

  #goOn(): void {
    if (this.#isHeld && this.#throttle) this.#sendHeld(this.#throttle);
    if (this.#isHeld || this.#isLent) return;
    if (this.isDry || this.#isCut) this.#end();
    if (!this.isDry) this.wire.read();
  }

  #end(): void {
    this.hasEnded = true;
    this.#events.onLaneEnd(this);
  }

  #onStop(error: number): void {
    const how = this.wire.halt(error);
    this.isDry = true;
    if (how === "reset") this.#events.onBreak(this.wire);
    else if (this.#isCut) this.#events.onLaneDry();
    else this.#end();
  }

  /** The buffer of the next read, where it is to be another one. */
  #fit(size: number, capacity: number): Buffer | undefined {
    const { buffers } = this.wire.wires;
    const isFull = size === capacity;
    const isCalm = size <= buffers.smaller(capacity);
    this.#calmReads = isCalm ? this.#calmReads + 1 : 0;
    if (isFull && capacity < LARGE_BYTES) return this.#change(buffers.larger(capacity));
    if (this.#calmReads < CALM_READS || capacity === SMALL_BYTES) return undefined;
    return this.#change(buffers.smaller(capacity));
  }

  #change(size: number): Buffer {
    const { buffers, shrinking } = this.wire.wires;
    buffers.give(this.#buffer);
    this.#buffer = buffers.take(size);
    this.#calmReads = 0;
    if (size === SMALL_BYTES) shrinking.delete(this);
    else shrinking.add(this);
    return this.#buffer;
  }
}
