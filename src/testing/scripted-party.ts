import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { messageOf } from "../errors.ts";
import type { MemorySocket } from "./memory-socket.ts";
import type { Party, Script } from "./party.ts";
import { type PartyTls, type SecuredParty, securedBy, tlsWords } from "./party-tls.ts";
import type { RunError } from "./run-error.ts";
import { type Happening, shown } from "./transcript.ts";

/** Who a party is. */
export interface PartyFacts {
  /** `client`, or the address of the peer. */
  readonly name: string;
  readonly role: "client" | "peer";
  /** Of a peer that a session was sent to. */
  readonly upstream?: string | undefined;
}

/** What a party needs of its run. */
export interface PartyHost {
  note(happening: Happening): void;
  error(reason: string): RunError;
}

const EMPTY = Buffer.alloc(0);

/** A party as its run sees it: with a script to play. */
export class ScriptedParty implements Party {
  readonly name: string;
  readonly #host: PartyHost;
  readonly #role: PartyFacts["role"];
  readonly #upstream: string | undefined;
  readonly #socket: MemorySocket;
  #stream: Socket;
  #received: Buffer[] = [];
  #unread: Buffer = EMPTY;
  #state: "open" | "ended" | "reset" = "open";
  #hasPlayed = false;
  #waitsFor: string | undefined;
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  constructor({ name, role, upstream }: PartyFacts, socket: MemorySocket, host: PartyHost) {
    this.name = name;
    this.#role = role;
    this.#upstream = upstream;
    this.#socket = socket;
    this.#stream = socket;
    this.#host = host;
    this.#listen(socket);
  }

  get received(): Buffer {
    this.#received = [Buffer.concat(this.#received)];
    return this.#received[0] ?? EMPTY;
  }

  /** What its script waits for at this moment. */
  get waitsFor(): string | undefined {
    return this.#waitsFor;
  }

  send(bytes: string | Uint8Array): Promise<void> {
    const copy = Buffer.from(bytes);
    this.#host.note({ kind: "bytes", from: this.name, to: "gateway", bytes: copy });
    return new Promise((resolve) => {
      this.#stream.write(copy, () => resolve());
    });
  }

  receive(): Promise<Buffer>;
  receive(wanted: number | string | Uint8Array): Promise<Buffer>;
  async receive(wanted?: number | string | Uint8Array): Promise<Buffer> {
    if (wanted === undefined) {
      await this.#until(() => this.#unread.length > 0, "bytes");
      return this.#take(this.#unread.length);
    }
    if (typeof wanted === "number") return this.#exactly(wanted, `${wanted} bytes`);
    const bytes = Buffer.from(wanted);
    const text = shown(bytes);
    const differs = (): boolean => {
      const size = Math.min(bytes.length, this.#unread.length);
      return !bytes.subarray(0, size).equals(this.#unread.subarray(0, size));
    };
    await this.#until(() => this.#unread.length >= bytes.length || differs(), text);
    if (differs()) throw this.#host.error(`${this.name} expected ${text}, and got ${shown(this.#unread)}`);
    return this.#exactly(bytes.length, text);
  }

  async receiveUntil(delimiter: string | Uint8Array): Promise<Buffer> {
    const bytes = Buffer.from(delimiter);
    const text = `all up to ${shown(bytes)}`;
    const end = (): number => this.#unread.indexOf(bytes);
    await this.#until(() => end() !== -1, text);
    return this.#exactly(end() === -1 ? this.#unread.length + 1 : end() + bytes.length, text);
  }

  async receiveAll(): Promise<Buffer> {
    await this.#until(() => false, "the end");
    if (this.#state === "reset") throw this.#host.error(`${this.name} waited for the end, and was reset`);
    return this.#take(this.#unread.length);
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
  }

  async end(bytes?: string | Uint8Array): Promise<void> {
    if (bytes !== undefined) await this.send(bytes);
    if (this.#stream.writableEnded || this.#stream.destroyed) return;
    this.#host.note({ kind: "end", from: this.name, to: "gateway" });
    this.#stream.end();
  }

  reset(): void {
    if (this.#socket.destroyed) return;
    this.#host.note({ kind: "reset", from: this.name, to: "gateway" });
    this.#settle("reset");
    this.#socket.resetAndDestroy();
  }

  async startTls(options: PartyTls = {}): Promise<SecuredParty> {
    const { name } = this;
    this.#unlisten();
    if (this.#unread.length > 0) this.#socket.unshift(this.#take(this.#unread.length));
    this.#waitsFor = "the end of its TLS handshake";
    try {
      const { stream, secured } = await securedBy(this.#socket, this.#role, options, (stream) => this.#listen(stream));
      this.#host.note({ kind: "tls", with: name, outcome: secured.protocol });
      this.#stream = stream;
      return secured;
    } catch (cause) {
      const reason = messageOf(cause);
      this.#host.note({ kind: "tls", with: name, outcome: reason });
      this.#settle("reset");
      throw this.#failure ?? this.#host.error(`${name}: no TLS: ${reason}`);
    } finally {
      this.#waitsFor = undefined;
    }
  }

  /** By its address, or by the name of its upstream. */
  isCalled(name: string): boolean {
    return name === this.name || name === this.#upstream;
  }

  /** Runs its script. */
  async play(script: Script): Promise<void> {
    for (const step of [script].flat()) await step(this);
    this.#hasPlayed = true;
    if (this.#state === "ended") await this.end();
  }

  /** Nothing that its script waits for will come. */
  fail(cause: Error): void {
    this.#failure ??= cause;
    this.#wake?.();
    if (this.#waitsFor !== undefined) this.#socket.destroy();
  }

  /** The run is over. */
  leave(): void {
    if (this.#state === "open") this.#settle("ended");
    this.#socket.destroy();
    this.#stream.destroy();
  }

  async #exactly(size: number, text: string): Promise<Buffer> {
    await this.#until(() => this.#unread.length >= size, text);
    if (this.#unread.length >= size) return this.#take(size);
    const rest = `after ${shown(this.#unread)}`;
    throw this.#host.error(
      `${this.name} waited for ${text}, and the gateway ${this.#state === "reset" ? "has reset" : "has ended"} ${rest}`,
    );
  }

  #take(size: number): Buffer {
    const taken = this.#unread.subarray(0, size);
    this.#unread = this.#unread.subarray(size);
    return taken;
  }

  /** Waits until that holds, or no byte will come any more. */
  async #until(holds: () => boolean, what: string): Promise<void> {
    if (this.#waitsFor !== undefined)
      throw this.#host.error(`${this.name} waits for ${this.#waitsFor} and for ${what} at once`);
    this.#waitsFor = what;
    try {
      while (!holds() && this.#state === "open" && !this.#failure) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      if (this.#failure) throw this.#failure;
    } finally {
      this.#waitsFor = undefined;
      this.#wake = undefined;
    }
  }

  #listen(stream: Socket | TLSSocket): void {
    this.#stream = stream;
    stream.on("data", this.#onData).on("end", this.#onEnd).on("error", this.#onError).on("close", this.#onEnd);
  }

  #unlisten(): void {
    this.#socket.pause();
    this.#socket
      .off("data", this.#onData)
      .off("end", this.#onEnd)
      .off("error", this.#onError)
      .off("close", this.#onEnd);
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#host.note({ kind: "bytes", from: "gateway", to: this.name, bytes: chunk });
    this.#received.push(chunk);
    this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
    this.#wake?.();
  };

  readonly #onEnd = (): void => {
    if (this.#state !== "open") return;
    this.#host.note({ kind: "end", from: "gateway", to: this.name });
    this.#settle("ended");
    if (this.#hasPlayed) void this.end();
  };

  readonly #onError = (cause: Error): void => {
    if (this.#state !== "open") return;
    const isReset = "code" in cause && cause.code === "ECONNRESET";
    if (isReset) this.#host.note({ kind: "reset", from: "gateway", to: this.name });
    else this.#host.note({ kind: "tls", with: this.name, outcome: tlsWords(cause) });
    this.#settle("reset");
  };

  #settle(state: "ended" | "reset"): void {
    this.#state = state;
    this.#wake?.();
  }
}
