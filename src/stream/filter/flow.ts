import { GatewayError } from "../../errors.ts";
import { Alarm } from "../alarm.ts";
import type { HookWatch } from "../hook-watch.ts";
import { isPending } from "../hooks.ts";
import type { Inlet } from "../inlet.ts";
import type { Awaitable } from "../session.ts";
import { isPaced, type Pace, Throttle } from "../throttle.ts";
import { Link } from "./link.ts";
import type { Sink } from "./sink.ts";
import type { Pieces, Stage } from "./stage.ts";

/**
 * Answers of stages in one go, before everybody else has a turn: a client that sends a chunk of tiny frames, and the next 31 that
 * Node reads along with it, would hold the event loop for seconds. Some milliseconds of frames.
 */
const MAX_STEPS = 1_024;

/** What a flow needs of its relay. */
export interface FlowHost {
  /** Somebody injects more than a socket takes. */
  readonly isHeldUp: boolean;
  /** A byte moved; of that flow, where it was read. */
  onMove(read?: Flow): void;
  /** The source has ended. True when the end is one, and may be passed on. */
  onSourceEnd(flow: Flow): boolean;
  /** All that will ever go this way is with the sink. */
  onDone(flow: Flow): void;
  /** A stage failed. */
  onFail(cause: unknown): void;
}

export interface FlowOptions {
  readonly from: Inlet;
  readonly to: Sink;
  readonly stages: readonly Stage[];
  /** How long a stage may wait. */
  readonly limitMs: number;
  readonly watch: HookWatch | undefined;
}

/**
 * One direction of a session with filters: reads, lets the stages make of it what they want, writes. What one stage answers goes
 * all the way before anybody is asked for more. So it stands still, and its source with it, as soon as a stage waits or the
 * sink is full. Its handlers are made once; a chunk costs no promise where no filter makes one.
 */
export class Flow {
  /** Bytes read from the source. */
  bytes = 0;
  readonly #from: Inlet;
  readonly #to: Sink;
  readonly #links: Link[];
  readonly #host: FlowHost;
  readonly #limitMs: number;
  readonly #watch: HookWatch | undefined;
  #limit: Alarm | undefined;
  /** `ended`: no more is read. `cut`: nor will stages see what they have not seen. `stopped`: nothing moves any more. */
  #state: "open" | "ended" | "cut" | "stopped" = "open";
  /** The last stage hears of a cut where the others hear of an end. */
  #isCutBehind = false;
  #isWaiting = false;
  #isRunning = false;
  /** Set while others have their turn. */
  #turn: NodeJS.Immediate | undefined;
  #isPaused = true;
  #isDone = false;
  #isClosed = false;
  #rate: Throttle | undefined;
  /** The stage that was asked last. */
  #current = 0;

  constructor({ from, to, stages, limitMs, watch }: FlowOptions, host: FlowHost) {
    this.#from = from;
    this.#to = to;
    this.#links = stages.map((stage) => new Link(stage));
    this.#limitMs = limitMs;
    this.#watch = watch;
    this.#host = host;
  }

  start(): void {
    const { stream } = this.#from;
    const hadEnded = this.#from.ended;
    const unread = this.#from.detach();
    if (this.#state === "stopped") return;
    stream.on("data", this.#onData).on("end", this.#onEnd);
    if (unread.length > 0) this.#got(unread); // no rate holds for it, or it is paid for
    if (hadEnded) this.#onEnd();
    else this.#throttle();
  }

  /** Goes as far as it can. */
  run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#watch?.enter("bodyFilter");
    try {
      for (let left = MAX_STEPS; this.#mayGo() && this.#step(); ) if (--left === 0) this.#giveWay();
    } catch (cause) {
      this.#fail(cause);
    }
    this.#watch?.leave();
    this.#to.flush();
    this.#isRunning = false;
    this.#throttle();
  }

  /** Puts a stage behind all others. */
  append(stage: Stage): void {
    this.#links.push(new Link(stage));
  }

  /** What goes to the sink at once is whole messages. */
  get isFramed(): boolean {
    return this.#links.at(-1)?.isFramed ?? false;
  }

  /** Nothing is under way in it, and more may come. */
  get isAtRest(): boolean {
    const { readableLength, readableEnded } = this.#from.stream;
    if (this.#state !== "open" || this.#isWaiting || this.#turn || readableLength > 0 || readableEnded) return false;
    return this.#to.isDry && !this.#links.some(({ hasWork }) => hasWork);
  }

  /** Reads no more; what was read goes all the way. `inFrames`: but for the beginning of a message that is not whole. */
  drain(inFrames = false): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    this.#isCutBehind = inFrames && this.isFramed;
    const { stream } = this.#from;
    stream.off("data", this.#onData); // or it would hear of what is read here
    for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) this.#take(chunk);
    this.#unlisten();
    this.run();
  }

  /** Reads no more. What stages have answered, and what they still hold back, goes out; what they have not seen does not. */
  cut(): void {
    if (this.#state === "stopped" || this.#isDone) return;
    this.#state = "cut";
    this.#unlisten();
    for (const link of this.#links.slice(0, this.#current + 1)) link.drop();
    this.run();
  }

  /** Sends the end behind what was sent, and these words before it. `onFlushed`: all of it is with the kernel, or never will be; called once. */
  close(onFlushed: () => void, words?: Buffer): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (words && this.#isDone) this.#to.put(words);
    this.#to.end(onFlushed);
  }

  /** Nothing moves any more; what stages still answer is forgotten. */
  stop(): void {
    if (this.#state === "stopped") return;
    this.#to.flush();
    this.#state = "stopped";
    clearImmediate(this.#turn);
    this.#settled();
    this.#limit?.stop();
    this.#unlisten();
  }

  /** Nothing more will be sent. */
  get isOver(): boolean {
    return this.#isDone || this.#state === "stopped";
  }

  /** How fast is read from now on. */
  limit(pace: Pace): void {
    if (isPaced(pace)) this.#rate ??= new Throttle(() => this.#throttle());
    this.#rate?.set(pace);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#got(this.#rate ? this.#rate.admit(this.#from.stream, chunk) : chunk);
  };

  #got(bytes: Buffer): void {
    if (bytes.length > 0) {
      this.#host.onMove(this);
      this.#take(bytes);
    }
    this.run();
  }

  readonly #onEnd = (): void => {
    if (this.#state !== "open" || !this.#host.onSourceEnd(this)) return;
    this.#state = "ended";
    this.run();
  };

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    const [first] = this.#links;
    if (first) first.take([chunk]);
    else this.#to.put(chunk);
  }

  #mayGo(): boolean {
    if (this.#isWaiting || this.#turn || this.#isDone || this.#state === "stopped") return false;
    return this.#state === "cut" || !(this.#to.isFull || this.#host.isHeldUp);
  }

  #giveWay(): void {
    this.#turn = setImmediate(() => {
      this.#turn = undefined;
      this.run();
    });
  }

  /** Asks the last stage that has something to do. False when none has. */
  #step(): boolean {
    for (let at = this.#links.length - 1; at >= 0; at--) {
      const link = this.#links[at];
      if (!link?.hasWork) continue;
      this.#current = at;
      this.#receive(at, link.work());
      return true;
    }
    return this.#state !== "open" && this.#endNext();
  }

  /** Tells the first stage that does not know yet of the end; then all bytes have passed it. */
  #endNext(): boolean {
    const at = this.#links.findIndex(({ isClosed }) => !isClosed);
    const link = this.#links[at];
    if (link) {
      this.#current = at;
      this.#receive(at, link.end(this.#state === "cut" || (this.#isCutBehind && at === this.#links.length - 1)));
      return true;
    }
    this.#isDone = true;
    this.#to.flush();
    this.#host.onDone(this);
    return false;
  }

  #receive(at: number, answer: Awaitable<Pieces | undefined>): void {
    if (!isPending(answer)) {
      this.#pass(at, answer);
      return;
    }
    this.#isWaiting = true;
    this.#watch?.begin();
    this.#await(this.#links[at]?.isUnlimited ? Number.POSITIVE_INFINITY : this.#limitMs);
    answer.then(
      (pieces) => this.#resume(at, pieces),
      (cause) => this.#fail(cause),
    );
  }

  #await(limitMs: number): void {
    if (limitMs === Number.POSITIVE_INFINITY) return;
    this.#limit ??= new Alarm(() => this.#fail(late(limitMs)));
    this.#limit.set(performance.now() + limitMs);
  }

  #resume(at: number, pieces: Pieces | undefined): void {
    if (this.#state === "stopped") return;
    this.#settled();
    this.#limit?.set(Number.POSITIVE_INFINITY);
    this.#pass(at, pieces);
    this.run();
  }

  /** Nobody waits any more. */
  #settled(): void {
    if (!this.#isWaiting) return;
    this.#isWaiting = false;
    this.#watch?.end();
  }

  #pass(at: number, pieces: Pieces | undefined): void {
    this.#links[at]?.answered(pieces);
    if (pieces === undefined || this.#state === "stopped") return;
    const next = this.#links[at + 1];
    if (next) next.take(Buffer.isBuffer(pieces) ? [pieces] : pieces);
    else if (Buffer.isBuffer(pieces)) this.#to.put(pieces);
    else for (const piece of pieces) this.#to.put(piece);
  }

  #fail(cause: unknown): void {
    if (this.#state === "stopped") return;
    this.#to.flush(); // what was answered before is on its way
    this.#host.onFail(cause);
  }

  #throttle(): void {
    if (this.#state !== "open") return;
    const isHeld = this.#isWaiting || this.#turn !== undefined || this.#rate?.isWaiting === true;
    const mustPause = isHeld || this.#to.isFull || this.#host.isHeldUp;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.#from.stream.pause();
    else this.#from.stream.resume();
  }

  /** What still comes is read and thrown away: closing a socket with unread bytes would reset it. */
  #unlisten(): void {
    this.#rate?.stop();
    this.#from.stream.off("data", this.#onData).off("end", this.#onEnd);
    this.#from.stream.resume();
  }
}

function late(limitMs: number): GatewayError {
  return new GatewayError("RC_HOOK_TIMEOUT", `bodyFilter: not finished within ${limitMs} ms`);
}
