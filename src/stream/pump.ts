import type { Deadline } from "./deadline.ts";
import type { Inlet } from "./inlet.ts";
import { isPaced, type Pace, Throttle } from "./throttle.ts";

/** One direction of a `NodeRelay`. Its handlers are made once; a chunk costs a write, no promise and no closure. */
export class Pump {
  bytes = 0;
  /** When a byte moved last, by `performance.now()`. */
  movedAt: number = performance.now();
  readonly #from: Inlet;
  readonly #to: Inlet;
  readonly #idle: Deadline;
  readonly #atEnd: () => boolean;
  #throttle: Throttle | undefined;

  /** `atEnd` hears of the end first, and says whether it is passed on. */
  constructor(from: Inlet, to: Inlet, idle: Deadline, atEnd: () => boolean) {
    this.#from = from;
    this.#to = to;
    this.#idle = idle;
    this.#atEnd = atEnd;
  }

  start(): void {
    const { stream } = this.#from;
    const hadEnded = this.#from.ended;
    const unread = this.#from.detach();
    stream.on("data", this.#onData);
    stream.on("end", this.#onEnd);
    this.#to.stream.on("drain", this.#onDrain);
    if (unread.length > 0) this.#pass(unread);
    if (hadEnded) this.#onEnd();
    else this.#goOn();
  }

  /** From now on. */
  limit(pace: Pace): void {
    if (isPaced(pace)) this.#throttle ??= new Throttle(this.#goOn);
    this.#throttle?.set(pace);
  }

  stop(): void {
    this.#throttle?.stop();
  }

  /** Has nothing to do with its sides any more; neither is read from. */
  leave(): void {
    this.stop();
    this.#from.stream.pause().off("data", this.#onData).off("end", this.#onEnd);
    this.#to.stream.off("drain", this.#onDrain);
  }

  /** Takes nothing more: sends what was read, and the end behind it; what still comes is thrown away. */
  cut(onFlushed: () => void): void {
    const { stream } = this.#from;
    const { stream: to } = this.#to;
    this.stop();
    stream.off("data", this.#onData).off("end", this.#onEnd);
    to.off("drain", this.#onDrain);
    if (!to.writableEnded && !to.destroyed) this.#sendRead(stream, to);
    if (to.writableFinished || to.destroyed) onFlushed();
    else to.end(onFlushed); // also after its end was asked for
    stream.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    const admitted = this.#throttle ? this.#throttle.admit(this.#from.stream, chunk) : chunk;
    if (admitted.length > 0) this.#pass(admitted);
  };

  #pass(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#moved();
    if (!this.#to.stream.write(chunk)) this.#from.stream.pause();
  }

  readonly #onDrain = (): void => {
    this.#moved();
    this.#goOn();
  };

  #moved(): void {
    this.movedAt = performance.now();
    this.#idle.rearm();
  }

  /** Reads on, unless the other side is full or the rate says no. */
  readonly #goOn = (): void => {
    if (!this.#throttle?.isWaiting && !this.#to.stream.writableNeedDrain) this.#from.stream.resume();
  };

  readonly #onEnd = (): void => {
    if (this.#atEnd()) this.#to.stream.end();
  };

  /** Bytes that the paused stream has read from the kernel, and nobody has seen. */
  #sendRead(from: Inlet["stream"], to: Inlet["stream"]): void {
    for (let chunk: Buffer | null = from.read(); chunk !== null; chunk = from.read()) {
      this.bytes += chunk.length;
      to.write(chunk);
    }
  }
}
