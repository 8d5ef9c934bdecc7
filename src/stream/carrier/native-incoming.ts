import { getSystemErrorName } from "node:util";
import { type Address, type Endpoint, formatEndpoint } from "../../codecs/address.ts";
import { GatewayError, messageOf } from "../../errors.ts";
import { connectFailure } from "../../upstream/connect-failure.ts";
import type { PeerEndpoint } from "../../upstream/peer-endpoint.ts";
import { acceptedSocket } from "../accepted-socket.ts";
import { type Buckets, nodeBuckets } from "../bucket.ts";
import { type CarryOptions, carry } from "../carry.ts";
import type { Head, Incoming } from "../incoming.ts";
import { Inlet } from "../inlet.ts";
import type { Recalled, Relay, RelayCause } from "../relay.ts";
import { type RelayRates, ratesOf } from "../throttle.ts";
import { relayCauses } from "./addon.ts";
import type { Carrier } from "./carrier.ts";
import { ip4Text, NO_IP4 } from "./ip4.ts";
import { NativeBucket } from "./native-bucket.ts";
import { NativeHead } from "./native-head.ts";

/** What an `open` event told. */
export interface Opened {
  readonly session: number;
  readonly bytes: Buffer;
  readonly flags: number;
  readonly acceptedAt: number;
  readonly wasKilled: boolean;
  readonly wasDrained: boolean;
  /** See `NO_IP4`. */
  readonly remoteIp: number;
  readonly remotePort: number;
  readonly localIp: number;
  readonly localPort: number;
}

/** Bytes from the client, and to it. */
export interface Counts {
  readonly up: number;
  readonly down: number;
}

/** Who waits for a peer to accept. */
interface Connecting {
  readonly endpoint: Endpoint;
  readonly resolve: (relay: Relay) => void;
  readonly reject: (failure: GatewayError) => void;
}

/** Who has the socket, as long as Node has made none of it: that is for good, and shows in the head. */
type Owner = "javascript" | "engine" | "closed";

/** A client accepted by the native carrier, and its relay: nothing else of a session stays in JavaScript while bytes move. */
export class NativeIncoming implements Incoming, Relay {
  readonly acceptedAt: number;
  readonly wasKilled: boolean;
  readonly wasDrained: boolean;
  readonly #carrier: Carrier;
  readonly #session: number;
  #head: NativeHead | undefined;
  #owner: Owner = "javascript";
  readonly #remoteIp: number;
  readonly #remotePort: number;
  readonly #localIp: number;
  readonly #localPort: number;
  #connecting: Connecting | undefined;
  #end: RelayCause | undefined;
  /** The engine's, once it counts no more. */
  #counts: Counts | undefined;
  #recalling: ((recalled: Recalled | undefined) => void) | undefined;
  #onEnd: ((cause: RelayCause) => void) | undefined;
  #onClosed: (() => void) | undefined;

  constructor(carrier: Carrier, opened: Opened) {
    const { session } = opened;
    this.#carrier = carrier;
    this.#session = session;
    this.acceptedAt = opened.acceptedAt;
    this.wasKilled = opened.wasKilled;
    this.wasDrained = opened.wasDrained;
    this.#remoteIp = opened.remoteIp;
    this.#remotePort = opened.remotePort;
    this.#localIp = opened.localIp;
    this.#localPort = opened.localPort;
    this.#head = new NativeHead(carrier.engine, session, opened);
  }

  get remote(): Address {
    if (this.#remoteIp !== NO_IP4) return { host: ip4Text(this.#remoteIp), port: this.#remotePort };
    const [host = "", port = 0] = this.#carrier.engine.addresses(this.#session) ?? [];
    return { host, port };
  }

  get local(): Address {
    if (this.#localIp !== NO_IP4) return { host: ip4Text(this.#localIp), port: this.#localPort };
    const [, , host = "", port = 0] = this.#carrier.engine.addresses(this.#session) ?? [];
    return { host, port };
  }

  get head(): Head {
    return this.#ownHead();
  }

  get bytesUp(): number {
    return (this.#counts ?? this.#carrier.counters(this.#session)).up;
  }

  get bytesDown(): number {
    return (this.#counts ?? this.#carrier.counters(this.#session)).down;
  }

  get buckets(): Buckets {
    return this.#head?.inlet ? nodeBuckets : this.#carrier.buckets;
  }

  get carrier(): "native" | "node" {
    return this.#head?.inlet ? "node" : "native";
  }

  takeOver(): Inlet {
    return this.#ownHead().takeOver();
  }

  relayTo(peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
    const head = this.#ownHead();
    // The engine does not wait for bytes and connect at once: a wait that was left behind is given up over there.
    if (peer.ssl || head.inlet || head.busy) return carry(this.takeOver(), peer, options);
    return new Promise((resolve, reject) => {
      this.#connecting = { endpoint: peer.endpoint, resolve, reject };
      this.#owner = "engine";
      head.isLent = true;
      if (options.rates) this.limit(options.rates);
      try {
        if (!this.#begin(peer, options, head.consumed)) this.#gone();
      } catch (cause) {
        // An address that no socket can have, as one with a zone that is not here: the session is still ours, and must end.
        this.#giveBack((where) => connectFailure(where, messageOf(cause), cause));
      }
    });
  }

  end(cause: RelayCause): void {
    if (cause === "drained") this.#carrier.engine.drain(this.#session);
    else this.#kill(cause);
  }

  limit(bytesPerSecond: RelayRates | undefined): void {
    const { up, down } = ratesOf(bytesPerSecond);
    const { engine } = this.#carrier;
    for (const bucket of bytesPerSecond?.buckets ?? []) {
      if (bucket instanceof NativeBucket) engine.share(this.#session, bucket.number);
    }
    engine.limit(this.#session, up, down);
  }

  onEnd(listener: (cause: RelayCause) => void): void {
    this.#onEnd = listener;
    if (this.#end) listener(this.#end);
  }

  recall(restMs: number): Promise<Recalled | undefined> {
    if (this.#recalling || !this.#carrier.engine.recall(this.#session, restMs)) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#recalling = resolve;
    });
  }

  stop(cause: RelayCause): void {
    if (this.#head?.inlet) this.#head.inlet.destroy();
    else if (this.#owner === "engine" || this.#head?.busy) this.#kill(cause);
    else this.close("end");
  }

  close(how: "end" | "reset"): void {
    const inlet = this.#head?.busy ? this.takeOver() : this.#head?.inlet;
    if (inlet && how === "reset") inlet.abort();
    else if (inlet) inlet.drop();
    else if (this.#owner === "javascript" && this.#carrier.engine.close(this.#session, how === "reset"))
      this.#owner = "closed";
  }

  whenClosed(listener: () => void): void {
    this.#onClosed = listener;
    const inlet = this.#head?.inlet;
    if (inlet) inlet.whenClosed(() => this.#release());
    else if (this.#owner !== "engine") this.#release();
  }

  /** Turns the client away. */
  refuse(): void {
    this.close("end");
    this.whenClosed(() => {});
  }

  /** The engine's answer to a wait for bytes. */
  grew(bytes: Buffer, flags: number): void {
    this.#head?.grew(bytes, flags);
  }

  /** The client has reset while JavaScript was busy with it. */
  broke(): void {
    if (!this.#head?.inlet) this.#head?.broke();
  }

  connected(): void {
    this.#head = undefined;
    this.#connecting?.resolve(this);
    this.#connecting = undefined;
  }

  /** The peer did not accept. `errno` 0: not in time. */
  failed(errno: number): void {
    this.#giveBack((where) =>
      errno === 0
        ? new GatewayError("RC_PEER_CONNECT_TIMEOUT", where)
        : connectFailure(where, getSystemErrorName(-errno)),
    );
  }

  /** The engine's answer to a recall. Whoever has ended the relay since then has taken it back: then nothing is handed over. */
  recalled(isAtRest: boolean, counts: Counts, spokeLast: Recalled["spokeLast"]): void {
    const taken = isAtRest ? this.#carrier.engine.takeOver(this.#session) : undefined;
    const recalling = this.#recalling;
    this.#recalling = undefined;
    if (taken?.peer === undefined) {
      recalling?.(undefined);
      return;
    }
    this.#owner = "javascript";
    this.#counts = counts;
    const client = this.#ownHead().become(inletOf(taken.fd));
    if (this.#onClosed) client.whenClosed(() => this.#release());
    recalling?.({ client, peer: inletOf(taken.peer), spokeLast });
  }

  /** Both sockets are closed. */
  ended(cause: RelayCause, bytesUp: number, bytesDown: number): void {
    this.#owner = "closed";
    this.#end = cause;
    this.#counts = { up: bytesUp, down: bytesDown };
    this.#recalling?.(undefined);
    this.#recalling = undefined;
    const code = cause === "client_reset" ? "RC_CLIENT_RESET" : "RC_SHUTDOWN";
    this.#connecting?.reject(new GatewayError(code, "while connecting to the peer"));
    this.#connecting = undefined;
    this.#onEnd?.(cause);
    if (this.#onClosed) this.#release();
  }

  #begin({ endpoint, connectTimeoutMs, localAddress }: PeerEndpoint, options: CarryOptions, skip: number): boolean {
    const isTcp = endpoint.kind === "tcp";
    return this.#carrier.engine.relay(
      this.#session,
      isTcp ? endpoint.host : endpoint.path,
      isTcp ? endpoint.port : -1,
      connectTimeoutMs,
      options.idleTimeoutMs,
      skip,
      localAddress,
      options.preface,
    );
  }

  #kill(cause: RelayCause): void {
    this.#carrier.engine.kill(this.#session, relayCauses.indexOf(cause));
  }

  /** JavaScript owns the session again, with all its bytes. */
  #giveBack(failure: (where: string) => GatewayError): void {
    this.#owner = "javascript";
    this.#ownHead().isLent = false;
    const connecting = this.#connecting;
    this.#connecting = undefined;
    connecting?.reject(failure(formatEndpoint(connecting.endpoint)));
  }

  /** There is no such session any more: it can only have ended under our hands. */
  #gone(): void {
    this.ended("client_reset", 0, 0);
  }

  #ownHead(): NativeHead {
    this.#head ??= new NativeHead(this.#carrier.engine, this.#session, { bytes: Buffer.alloc(0), flags: 0 });
    return this.#head;
  }

  #release(): void {
    const onClosed = this.#onClosed;
    this.#onClosed = undefined;
    this.#carrier.release(this.#session);
    onClosed?.();
  }
}

function inletOf(fd: number): Inlet {
  const socket = acceptedSocket({ fd });
  return new Inlet(socket, socket);
}
