import { GatewayError } from "../errors.ts";
import type { PeerEndpoint } from "../upstream/peer-endpoint.ts";
import { type Buckets, nodeBuckets } from "./bucket.ts";
import { type CarryOptions, carry } from "./carry.ts";
import type { Head, Incoming } from "./incoming.ts";
import type { Inlet } from "./inlet.ts";
import { Outlet } from "./outlet.ts";
import { type ReadError, Reader } from "./reader.ts";
import type { Relay, RelayCause } from "./relay.ts";
import type { Server } from "./server.ts";

/** The client's side of a session: its unread bytes, what we write to it, and the relay once there is one. */
export class Client {
  readonly #incoming: Incoming;
  /** Of the server that the session is at. */
  limits: Pick<Server, "preread" | "idleTimeoutMs">;
  /** The client's bytes, once JavaScript owns them. */
  #inlet: Inlet | undefined;
  #reader: Reader | undefined;
  #outlet: Outlet | undefined;
  #relay: Relay | undefined;
  #headerBytes = 0;
  /** When reads have to end (`performance.now()`), while the preread limit holds. */
  readsWithin: { readonly endsAt: number } | undefined;
  /** What the last peek answered in the place of data. */
  failedPeek: ReadError | undefined;
  /** What reads answer when the client has ended. */
  endWord: "closed" | "client aborted" = "closed";
  #onLeft: ((how: "ended" | "reset") => void) | undefined;
  #readBeforeRelay = 0;
  #written = 0;
  #later: readonly Uint8Array[] | undefined;

  constructor(incoming: Incoming, limits: Pick<Server, "preread" | "idleTimeoutMs">) {
    this.#incoming = incoming;
    this.limits = limits;
  }

  /** The unread first bytes, wherever they are. */
  get head(): Head {
    return this.#inlet ?? this.#incoming.head;
  }

  /** From here on JavaScript reads and writes the client's bytes. */
  get inlet(): Inlet {
    this.#inlet ??= this.#incoming.takeOver();
    return this.#inlet;
  }

  get reader(): Reader {
    this.#reader ??= new Reader(this.head, {
      peekBytes: this.limits.preread.maxBytes,
      limit: () => this.readsWithin?.endsAt,
      endWord: () => this.endWord,
      onPeek: (err) => {
        this.failedPeek = err;
      },
    });
    return this.#reader;
  }

  /** Bytes from the client; of TLS that ended here, the clear text. */
  get received(): number {
    return this.#relay ? this.#readBeforeRelay + this.#relay.bytesUp : this.head.received - this.#headerBytes;
  }

  /** Bytes to the client. */
  get sent(): number {
    return this.#written + (this.#outlet?.sent ?? 0) + (this.#relay?.bytesDown ?? 0);
  }

  /** Takes a PROXY header off, which is not the client's own and does not count. */
  skip(headerBytes: number): void {
    this.head.consume(headerBytes);
    this.#headerBytes = headerBytes;
  }

  /** TLS is up: the clear text takes the place of the client's bytes. */
  speakThrough(inlet: Inlet): void {
    this.#written += this.#outlet?.sent ?? 0;
    this.#outlet?.stop();
    this.#outlet = undefined; // it wrote plain bytes
    this.#inlet = inlet;
    this.#headerBytes = 0;
    this.#reader = undefined; // it read the plain bytes
    if (this.#onLeft) inlet.watch(this.#onLeft);
  }

  /** Reports a client that leaves while a hook runs, until {@link unwatch}; TLS that starts meanwhile makes no difference. */
  watch(onLeft: (how: "ended" | "reset") => void): void {
    this.#onLeft = onLeft;
    this.head.watch(onLeft);
  }

  unwatch(): void {
    this.#onLeft = undefined;
    this.head.unwatch();
  }

  /** Resolves when the bytes are with the kernel. @throws GatewayError RC_CLIENT_RESET, RC_IDLE_TIMEOUT */
  write(bytes: string | Uint8Array): Promise<void> {
    return this.#open().write(typeof bytes === "string" ? Buffer.from(bytes) : bytes);
  }

  /** Half-closes: the client sees the end. */
  shutdown(): Promise<void> {
    return this.#open().shutdown();
  }

  /** Resolves when all that was written is with the kernel, and somebody else may write; rejects as {@link write} when it never will be. */
  flushed(): Promise<void> | undefined {
    return this.#outlet?.flushed();
  }

  #open(): Outlet {
    this.#outlet ??= new Outlet(this.inlet.stream, this.limits.idleTimeoutMs);
    return this.#outlet;
  }

  /** Something was written to it, or relayed: what is said now might land in the middle of that. */
  get isSpokenTo(): boolean {
    return this.#relay !== undefined || this.#outlet !== undefined || this.#written > 0;
  }

  /** Sends what the client should still read, without waiting for it. `later` follows when the client has said something again. */
  lastWords(bytes: Uint8Array, later?: readonly Uint8Array[]): void {
    this.#written += bytes.length;
    this.#later = later;
    this.inlet.stream.write(bytes);
  }

  /** Where a relay of its bytes takes from, if nobody puts filters or TLS in between. */
  get buckets(): Buckets {
    return this.#inlet ? nodeBuckets : this.#incoming.buckets;
  }

  /** Connects to a peer, and hands the bytes over: below JavaScript where nothing here wants to see them. */
  relayTo(peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
    if (this.#outlet) return this.#relayBehind(this.#outlet, peer, options);
    return this.#carry(peer, options);
  }

  async #relayBehind(outlet: Outlet, peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
    await outlet.flushed();
    if (outlet.isShut) throw new GatewayError("RC_HOOK_FAILED", "content: a session cannot go on after shutdown");
    return this.#carry(peer, options);
  }

  #carry(peer: PeerEndpoint, options: CarryOptions): Promise<Relay> {
    this.#readBeforeRelay = this.head.received - this.#headerBytes - this.head.size;
    const inlet = options.filters ? this.inlet : this.#inlet; // who has filters sees every byte
    return inlet ? carry(inlet, peer, options) : this.#incoming.relayTo(peer, options);
  }

  /** From now on the relay counts the bytes, and nobody here reads or writes any. */
  relayedBy(relay: Relay): void {
    this.#relay = relay;
    this.#reader = undefined;
    this.#written += this.#outlet?.sent ?? 0;
    this.#outlet?.stop();
    this.#outlet = undefined;
  }

  /** Breaks everything off, whoever has the bytes. */
  stop(cause: RelayCause): void {
    if (this.#relay) this.#relay.end(cause);
    else if (this.#inlet) this.#inlet.destroy();
    else this.#incoming.stop(cause);
  }

  /** Calls when the socket is closed, and its file descriptor free again. */
  whenClosed(listener: () => void): void {
    this.#incoming.whenClosed(listener);
  }

  /** Ends the connection as it deserves: a reset is answered by none, last words are given time to arrive. */
  close({ wasReset, isAnswered }: { readonly wasReset: boolean; readonly isAnswered: boolean }): void {
    this.#outlet?.stop();
    if (this.#relay) return; // it has closed both sides
    const deservesTime = isAnswered || this.isSpokenTo;
    if (!this.#inlet && (wasReset || !deservesTime)) this.#incoming.close(wasReset ? "reset" : "end");
    else if (wasReset) this.inlet.abort();
    else if (deservesTime) this.inlet.close(this.#later);
    else this.inlet.drop();
  }
}
