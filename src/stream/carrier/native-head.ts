import { Socket } from "node:net";
import { acceptedSocket } from "../accepted-socket.ts";
import type { Head } from "../incoming.ts";
import { type Growth, Inlet } from "../inlet.ts";
import { Unread } from "../unread.ts";
import { type Engine, headFlags } from "./addon.ts";

/**
 * Bytes that the engine keeps for the peer while JavaScript looks at them. Whoever wants to see more is about to be the server
 * itself, and gets the socket. More than any sniffer asks for by default, nginx's preread_buffer_size.
 */
const MAX_HEAD_BYTES = 16_384;

/** The longest time that the engine waits in one go. */
const MAX_WAIT_MS = 2 ** 31 - 1;

/** A client's first bytes in the engine. When JavaScript takes the socket over, they go on in an inlet. */
export class NativeHead implements Head {
  readonly #engine: Engine;
  readonly #session: number;
  readonly #unread: Unread;
  #received: number;
  #consumed = 0;
  #state: "open" | "ended" | "reset";
  #want = 0;
  #until = Number.POSITIVE_INFINITY;
  #wake: ((growth: Growth) => void) | undefined;
  #watcher: ((how: "ended" | "reset") => void) | undefined;
  #inlet: Inlet | undefined;
  /** The engine connects with the bytes: a read that a hook left behind neither gets any nor takes them from under it. */
  isLent = false;

  constructor(engine: Engine, session: number, { bytes, flags }: { readonly bytes: Buffer; readonly flags: number }) {
    this.#engine = engine;
    this.#session = session;
    this.#unread = new Unread(bytes);
    this.#received = bytes.length;
    this.#state = stateOf(flags);
  }

  get bytes(): Buffer {
    return this.#inlet ? this.#inlet.bytes : this.#unread.bytes;
  }

  get size(): number {
    return this.#inlet ? this.#inlet.size : this.#unread.size;
  }

  get received(): number {
    return this.#inlet ? this.#inlet.received : this.#received;
  }

  get busy(): boolean {
    return this.#inlet ? this.#inlet.busy : this.#wake !== undefined;
  }

  /** Bytes that were consumed here: the peer does not get them. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Set once JavaScript has the socket. */
  get inlet(): Inlet | undefined {
    return this.#inlet;
  }

  grow(atLeast: number, until: number = Number.POSITIVE_INFINITY): Promise<Growth> {
    if (this.size >= atLeast) return Promise.resolve("enough");
    if (this.isLent) return Promise.resolve("reset");
    if (!this.#inlet && this.#state !== "open") return Promise.resolve(this.#state);
    if (this.#consumed + atLeast > MAX_HEAD_BYTES) this.takeOver();
    if (this.#inlet) return this.#inlet.grow(atLeast, until);
    const leftMs = Math.min(until - performance.now(), MAX_WAIT_MS);
    if (leftMs <= 0) return Promise.resolve("timeout");
    if (this.#wake) throw new TypeError("two waits for the same bytes");
    return new Promise((resolve) => {
      this.#want = atLeast;
      this.#until = until;
      this.#wake = resolve;
      if (!this.#engine.more(this.#session, this.#consumed + atLeast, leftMs)) this.broke();
    });
  }

  /** The engine has no way to give a wait up; a socket of Node's has. */
  giveUp(): void {
    if (this.busy) this.takeOver().giveUp();
  }

  consume(size: number): Buffer {
    if (this.#inlet) return this.#inlet.consume(size);
    const taken = this.#unread.consume(size);
    this.#consumed += taken.length;
    return taken;
  }

  watch(onLeft: (how: "ended" | "reset") => void): void {
    this.#watcher = onLeft;
    if (this.#inlet) this.#inlet.watch(onLeft);
    else if (this.#state === "reset") onLeft("reset");
  }

  unwatch(): void {
    this.#watcher = undefined;
    if (this.#inlet) this.#inlet.unwatch();
    else if (this.#wake) this.takeOver().unwatch(); // a read that a hook left behind must not stop a relay later
  }

  /** The engine's answer. */
  grew(bytes: Buffer, flags: number): void {
    this.#received += bytes.length;
    if (bytes.length > 0) this.#unread.append(bytes);
    this.#state = stateOf(flags);
    const state: Growth = this.#state === "open" ? "timeout" : this.#state;
    this.#settle(this.size >= this.#want ? "enough" : state);
    if (this.#state === "reset") this.#watcher?.("reset");
  }

  /** The client has reset while nobody waited, or there is no such session any more. */
  broke(): void {
    this.#state = "reset";
    this.#settle("reset");
    this.#watcher?.("reset");
  }

  /** From now on it is this inlet: of a relay that was recalled, and so with nothing unread. */
  become(inlet: Inlet): Inlet {
    this.#inlet = inlet;
    return inlet;
  }

  /** Makes a socket of Node's of it. Whoever waits or watches goes on there. */
  takeOver(): Inlet {
    if (this.#inlet) return this.#inlet;
    const taken = this.#engine.takeOver(this.#session);
    if (taken && taken.bytes.length > 0) {
      this.#unread.append(Buffer.from(taken.bytes));
      this.#received += taken.bytes.length;
    }
    const socket = taken ? acceptedSocket({ fd: taken.fd }) : new Socket().destroy();
    this.#inlet = new Inlet(socket, socket, this.#unread.bytes);
    this.#inlet.received = this.#received;
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake) void this.#inlet.grow(this.#want, this.#until).then(wake);
    if (this.#watcher) this.#inlet.watch(this.#watcher);
    return this.#inlet;
  }

  #settle(growth: Growth): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.(growth);
  }
}

function stateOf(flags: number): "open" | "ended" | "reset" {
  if (flags & headFlags.reset) return "reset";
  return flags & headFlags.ended ? "ended" : "open";
}
