import type { Socket } from "node:net";
import { asBuffer } from "../../codecs/as-buffer.ts";
import type { Codec } from "../../codecs/codec.ts";
import { messageOf } from "../../errors.ts";
import type { Said } from "./frame.ts";
import { FrameBuffer } from "./frame-buffer.ts";
import type { LinkLimits } from "./limits.ts";

/** Frames handled before sessions get their turn: below a millisecond of work. */
const FRAMES_PER_TURN = 64;

/** What became of a frame: with the socket, or why not. */
export type Sending = "sent" | "queue full" | "too large" | "closed";

/** How frames are written, and how much may wait. */
export interface WireOptions {
  readonly codec: Codec<unknown>;
  readonly limits: Pick<LinkLimits, "frameBytes" | "queueBytes">;
  /** How long last words may take to leave. */
  readonly goodbyeMs: number;
}

/** Who hears what comes in. */
export interface WireHost {
  /** A frame and its size in bytes. While it returns a promise no other frame is handled, and soon none is read. */
  onFrame(value: unknown, sizeBytes: number): Promise<void> | undefined;
  /** Called once; nothing comes after it. */
  onEnd(reason: string): void;
}

/**
 * Frames over one connection: in order, both ways, and bounded. Messages to a slow reader are dropped above a limit; answers
 * are not: while too many of them wait, no request is read.
 */
export class Wire {
  readonly #socket: Socket;
  readonly #options: WireOptions;
  readonly #codec: Codec<unknown>;
  readonly #host: WireHost;
  readonly #received: FrameBuffer;
  /** A frame is being handled, or it is the turn of others. */
  #isBusy = false;
  #state: "open" | "ending" | "over" = "open";
  #lastWords: NodeJS.Timeout | undefined;
  /** Why it is ending, from here. */
  #reason: string | undefined;
  /** Bytes of messages, and of all other frames, that the kernel has not taken. */
  #messageBytes = 0;
  #answerBytes = 0;

  /** Takes over a connected, paused socket. */
  constructor(socket: Socket, options: WireOptions, host: WireHost) {
    this.#socket = socket;
    this.#options = options;
    this.#host = host;
    this.#codec = options.codec.begin?.(this) ?? options.codec;
    this.#received = new FrameBuffer(options.codec.begin?.(this) ?? options.codec, options.limits.frameBytes);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("end", () => this.destroy("closed by the server"));
    socket.on("error", (cause) => this.destroy(wordOf(cause)));
    socket.on("close", () => this.destroy("closed"));
    if (socket.destroyed) queueMicrotask(() => this.destroy("closed")); // broken before anybody listened
  }

  /** Lets frames come in. */
  start(): void {
    this.#socket.resume();
  }

  /** A message of a hook's. @throws TypeError for what the codec cannot say */
  sendMessage(data: unknown): Sending {
    const bytes = this.#encode({ type: "message", data });
    if (typeof bytes === "string") return bytes;
    if (this.#messageBytes + bytes.length > this.#options.limits.queueBytes) return "queue full";
    this.#messageBytes += bytes.length;
    this.#socket.write(bytes, () => {
      this.#messageBytes -= bytes.length;
    });
    return "sent";
  }

  /** Any other frame. There is as much of it as was asked for, and asking stops when too much of it waits. */
  send(frame: Said): Sending {
    const bytes = this.#encodeOurs(frame);
    if (typeof bytes === "string") return bytes;
    this.#answerBytes += bytes.length;
    this.#socket.write(bytes, () => {
      const wasFull = this.#isFull; // called when the socket breaks, too
      this.#answerBytes -= bytes.length;
      if (wasFull && !this.#isFull) this.#run();
    });
    return "sent";
  }

  /** Says a last frame and ends; what still comes in is not looked at. */
  end(frame: Said, reason: string): void {
    if (!this.#isOpen) return;
    this.send(frame);
    if (!this.#isOpen) return;
    this.#state = "ending";
    this.#reason = reason;
    this.#lastWords = setTimeout(() => this.destroy(reason), this.#options.goodbyeMs).unref();
    this.#socket.end();
    this.#socket.resume(); // its end must be seen
  }

  /** Breaks off. */
  destroy(reason: string): void {
    if (this.#state === "over") return;
    this.#state = "over";
    clearTimeout(this.#lastWords);
    this.#socket.destroy();
    this.#host.onEnd(this.#reason ?? reason);
  }

  get #isFull(): boolean {
    return this.#answerBytes > this.#options.limits.frameBytes;
  }

  get #isOpen(): boolean {
    return this.#state === "open";
  }

  #encode(frame: Said): Buffer | Exclude<Sending, "sent"> {
    if (!this.#isOpen) return "closed";
    try {
      const bytes = asBuffer(this.#codec.encode(frame));
      return bytes.length > this.#options.limits.frameBytes ? "too large" : bytes;
    } catch (cause) {
      if (cause instanceof RangeError) return "too large";
      throw cause;
    }
  }

  /** A codec that cannot say what the protocol needs is of no use here; sessions go on. */
  #encodeOurs(frame: Said): Buffer | Exclude<Sending, "sent"> {
    try {
      return this.#encode(frame);
    } catch (cause) {
      this.destroy(`cannot write ${frame.type}: ${messageOf(cause)}`);
      return "closed";
    }
  }

  #onData(chunk: Buffer): void {
    if (!this.#isOpen) return;
    this.#received.append(chunk);
    this.#run();
  }

  /** Handles what has come in, for one turn. */
  #run(): void {
    for (let count = 0; !this.#isBusy; count++) {
      if (!this.#isOpen) return;
      if (this.#isFull) {
        this.#socket.pause(); // goes on when the server has taken some
        return;
      }
      if (count === FRAMES_PER_TURN) this.#wait(new Promise((resolve) => setImmediate(resolve)));
      else if (!this.#runOne()) return;
    }
  }

  /** False: there is no whole frame. */
  #runOne(): boolean {
    const next = this.#received.next();
    switch (next.kind) {
      case "frame":
        this.#handle(next.value, next.size);
        return true;
      case "malformed":
        this.#fail(next.reason);
        return false;
      case "more":
        this.#socket.resume();
        return false;
      default:
        return next satisfies never;
    }
  }

  /** A fault of ours while a frame is handled ends this link and nothing else. */
  #handle(value: unknown, sizeBytes: number): void {
    try {
      const pending = this.#host.onFrame(value, sizeBytes);
      if (pending !== undefined) this.#wait(pending);
    } catch (cause) {
      this.destroy(messageOf(cause));
    }
  }

  /** Nothing is read meanwhile: what the kernel cannot hold waits with the server. */
  #wait(pending: Promise<void>): void {
    this.#isBusy = true;
    this.#socket.pause();
    pending.then(
      () => {
        this.#isBusy = false;
        this.#run();
      },
      (cause: unknown) => this.destroy(messageOf(cause)),
    );
  }

  /** The server is told why. */
  #fail(reason: string): void {
    const told = `malformed frame: ${reason}`;
    this.end({ type: "goodbye", reason: told }, told);
  }
}

/** `ECONNRESET`: the rest of Node's message repeats it. */
function wordOf(cause: Error): string {
  return "code" in cause ? String(cause.code) : messageOf(cause);
}
