import type { EndCause, GatewayError } from "../errors.ts";
import type { Buckets } from "./bucket.ts";
import { Deadline } from "./deadline.ts";
import { Drain } from "./drain.ts";
import { Inlet } from "./inlet.ts";
import { Pump } from "./pump.ts";
import { Recall } from "./recall.ts";
import { wasReset } from "./reset.ts";
import { pacesOf, type RelayRates } from "./throttle.ts";

/** How a relay ends. */
export type RelayCause = Extract<
  EndCause,
  "client_closed" | "peer_closed" | "client_reset" | "peer_reset" | "idle_timeout" | "killed" | "shutdown" | "drained"
>;

/** Both sides of a relay that was taken back: nothing is under way between them. Bytes that come from now on wait in their sockets. */
export interface Recalled {
  readonly client: Inlet;
  readonly peer: Inlet;
  /** Whose bytes were the last ones; the client's, too, when there were none. */
  readonly spokeLast: "client" | "peer";
}

/** A session's bytes on their way between the client and its peer, whoever carries them. */
export interface Relay {
  /** Bytes from the client so far. */
  readonly bytesUp: number;
  /** Bytes to the client so far. */
  readonly bytesDown: number;
  /** Where buckets are that it can take from; undefined: in JavaScript. */
  readonly buckets?: Buckets;
  /**
   * Ends both sides now. `drained` does it gently: no byte is taken in any more, those that were are sent on, then both sides see
   * the end, and are closed when they have ended theirs, within {@link DRAIN_MS} and {@link LINGER_MS}. Any cause after it cuts it short.
   */
  end(cause: RelayCause): void;
  /**
   * Slows each direction down to a rate, or lifts that: from now on, also while bytes move. What a direction may not take yet stays
   * with its sender; no byte is lost. First bytes that were looked at are not counted. nginx: `proxy_upload_rate`, `proxy_download_rate`.
   * @throws RangeError for a rate that is not above 0
   */
  limit(bytesPerSecond: RelayRates | undefined): void;
  /** Calls once both sides are closed: at once, when they are. `error`: what a filter failed with. One listener. */
  onEnd(listener: (cause: RelayCause, error?: GatewayError) => void): void;
  /**
   * Gives both sides back if no byte has moved in either direction for `restMs`, none is held or readable, and neither side has
   * ended. The relay is over then: {@link end} and {@link limit} do nothing any more, `onEnd` is not called, and its counts stay;
   * whoever gets the sides closes them, and looks whether the session was ended meanwhile. Undefined: it was not at rest, is over,
   * or somebody else is recalling it; it goes on as before.
   */
  recall(restMs: number): Promise<Recalled | undefined>;
}

export interface RelayOptions {
  /** Ends the relay when no byte moved in either direction for so long. */
  readonly idleTimeoutMs: number;
}

/**
 * Moves bytes between a client and its peer until both sides have ended: each FIN is passed on while the other
 * direction flows, a reset on one side becomes a reset on the other, and a slow reader stops the socket that feeds it.
 */
export class NodeRelay implements Relay {
  readonly #client: Inlet;
  readonly #peer: Inlet;
  readonly #up: Pump;
  readonly #down: Pump;
  readonly #idle: Deadline;
  readonly #recall = new Recall();
  #cause: RelayCause | undefined;
  #drain: Drain | undefined;
  #open = 2; // sockets not closed yet
  /** Takes our listeners off both sides. */
  readonly #unwatch: (() => void)[] = [];
  #listener: ((cause: RelayCause) => void) | undefined;

  constructor(client: Inlet, peer: Inlet, { idleTimeoutMs }: RelayOptions) {
    this.#client = client;
    this.#peer = peer;
    this.#idle = new Deadline(idleTimeoutMs);
    this.#idle.onExpire = () => this.end("idle_timeout");
    this.#up = new Pump(client, peer, this.#idle, () => this.#atEnd(client, "client_closed"));
    this.#down = new Pump(peer, client, this.#idle, () => this.#atEnd(peer, "peer_closed"));
    this.#watch(client, "client_reset");
    this.#watch(peer, "peer_reset");
    this.#up.start();
    this.#down.start();
  }

  get bytesUp(): number {
    return this.#up.bytes;
  }

  get bytesDown(): number {
    return this.#down.bytes;
  }

  end(cause: RelayCause): void {
    if (this.#recall.isDone) return;
    this.#note(cause);
    if (cause === "drained" && this.#open > 0) {
      this.#endGently();
      return;
    }
    this.#client.stream.destroy();
    this.#peer.stream.destroy();
  }

  limit(bytesPerSecond: RelayRates | undefined): void {
    const { up, down } = pacesOf(bytesPerSecond);
    if (this.#drain || this.#open === 0 || this.#recall.isDone) return;
    this.#up.limit(up);
    this.#down.limit(down);
  }

  #endGently(): void {
    if (this.#drain) return;
    this.#idle.stop();
    const drain = new Drain(() => this.#endLate());
    this.#drain = drain;
    this.#up.cut(() => drain.flushed());
    this.#down.cut(() => drain.flushed());
  }

  /** Who did not get all that was meant for him must not believe in a clean end, where there is a way to say so. */
  #endLate(): void {
    for (const side of [this.#client, this.#peer]) {
      if (side.stream.writableFinished) side.stream.destroy();
      else side.abort();
    }
  }

  onEnd(listener: (cause: RelayCause) => void): void {
    this.#listener = listener;
    if (this.#open === 0) listener(this.#cause ?? "client_closed");
  }

  recall(restMs: number): Promise<Recalled | undefined> {
    return this.#recall.take(
      () => this.#isAtRest(restMs),
      () => this.#giveBack(),
    );
  }

  #isAtRest(restMs: number): boolean {
    const movedAt = Math.max(this.#up.movedAt, this.#down.movedAt);
    if (this.#cause || this.#open < 2 || performance.now() - movedAt < restMs) return false;
    return isQuiet(this.#client) && isQuiet(this.#peer);
  }

  #giveBack(): Recalled {
    this.#idle.stop();
    this.#up.leave();
    this.#down.leave();
    const recalled = { client: again(this.#client), peer: again(this.#peer) };
    for (const unwatch of this.#unwatch) unwatch(); // from here on the inlets listen
    const wasAnswered = this.#down.bytes > 0 && this.#down.movedAt > this.#up.movedAt;
    return { ...recalled, spokeLast: wasAnswered ? "peer" : "client" };
  }

  #watch(side: Inlet, cause: "client_reset" | "peer_reset"): void {
    const onReset = (): void => this.#reset(side, cause);
    const onClose = (): void => {
      // Closed without an end and without our doing: the other side must not believe in a clean end.
      if (!side.stream.readableEnded && !this.#cause) onReset();
      if (--this.#open === 0) this.#finish();
    };
    side.stream.on("error", onReset);
    if (side.stream.closed) queueMicrotask(onClose);
    else side.stream.once("close", onClose);
    this.#unwatch.push(() => side.stream.off("error", onReset).off("close", onClose));
    if (side.reset) onReset();
  }

  /** True when the end is one, and may be passed on. */
  #atEnd(side: Inlet, cause: "client_closed" | "peer_closed"): boolean {
    if (wasReset(side)) this.#reset(side, cause === "client_closed" ? "client_reset" : "peer_reset");
    else this.#note(cause);
    return !side.stream.destroyed;
  }

  #reset(side: Inlet, cause: "client_reset" | "peer_reset"): void {
    this.#note(cause);
    side.stream.destroy();
    if (!this.#drain) (side === this.#client ? this.#peer : this.#client).abort(); // else it still has its bytes to get
  }

  /** The first event names the end; what follows from it does not. */
  #note(cause: RelayCause): void {
    this.#cause ??= cause;
  }

  #finish(): void {
    this.#idle.stop();
    this.#drain?.stop();
    this.#up.stop();
    this.#down.stop();
    this.#listener?.(this.#cause ?? "client_closed");
  }
}

/** No byte and no end waits in JavaScript, on the way in or out. */
function isQuiet({ stream }: Inlet): boolean {
  const { readableLength, writableLength, readableEnded, writableEnded, destroyed } = stream;
  return readableLength === 0 && writableLength === 0 && !readableEnded && !writableEnded && !destroyed;
}

/** The inlet that a relay began with has given its stream away. */
function again({ stream, transport }: Inlet): Inlet {
  return new Inlet(stream, transport);
}
