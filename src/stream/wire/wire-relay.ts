import { Alarm } from "../alarm.ts";
import { Drain } from "../drain.ts";
import { Inlet } from "../inlet.ts";
import { Recall } from "../recall.ts";
import type { Recalled, Relay, RelayCause } from "../relay.ts";
import { pacesOf, type RelayRates } from "../throttle.ts";
import { Lane, type LaneEvents } from "./lane.ts";
import type { Wire } from "./wire.ts";

export interface WireRelayOptions {
  /** Ends the relay when no byte moved in either direction for so long. */
  readonly idleTimeoutMs: number;
  /** Sent to the peer before anything else. */
  readonly preface: Uint8Array | undefined;
}

const NOTHING = new Uint8Array(0);

/** As `NodeRelay`, between two TCP sockets without a `net.Socket` around them: the same laws, at half the price. */
export class WireRelay implements Relay, LaneEvents {
  readonly #client: Lane;
  readonly #peer: Lane;
  readonly #idleTimeoutMs: number;
  readonly #idle: Alarm;
  readonly #unreadBytes: number;
  readonly #recall = new Recall();
  #cause: RelayCause | undefined;
  #drain: Drain | undefined;
  #open = 2; // wires not closed yet
  #movedAt = 0;
  #movedLast: Lane | undefined;
  #listener: ((cause: RelayCause) => void) | undefined;

  /** Takes the client's wire out of its inlet, together with the unread bytes. */
  constructor(client: Inlet, from: Wire, to: Wire, { idleTimeoutMs, preface }: WireRelayOptions) {
    const { ended, reset } = client;
    const unread = client.detach();
    this.#idleTimeoutMs = idleTimeoutMs;
    this.#idle = new Alarm(() => this.end("idle_timeout"));
    this.#unreadBytes = unread.length;
    this.#client = new Lane(from, to, this);
    this.#peer = new Lane(to, from, this);
    for (const lane of [this.#client, this.#peer]) lane.wire.whenClosed(() => this.#onClosed(lane));
    this.onMove(this.#client);
    if (reset) this.onBreak(from);
    else this.#start(preface ? Buffer.concat([preface, unread]) : unread, ended);
  }

  #start(first: Uint8Array, clientEnded: boolean): void {
    this.#client.start(first, clientEnded);
    this.#peer.start(NOTHING, false);
  }

  get bytesUp(): number {
    return this.#unreadBytes + this.#client.bytes;
  }

  get bytesDown(): number {
    return this.#peer.bytes;
  }

  end(cause: RelayCause): void {
    if (this.#recall.isDone) return;
    if (cause === "drained") this.#endGently();
    else this.#close(cause, "end");
  }

  limit(bytesPerSecond: RelayRates | undefined): void {
    const { up, down } = pacesOf(bytesPerSecond);
    if (this.#drain || this.#open === 0 || this.#recall.isDone) return;
    this.#client.limit(up);
    this.#peer.limit(down);
  }

  #endGently(): void {
    this.#cause ??= "drained";
    if (this.#drain || this.#open === 0) return;
    this.#idle.stop();
    this.#drain = new Drain(() => this.#endLate());
    for (const lane of [this.#client, this.#peer]) {
      if (lane.hasEnded) this.#drain.flushed();
      else lane.cut();
    }
    this.#closeIfDone();
  }

  /** Who did not get all that was meant for him must not believe in a clean end. */
  #endLate(): void {
    this.#client.wire.close(this.#peer.hasEnded ? "end" : "reset");
    this.#peer.wire.close(this.#client.hasEnded ? "end" : "reset");
  }

  /** A side that got all its bytes and has ended, or is gone, needs nothing more. */
  #closeIfDone(): void {
    const { wire: client } = this.#client;
    const { wire: peer } = this.#peer;
    const clientIsDone = !client.isOpen || (this.#client.isDry && this.#peer.hasEnded);
    const peerIsDone = !peer.isOpen || (this.#peer.isDry && this.#client.hasEnded);
    if (clientIsDone && peerIsDone) this.#close("drained", "end");
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
    if (this.#cause || this.#open < 2 || performance.now() - this.#movedAt < restMs) return false;
    return this.#client.isAtRest && this.#peer.isAtRest;
  }

  #giveBack(): Recalled {
    this.#idle.stop();
    const spokeLast = this.#movedLast === this.#client ? "client" : "peer";
    return { client: new Inlet(this.#client.leave()), peer: new Inlet(this.#peer.leave()), spokeLast };
  }

  onMove(from: Lane): void {
    this.#movedLast = from;
    if (this.#drain) return;
    this.#movedAt = performance.now();
    this.#idle.set(this.#movedAt + this.#idleTimeoutMs);
  }

  /** Once both sides have ended nothing is on its way any more, and closing says all. */
  onLaneEnd(lane: Lane): void {
    const other = lane === this.#client ? this.#peer : this.#client;
    this.#cause ??= lane === this.#client ? "client_closed" : "peer_closed";
    this.#drain?.flushed();
    if (this.#drain) other.wire.shutdown();
    else if (other.hasEnded) this.#close(this.#cause, "end");
    else other.wire.shutdown();
  }

  onLaneDry(): void {
    this.#closeIfDone();
  }

  onBreak(wire: Wire): void {
    const isClient = wire === this.#client.wire;
    wire.close();
    if (this.#drain)
      this.#closeIfDone(); // the other side still has its bytes to get
    else this.#close(isClient ? "client_reset" : "peer_reset", "reset");
  }

  /** The first event names the end; what follows from it does not. */
  #close(cause: RelayCause, how: "end" | "reset"): void {
    this.#cause ??= cause;
    this.#client.wire.close(how);
    this.#peer.wire.close(how);
  }

  #onClosed(lane: Lane): void {
    if (this.#recall.isDone) return; // it was the next owner who closed it
    lane.release();
    if (--this.#open > 0) return;
    this.#idle.stop();
    this.#drain?.stop();
    this.#listener?.(this.#cause ?? "client_closed");
  }
}
