import { TLSSocket } from "node:tls";
import type { Address } from "../codecs/address.ts";
import type { ClientHello } from "../codecs/client-hello.ts";
import { type EndCause, GatewayError, specs } from "../errors.ts";
import type { SessionCtx, SessionSsl } from "../upstream/session-facts.ts";
import type { Target } from "../upstream/upstream.ts";
import { accessLine } from "./access-log.ts";
import { type CarryOptions, carry } from "./carry.ts";
import { upgrade } from "./handshake.ts";
import type { Head, Incoming } from "./incoming.ts";
import type { Inlet } from "./inlet.ts";
import { Outlet } from "./outlet.ts";
import { Patience } from "./patience.ts";
import { Reader, type Received } from "./reader.ts";
import type { Relay } from "./relay.ts";
import type { Server } from "./server.ts";
import type {
  Awaitable,
  BalancerSession,
  ContentSession,
  LogSession,
  Phase,
  PrereadSession,
  SslSession,
  StartedTls,
} from "./session.ts";
import { sslOfHello } from "./session-ssl.ts";

/** One attempt to reach a peer, as the log shows it. */
export interface Attempt {
  readonly address: string;
  readonly connectMs: number | undefined;
}

type Views = SslSession & PrereadSession & BalancerSession & ContentSession & LogSession;

/** Phases in which a hook may talk with the client. */
const TALKING: ReadonlySet<Phase> = new Set<Phase>(["preread", "content"]);

/** Owns a session's client side, and is what every phase sees of it, each through its own view. */
export class Connection implements Views {
  readonly id: string;
  readonly settings: Server;
  readonly ctx: SessionCtx = {};
  readonly vars: Record<string, boolean | number | string | undefined> = {};
  remote: Address;
  local: Address;
  phase: Phase = "preread";
  protocol: string | undefined;
  info: unknown;
  ssl: SessionSsl | undefined;
  upstream: string | undefined;
  attempt = 0;
  lastFailure: string | undefined;
  attempts: Attempt[] = [];
  status = 200;
  endCause: EndCause = "client_closed";
  readonly #incoming: Incoming;
  readonly #began = performance.now();
  #hello: ClientHello | undefined;
  /** The client's bytes, once JavaScript owns them. */
  #inlet: Inlet | undefined;
  #reader: Reader | undefined;
  #outlet: Outlet | undefined;
  #patience: Patience | undefined;
  #relay: Relay | undefined;
  #abort: AbortController | undefined;
  #stopped: "killed" | "drained" | "shutdown" | undefined;
  /** Bytes read before the relay began, those of a PROXY header taken off. */
  #readBefore = 0;
  #written = 0;
  #headerBytes = 0;

  constructor(id: string, incoming: Incoming, settings: Server) {
    this.id = id;
    this.settings = settings;
    this.#incoming = incoming;
    this.remote = incoming.remote;
    this.local = incoming.local;
  }

  get server(): string {
    return this.settings.name;
  }

  /** The peer that was connected, or tried last. */
  get peer(): string | undefined {
    return this.attempts.at(-1)?.address;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#stopped) this.#abort.abort();
    return this.#abort.signal;
  }

  get hello(): ClientHello {
    if (!this.#hello) throw new TypeError("hello: only known where the client began TLS");
    return this.#hello;
  }

  set hello(hello: ClientHello) {
    this.#hello = hello;
    this.ssl = sslOfHello(hello);
  }

  get sessionTimeMs(): number {
    return performance.now() - this.#began;
  }

  get bytesReceived(): number {
    return this.#relay ? this.#readBefore + this.#relay.bytesUp : this.head.received - this.#headerBytes;
  }

  get bytesSent(): number {
    return this.#written + (this.#relay?.bytesDown ?? 0);
  }

  /** The client's unread first bytes, wherever they are. */
  get head(): Head {
    return this.#inlet ?? this.#incoming.head;
  }

  /** How long the client may still take to show its protocol. */
  get patience(): Patience {
    const { preread, routes } = this.settings;
    this.#patience ??= new Patience(preread.timeoutMs, routes.silent?.afterMs);
    return this.#patience;
  }

  /** What a PROXY header told: the client that the balancer in front of us saw. */
  cameThrough(header: {
    readonly size: number;
    readonly source?: Address | undefined;
    readonly destination?: Address | undefined;
  }): void {
    this.head.consume(header.size);
    this.#headerBytes = header.size;
    this.remote = header.source ?? this.remote;
    this.local = header.destination ?? this.local;
  }

  /** From here on JavaScript reads and writes the client's bytes. */
  takeOver(): Inlet {
    this.#inlet ??= this.#incoming.takeOver();
    return this.#inlet;
  }

  /** TLS is up: what follows is clear text, and its protocol is not known yet. */
  speakThrough(inlet: Inlet): void {
    this.#inlet = inlet;
    this.#headerBytes = 0;
    this.#reader?.stop();
    this.#reader = undefined; // it read the plain bytes
    this.#patience?.rearm();
  }

  get reader(): Reader {
    this.#talks("reader");
    this.#reader ??= new Reader(this.takeOver(), { peekBytes: this.settings.preread.maxBytes });
    return this.#reader;
  }

  peek(size: number, options?: { readonly orLess?: boolean; readonly timeoutMs?: number }): Promise<Received> {
    return this.reader.peek(size, options);
  }

  async write(bytes: string | Uint8Array): Promise<void> {
    this.#talks("write");
    this.#written += typeof bytes === "string" ? Buffer.byteLength(bytes) : bytes.length;
    this.#outlet ??= new Outlet(this.settings.idleTimeoutMs);
    await this.#outlet.write(this.takeOver().stream, bytes);
  }

  async startTls(): Promise<StartedTls> {
    this.#talks("startTls");
    const { ssl } = this.settings;
    if (!ssl) throw new TypeError("startTls: ssl not configured for this server");
    if (!this.ssl?.protocol) await upgrade(this, ssl);
    const { protocol = "", cipher = "" } = this.ssl ?? {};
    const { stream } = this.takeOver();
    return { protocol, cipher, sessionReused: stream instanceof TLSSocket && stream.isSessionReused() };
  }

  async shutdown(_how: "send"): Promise<void> {
    this.#talks("shutdown");
    const { stream } = this.takeOver();
    await new Promise<void>((resolve) => stream.end(resolve));
  }

  /** Sends what the client should still read, without waiting for it. */
  lastWords(bytes: Uint8Array): void {
    this.#written += bytes.length;
    this.takeOver().stream.write(bytes);
  }

  /** Runs user code as `phase`; what it throws ends the session with 500. */
  async hook<Result>(phase: Phase, run: () => Awaitable<Result>): Promise<Result> {
    this.phase = phase;
    try {
      return await run();
    } catch (cause) {
      if (this.#stopped || cause instanceof GatewayError) throw cause;
      throw new GatewayError("RC_HOOK_FAILED", `${phase}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
  }

  /** Connects to a peer, and hands the bytes over: below JavaScript where nothing here wants to see them. */
  async relayTo(target: Target, options: CarryOptions): Promise<Relay> {
    const unread = this.head.size;
    const relay = await (this.#inlet ? carry(this.#inlet, target, options) : this.#incoming.relayTo(target, options));
    this.#readBefore = this.head.received - this.#headerBytes - unread;
    this.#relay = relay;
    if (this.#stopped) relay.end(this.#stopped);
    return relay;
  }

  /** Ends the session from outside. */
  stop(cause: "killed" | "drained" | "shutdown"): void {
    this.#stopped ??= cause;
    this.#abort?.abort();
    if (this.#relay) this.#relay.end(cause);
    else this.takeOver().stream.destroy();
  }

  /** The one exit: status, log phase, access line, close. */
  async finalize(error: GatewayError | undefined): Promise<void> {
    this.#patience?.stop();
    this.#reader?.stop();
    this.#outlet?.stop();
    if (error) this.status = error.status;
    if (error) this.endCause = specs[error.code].endCause;
    if (this.#stopped) this.endCause = this.#stopped;
    this.#abort?.abort();
    if (this.endCause === "client_reset" || !this.#relay) this.#close();
    const told = this.#stopped ? undefined : error;
    const line = accessLine(this, told);
    await this.#log();
    this.settings.log.access(line);
  }

  #close(): void {
    if (this.endCause === "client_reset") this.takeOver().abort();
    else if (this.#written > 0 || this.endCause === "content_done") this.takeOver().close();
    else this.takeOver().stream.destroySoon();
  }

  async #log(): Promise<void> {
    const { log } = this.settings.phases;
    if (!log) return;
    this.phase = "log";
    try {
      await log(this);
    } catch (cause) {
      this.settings.log.error("log hook failed", { session: this.id, server: this.server, reason: String(cause) });
    }
  }

  #talks(what: string): void {
    if (!TALKING.has(this.phase)) throw new TypeError(`${what}: not available in the ${this.phase} phase`);
  }
}
