import { setTimeout as sleep } from "node:timers/promises";
import type { Address } from "../../codecs/address.ts";
import type { Buckets } from "../bucket.ts";
import {
  type Addon,
  type Engine,
  type EngineKind,
  EVENT_FIELDS,
  eventField,
  eventKinds,
  MAX_SESSIONS,
  type NativeListen,
  type NativeListening,
  relayCauses,
} from "./addon.ts";
import { ip4Of } from "./ip4.ts";
import { nativeBuckets } from "./native-bucket.ts";
import { type Counts, NativeIncoming } from "./native-incoming.ts";

/** Events per batch, and room for their first bytes. */
const BATCH = 256;
const BATCH_BYTES = 262_144;

/** Whether clients of a closed port are silent still is looked at soon, then less and less often: a look passes over all sessions. */
const FIRST_LOOK_MS = 20;
const LAST_LOOK_MS = 1_000;

/** What the engine tells of a port. */
export interface PortEvents {
  /** Where it listens. */
  readonly address: string;
  /** The server that its clients go to. */
  readonly serverName: string;
  onIncoming(incoming: NativeIncoming): void;
  /** Since the last time: clients turned away for lack of room, and failed accepts with the last one's errno. */
  onTrouble(turnedAway: number, failures: number, errno: number): void;
}

/** A client that has said nothing yet, as the engine knows it. */
export interface SilentClient {
  /** The engine's number for it. */
  readonly session: number;
  readonly serverName: string;
  readonly remote: Address;
  readonly local: Address;
  /** By `performance.now()`. */
  readonly acceptedAt: number;
}

/** The native carrier of a process: its engine, and who is to hear of the engine's events. */
export class Carrier {
  readonly engine: Engine;
  readonly buckets: Buckets;
  readonly #events = new Float64Array(BATCH * EVENT_FIELDS);
  readonly #bytes = Buffer.allocUnsafeSlow(BATCH_BYTES);
  readonly #sessions: (NativeIncoming | undefined)[] = [];
  readonly #ports = new Map<number, PortEvents>();
  /** By the servers' names, so that a reload changes none of them. */
  readonly #groups = new Map<string, number>();
  /** Killed before they have said anything. */
  readonly #killed = new Set<number>();
  readonly #drained = new Set<number>();
  /** From the engine's clock to `performance.now()`. */
  readonly #clockOffset = clockOffset();
  #isStopped = false;

  constructor(addon: Addon, maxSessions: number, engine?: EngineKind) {
    const wake = (): void => this.#drain();
    this.engine = addon.start({ maxSessions, events: this.#events, bytes: this.#bytes, wake, engine });
    this.buckets = nativeBuckets(this.engine, this.#events);
  }

  /** Opens a port. @throws Error with the system's `code` */
  listen(options: NativeListen, events: PortEvents): NativeListening {
    const opened = this.engine.listen(options);
    this.#ports.set(opened.listener, events);
    return opened;
  }

  /** Accepts no more there. Clients that have said nothing yet are still served; resolves when there is none of them left. */
  async unlisten(listener: number): Promise<void> {
    this.engine.unlisten(listener);
    for (let pauseMs = 0; ; pauseMs = Math.min(2 * pauseMs + FIRST_LOOK_MS, LAST_LOOK_MS)) {
      await sleep(pauseMs, undefined, { ref: false });
      if (this.#isStopped) return;
      const isAwaited = this.engine.silent().some(([, theirs]) => theirs === listener);
      this.#drain(); // who was none of them any more may not have been heard of yet
      if (!isAwaited) break;
    }
    this.#ports.delete(listener);
  }

  /** The number under which all ports of a server count their sessions together. */
  groupOf(serverName: string): number {
    const group = this.#groups.get(serverName) ?? this.#groups.size + 1;
    this.#groups.set(serverName, group);
    return group;
  }

  /** Clients that have said nothing yet. The engine's thread is asked, and waited for. */
  silent(): SilentClient[] {
    return this.engine.silent().flatMap(([session, listener, acceptedMs, remote, remotePort, local, localPort]) => {
      const port = this.#ports.get(listener);
      if (!port) return [];
      return {
        session,
        serverName: port.serverName,
        remote: { host: remote, port: remotePort },
        local: { host: local === "unix:" ? port.address : local, port: localPort },
        acceptedAt: acceptedMs + this.#clockOffset,
      };
    });
  }

  /** Opens a client that has said nothing yet, and says of it that it was killed. False: it is none of those. */
  killSilent(session: number): boolean {
    const isSilent = this.engine.open(session);
    if (isSilent) this.#killed.add(session);
    return isSilent;
  }

  /** As {@link killSilent}, for a drain. */
  drainSilent(session: number): boolean {
    const isSilent = this.engine.open(session);
    if (isSilent) this.#drained.add(session);
    return isSilent;
  }

  /** Bytes that a relay has moved so far. */
  counters(session: number): Counts {
    const isKnown = this.engine.counters(session);
    return isKnown ? { up: this.#events[0] ?? 0, down: this.#events[1] ?? 0 } : { up: 0, down: 0 };
  }

  release(session: number): void {
    this.engine.release(session);
    this.#sessions[session % MAX_SESSIONS] = undefined;
  }

  /** For the end of the process: all sessions are over. */
  stop(): void {
    this.#isStopped = true;
    this.engine.stop();
  }

  #drain(): void {
    for (let count = this.engine.take(); count > 0; count = this.engine.take())
      for (let index = 0; index < count; index++) this.#deliver(index * EVENT_FIELDS);
  }

  /** A bug behind one event ends the process as any uncaught exception does, but takes no other session's events with it. */
  #deliver(at: number): void {
    try {
      this.#dispatch(at);
    } catch (cause) {
      queueMicrotask(() => {
        throw cause;
      });
    }
  }

  /** Reads all of an event before anybody hears of it: {@link counters} writes over the first one. */
  #dispatch(at: number): void {
    const kind = this.#number(at);
    const session = this.#number(at + eventField.session);
    const slot = this.#number(at + eventField.slot);
    const a = this.#number(at + eventField.a);
    const b = this.#number(at + eventField.b);
    const c = this.#number(at + eventField.c);
    const d = this.#number(at + eventField.d);
    if (kind === eventKinds.open) {
      const acceptedAt = this.#number(at + eventField.e) + this.#clockOffset;
      const incoming = new NativeIncoming(this, {
        session,
        flags: b,
        bytes: this.#copy(c, d),
        acceptedAt,
        wasKilled: this.#killed.size > 0 && this.#killed.delete(session),
        wasDrained: this.#drained.size > 0 && this.#drained.delete(session),
        remoteIp: ip4Of(this.#number(at + eventField.f)),
        remotePort: this.#number(at + eventField.g),
        localIp: ip4Of(this.#number(at + eventField.h)),
        localPort: this.#number(at + eventField.i),
      });
      this.#sessions[slot] = incoming;
      const port = this.#ports.get(a);
      if (port) port.onIncoming(incoming);
      else incoming.refuse();
    } else if (kind === eventKinds.trouble) this.#ports.get(session)?.onTrouble(a, b, c);
    else if (kind === eventKinds.head) this.#sessions[slot]?.grew(this.#copy(c, d), b);
    else if (kind === eventKinds.broke) this.#sessions[slot]?.broke();
    else if (kind === eventKinds.connected) this.#sessions[slot]?.connected();
    else if (kind === eventKinds.failed) this.#sessions[slot]?.failed(a);
    else if (kind === eventKinds.recalled)
      this.#sessions[slot]?.recalled(a === 1, { up: b, down: c }, d === 1 ? "peer" : "client");
    else this.#sessions[slot]?.ended(relayCauses[a] ?? "client_closed", b, c);
  }

  #number(at: number): number {
    return this.#events[at] ?? 0;
  }

  /** The shared bytes are the next batch's. */
  #copy(offset: number, length: number): Buffer {
    const copy = Buffer.allocUnsafe(length);
    this.#bytes.copy(copy, 0, offset, offset + length);
    return copy;
  }
}

/** Two clocks cannot be read at once, and the process may be put aside in between: of several readings the closest counts. */
function clockOffset(): number {
  let closest = Number.POSITIVE_INFINITY;
  let offset = 0;
  for (let reading = 0; reading < 10; reading++) {
    const before = performance.now();
    const monotonic = Number(process.hrtime.bigint()) / 1e6;
    const took = performance.now() - before;
    if (took < closest) [closest, offset] = [took, before + took / 2 - monotonic];
  }
  return offset;
}
