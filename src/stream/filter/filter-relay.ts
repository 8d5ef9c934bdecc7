import { asBuffer } from "../../codecs/as-buffer.ts";
import { GatewayError, messageOf } from "../../errors.ts";
import { Deadline } from "../deadline.ts";
import { Drain } from "../drain.ts";
import type { Inlet } from "../inlet.ts";
import type { Recalled, Relay, RelayCause } from "../relay.ts";
import { wasReset } from "../reset.ts";
import { pacesOf, type RelayRates } from "../throttle.ts";
import { bytesOf } from "./bytes-of.ts";
import { Flow, type FlowHost } from "./flow.ts";
import { Sink } from "./sink.ts";
import type { FilterControl, FilterSide, MakeStages, Stage, Stages } from "./stage.ts";

export interface FilterRelayOptions {
  /** Ends the relay when no byte moved in either direction for so long. */
  readonly idleTimeoutMs: number;
  readonly filters: MakeStages;
  /** What another relay has carried before, which was recalled. */
  readonly before?: Pick<Relay, "bytesUp" | "bytesDown">;
}

const NOTHING: Pick<Relay, "bytesUp" | "bytesDown"> = { bytesUp: 0, bytesDown: 0 };

/**
 * As `NodeRelay`, with stages in between: the same laws about ends, resets, slow readers and idle time, for the bytes that the
 * stages let through. `bytesUp` counts what came from the client, `bytesDown` what went to it.
 */
export class FilterRelay implements Relay, FlowHost, FilterControl {
  readonly #client: Inlet;
  readonly #peer: Inlet;
  readonly #toClient: Sink;
  readonly #toPeer: Sink;
  readonly #up: Flow;
  readonly #down: Flow;
  readonly #idle: Deadline;
  readonly #before: Pick<Relay, "bytesUp" | "bytesDown">;
  #movedAt = performance.now();
  #spoke: Flow | undefined;
  /** The last bytes to the client, when it has ended. */
  #words: Buffer | undefined;
  #cause: RelayCause | undefined;
  #error: GatewayError | undefined;
  #drain: Drain | undefined;
  #isStarted = false;
  #open = 2; // sockets not closed yet
  #listener: ((cause: RelayCause, error?: GatewayError) => void) | undefined;

  constructor(client: Inlet, peer: Inlet, { idleTimeoutMs, filters, before = NOTHING }: FilterRelayOptions) {
    this.#client = client;
    this.#peer = peer;
    this.#before = { bytesUp: before.bytesUp, bytesDown: before.bytesDown };
    this.#idle = new Deadline(idleTimeoutMs);
    this.#idle.onExpire = () => this.end("idle_timeout");
    this.#toClient = this.#sinkOf(client);
    this.#toPeer = this.#sinkOf(peer);
    const { up, down, isHeld, limitMs = Number.POSITIVE_INFINITY, watch } = this.#made(filters);
    this.#up = new Flow({ from: client, to: this.#toPeer, stages: up, limitMs, watch }, this);
    this.#down = new Flow({ from: peer, to: this.#toClient, stages: down, limitMs, watch }, this);
    this.#watch(client, "client_reset");
    this.#watch(peer, "peer_reset");
    if (!isHeld) this.start();
  }

  get isStarted(): boolean {
    return this.#isStarted;
  }

  start(): void {
    if (this.#isStarted || this.#drain) return;
    this.#isStarted = true;
    this.#up.start();
    this.#down.start();
  }

  get bytesUp(): number {
    return this.#before.bytesUp + this.#up.bytes;
  }

  get bytesDown(): number {
    return this.#before.bytesDown + this.#toClient.bytes;
  }

  get isHeldUp(): boolean {
    return this.#toClient.holdsUp || this.#toPeer.holdsUp;
  }

  end(cause: RelayCause): void {
    this.#note(cause);
    if (cause === "drained" && this.#open > 0 && this.#isStarted) {
      this.#endGently((flow) => flow.drain());
      return;
    }
    this.#stop();
    this.#client.stream.destroy();
    this.#peer.stream.destroy();
  }

  limit(bytesPerSecond: RelayRates | undefined): void {
    const { up, down } = pacesOf(bytesPerSecond);
    if (this.#open === 0) return;
    this.#up.limit(up);
    this.#down.limit(down);
  }

  onEnd(listener: (cause: RelayCause, error?: GatewayError) => void): void {
    this.#listener = listener;
    if (this.#open === 0) this.#tell();
  }

  /** Never: stages know more of the bytes than whoever would go on with them. */
  recall(): Promise<Recalled | undefined> {
    return Promise.resolve(undefined);
  }

  inject(side: FilterSide, bytes: string | Uint8Array): boolean {
    if (side !== "client" && side !== "upstream") throw new TypeError(`inject: no side is called ${String(side)}`);
    const sink = side === "client" ? this.#toClient : this.#toPeer;
    const piece = bytesOf(bytes);
    if (!sink.isOpen) return false;
    sink.put(piece);
    sink.flush();
    if (!sink.isFull) return true;
    sink.holdsUp = true;
    this.#run();
    return false;
  }

  finish(): void {
    this.#error ??= new GatewayError("RC_EXITED");
    this.#endGently((flow) => flow.cut());
  }

  exit(cause: GatewayError): void {
    this.#error ??= cause;
    this.#endGently((flow) => flow.stop());
  }

  /** Puts stages next to where the bytes leave, also while they move. */
  append({ up, down }: { readonly up: Stage; readonly down: Stage }): void {
    this.#up.append(up);
    this.#down.append(down);
  }

  /**
   * Ends the session gently, with `words` as the last bytes to the client. False, and nothing is done, where they might stand in the
   * midst of a message: bytes that do not leave in frames must have been at rest for `restMs`.
   */
  leave(words: Uint8Array, restMs: number): boolean {
    if (!this.#isStarted || this.#drain || this.#open < 2 || !this.#toClient.isOpen || this.#down.isOver) return false;
    if (!this.#down.isFramed && !this.#isAtRest(restMs)) return false;
    this.#words = asBuffer(words);
    this.#note("drained");
    this.#endGently((flow) => flow.drain(flow === this.#down));
    return true;
  }

  #isAtRest(restMs: number): boolean {
    return performance.now() - this.#movedAt >= restMs && this.#up.isAtRest && this.#down.isAtRest;
  }

  /** Whose bytes were the last ones. */
  get spokeLast(): "client" | "peer" {
    return this.#spoke === this.#up ? "client" : "peer";
  }

  onMove(read?: Flow): void {
    if (read) this.#spoke = read;
    if (this.#drain) return;
    this.#movedAt = performance.now();
    this.#idle.rearm();
  }

  onSourceEnd(flow: Flow): boolean {
    const [side, cause, reset] =
      flow === this.#up
        ? ([this.#client, "client_closed", "client_reset"] as const)
        : ([this.#peer, "peer_closed", "peer_reset"] as const);
    if (wasReset(side)) this.#reset(side, reset);
    else this.#note(cause);
    return !side.stream.destroyed;
  }

  onDone(flow: Flow): void {
    if (this.#drain) this.#closeIfOver(flow, this.#drain);
    else if (flow === this.#up) this.#toPeer.end();
    else this.#toClient.end();
  }

  onFail(cause: unknown): void {
    const error = failure(cause);
    if (error.code === "RC_EXITED") this.exit(error);
    else {
      this.#error ??= error;
      this.end("client_closed");
    }
  }

  #sinkOf({ stream }: Inlet): Sink {
    const sink = new Sink(stream, () => this.onMove());
    stream.on("drain", () => {
      sink.holdsUp = false;
      this.onMove();
      this.#run();
    });
    return sink;
  }

  #run(): void {
    if (!this.#isStarted) return;
    this.#up.run();
    this.#down.run();
  }

  #watch(side: Inlet, cause: "client_reset" | "peer_reset"): void {
    const onReset = (): void => this.#reset(side, cause);
    const onClose = (): void => {
      // Closed without an end and without our doing: the other side must not believe in a clean end.
      if (!side.stream.readableEnded && !this.#cause) onReset();
      if (--this.#open === 0) this.#tell();
    };
    side.stream.on("error", onReset);
    if (side.stream.closed) queueMicrotask(onClose);
    else side.stream.once("close", onClose);
    if (side.reset) onReset();
  }

  #reset(side: Inlet, cause: "client_reset" | "peer_reset"): void {
    this.#note(cause);
    if (this.#drain) {
      side.stream.destroy(); // the other side still has its bytes to get
      return;
    }
    this.#stop();
    side.stream.destroy();
    (side === this.#client ? this.#peer : this.#client).abort();
  }

  /** A codec of the user's may fail already when it begins. */
  #made(filters: MakeStages): Stages {
    try {
      return filters(this);
    } catch (cause) {
      this.#idle.stop();
      throw failure(cause);
    }
  }

  /** Lets the flows end, each in its own time, within that of a drain. */
  #endGently(leave: (flow: Flow) => void): void {
    this.#note("client_closed");
    this.#idle.stop();
    const drain = this.#drain ?? new Drain(() => this.#endLate());
    this.#drain = drain;
    for (const flow of [this.#up, this.#down]) {
      leave(flow);
      this.#closeIfOver(flow, drain);
    }
  }

  #closeIfOver(flow: Flow, drain: Drain): void {
    if (flow.isOver) flow.close(() => drain.flushed(), flow === this.#down ? this.#words : undefined);
  }

  /** Who did not get all that was meant for him must not believe in a clean end, where there is a way to say so. */
  #endLate(): void {
    this.#stop();
    for (const side of [this.#client, this.#peer]) {
      if (side.stream.writableFinished) side.stream.destroy();
      else side.abort();
    }
  }

  /** The first event names the end; what follows from it does not. */
  #note(cause: RelayCause): void {
    this.#cause ??= cause;
  }

  #stop(): void {
    this.#up.stop();
    this.#down.stop();
  }

  #tell(): void {
    this.#stop();
    this.#idle.stop();
    this.#drain?.stop();
    this.#listener?.(this.#cause ?? "client_closed", this.#error);
  }
}

function failure(cause: unknown): GatewayError {
  if (cause instanceof GatewayError) return cause;
  return new GatewayError("RC_HOOK_FAILED", `bodyFilter: ${messageOf(cause)}`, { cause });
}
