import { TLSSocket } from "node:tls";
import type { Address } from "../codecs/address.ts";
import type { ClientHello } from "../codecs/tls/client-hello.ts";
import { type EndCause, GatewayError, messageOf, specs } from "../errors.ts";
import type { Attempt, Lease } from "../upstream/lease.ts";
import type { SessionCtx, SessionSsl } from "../upstream/session-facts.ts";
import { accessLine } from "./access-log.ts";
import { Client } from "./client.ts";
import { Deadline } from "./deadline.ts";
import { upgrade } from "./handshake.ts";
import type { Incoming } from "./incoming.ts";
import { Patience } from "./patience.ts";
import type { Reader, Received } from "./reader.ts";
import type { Relay } from "./relay.ts";
import type { Server } from "./server.ts";
import type {
  Awaitable,
  BalancerSession,
  ContentSession,
  LogSession,
  Phase,
  PrereadSession,
  ServerPhases,
  SslSession,
  StartedTls,
} from "./session.ts";
import { sslOfHello } from "./session-ssl.ts";

type Views = SslSession & PrereadSession & BalancerSession & ContentSession & LogSession;

/** A log hook that waits for a dead service must not hold its session, and the session's place, for ever. */
const LOG_LIMIT_MS = 5_000;

/** Reason of every ended session's signal. One for all: Node would make a new exception, with its stack, each time. */
const ENDED = new GatewayError("RC_SHUTDOWN", "the session has ended");

const NONE: readonly Attempt[] = [];

/** Session ids: when the process began, then a count. */
const BEGAN = Date.now().toString(36);

/** Phases in which a hook may talk with the client. */
const TALKING: ReadonlySet<Phase> = new Set<Phase>(["preread", "content"]);

type Vars = Record<string, boolean | number | string | undefined>;

/** One session: its facts, and what each phase may see and do, through its own view. */
export class Connection implements Views {
  readonly settings: Server;
  phase: Phase = "preread";
  protocol: string | undefined;
  info: unknown;
  ssl: SessionSsl | undefined;
  upstream: string | undefined;
  attempt = 0;
  lastFailure: string | undefined;
  status = 200;
  endCause: EndCause = "client_closed";
  /** The client's socket and bytes. */
  readonly client: Client;
  readonly #number: number;
  readonly #incoming: Incoming;
  readonly #onOver: (session: Connection) => void;
  #attempts: Attempt[] | undefined;
  #ctx: SessionCtx | undefined;
  #vars: Vars | undefined;
  #remote: Address | undefined;
  #local: Address | undefined;
  #endedMs: number | undefined;
  #hello: ClientHello | undefined;
  /** The peer, once the bytes are relayed. */
  #lease: Lease<Relay> | undefined;
  #patience: Patience | undefined;
  #abort: AbortController | undefined;
  #stopped: "killed" | "drained" | "shutdown" | undefined;
  #starting: Promise<StartedTls> | undefined;
  /** A hook has seen the session, and may look at it when it is over. */
  #wasShown = false;
  #hooks: Set<(cause: GatewayError) => void> | undefined;

  /** `onOver`: told once, when nothing is left of the session, its socket included. */
  constructor(number: number, incoming: Incoming, settings: Server, onOver: (session: Connection) => void) {
    this.#number = number;
    this.settings = settings;
    this.#incoming = incoming;
    this.#onOver = onOver;
    this.client = new Client(incoming, settings);
  }

  /** When, by `performance.now()`: limits of the first phase count from here, since a carrier may have waited for the first byte. */
  get acceptedAt(): number {
    return this.#incoming.acceptedAt;
  }

  get id(): string {
    return `${BEGAN}-${this.#number}`;
  }

  get remote(): Address {
    return this.#remote ?? this.#incoming.remote;
  }

  get local(): Address {
    return this.#local ?? this.#incoming.local;
  }

  get ctx(): SessionCtx {
    this.#ctx ??= {};
    return this.#ctx;
  }

  get vars(): Vars {
    this.#vars ??= {};
    return this.#vars;
  }

  get server(): string {
    return this.settings.name;
  }

  get attempts(): readonly Attempt[] {
    return this.#attempts ?? NONE;
  }

  tried(attempt: Attempt): void {
    if (this.#attempts) this.#attempts.push(attempt);
    else this.#attempts = [attempt]; // exactly one place: nearly no session needs a second
  }

  /** The peer that was connected, or tried last. */
  get peer(): string | undefined {
    return this.attempts.at(-1)?.address;
  }

  /** Who has the client's socket at this moment. */
  get carrier(): "native" | "node" {
    return this.#incoming.carrier;
  }

  /** Nobody wants anything for it any more. */
  get isOver(): boolean {
    return this.#stopped !== undefined || this.#endedMs !== undefined;
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.isOver) this.#abort.abort(ENDED);
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
    return this.#endedMs ?? performance.now() - this.#incoming.acceptedAt;
  }

  get bytesReceived(): number {
    return this.client.received;
  }

  get bytesSent(): number {
    return this.client.sent;
  }

  /** How long the client may still take to show its protocol. */
  get patience(): Patience {
    const { preread, routes } = this.settings;
    this.#patience ??= new Patience(preread.timeoutMs, routes.silent?.afterMs, this.#incoming.acceptedAt);
    return this.#patience;
  }

  /** What a PROXY header told: the client that the balancer in front of us saw. */
  cameThrough(header: { readonly source: Address | undefined; readonly destination: Address | undefined }): void {
    this.#remote = header.source;
    this.#local = header.destination;
  }

  get reader(): Reader {
    this.#talks("reader");
    return this.client.reader;
  }

  peek(size: number, options?: { readonly orLess?: boolean; readonly timeoutMs?: number }): Promise<Received> {
    return this.reader.peek(size, options);
  }

  write(bytes: string | Uint8Array): Promise<void> {
    return unforced(async () => {
      this.#talks("write");
      await this.client.write(bytes);
    });
  }

  startTls(): Promise<StartedTls> {
    return unforced(async () => {
      this.#talks("startTls");
      this.#starting ??= this.#startTls().finally(() => {
        this.#starting = undefined;
      });
      return this.#starting;
    });
  }

  async #startTls(): Promise<StartedTls> {
    const { ssl } = this.settings;
    if (!ssl) throw new TypeError("startTls: ssl not configured for this server");
    if (!this.ssl?.protocol) await upgrade(this, ssl);
    const { protocol = "", cipher = "" } = this.ssl ?? {};
    const { stream } = this.client.inlet;
    return { protocol, cipher, sessionReused: stream instanceof TLSSocket && stream.isSessionReused() };
  }

  shutdown(_how: "send"): Promise<void> {
    return unforced(async () => {
      this.#talks("shutdown");
      await this.client.shutdown();
    });
  }

  /**
   * Runs user code as `phase`; what it throws ends the session with 500. A client that resets meanwhile, and a stop of the
   * session, are not held up by it.
   */
  async hook<Result>(phase: Phase, run: () => Awaitable<Result>): Promise<Result> {
    this.phase = phase;
    this.#wasShown = true;
    try {
      const result = run();
      return isPending(result) ? await this.#interruptible(Promise.resolve(result)) : result;
    } catch (cause) {
      if (this.#stopped || cause instanceof GatewayError) throw cause;
      throw new GatewayError("RC_HOOK_FAILED", `${phase}: ${messageOf(cause)}`, { cause });
    }
  }

  #interruptible<Result>(running: Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#hooks ??= new Set();
      this.#hooks.add(reject);
      this.client.watch(() => this.#interrupt(new GatewayError("RC_CLIENT_RESET", "while a hook ran")));
      const finish = (settle: () => void): void => {
        this.#hooks?.delete(reject);
        if (this.#hooks?.size === 0) this.#watchNoMore();
        settle();
      };
      running.then(
        (result) => finish(() => resolve(result)),
        (cause) => finish(() => reject(cause)),
      );
    });
  }

  #watchNoMore(): void {
    this.#hooks = undefined;
    this.client.unwatch();
  }

  /** Gives up on the hooks that run. There are two at once where a certificate is chosen inside a STARTTLS dialog. */
  #interrupt(cause: GatewayError): void {
    this.#abort?.abort(cause);
    for (const giveUp of this.#hooks ?? []) giveUp(cause);
  }

  /** Ends the session from outside. */
  stop(cause: "killed" | "drained" | "shutdown"): void {
    this.#stopped ??= cause;
    this.#interrupt(ENDED);
    this.client.stop(cause);
  }

  /** The bytes are on their way: the relay's end is now the session's. */
  relayedBy(lease: Lease<Relay>): void {
    this.#lease = lease;
    this.client.relayedBy(lease.value);
    this.#patience = undefined;
    lease.value.onEnd((cause) => {
      lease.release();
      this.endCause = cause;
      this.finalize(undefined);
    });
  }

  get isRelayed(): boolean {
    return this.#lease !== undefined;
  }

  /** The one exit: status, close, access line, log phase. What a handler wrote last, it need not have waited for. */
  finalize(error: GatewayError | undefined): void {
    const flushed = error ? undefined : this.client.flushed();
    if (!flushed) this.#finalize(error);
    else
      flushed.then(
        () => this.#finalize(undefined),
        (cause) => this.#finalize(GatewayError.from(cause)),
      );
  }

  #finalize(error: GatewayError | undefined): void {
    const { log } = this.settings.phases;
    if (this.#wasShown || log) this.#remember();
    try {
      this.#settle(error);
    } catch (cause) {
      this.settings.log.error("session failed", { session: this.id, err: cause }); // a bug of ours; other sessions go on
      this.client.stop("killed");
    }
    if (log) void this.#log(log).then(() => this.#leave());
    else this.#leave();
  }

  /** Addresses are asked of the carrier while it knows them. */
  #remember(): void {
    this.#remote = this.remote;
    this.#local = this.local;
  }

  #leave(): void {
    this.client.whenClosed(() => this.#onOver(this));
  }

  #settle(error: GatewayError | undefined): void {
    if (this.#stopped)
      this.endCause = this.#stopped; // what failed because of that is no failure
    else if (error) [this.status, this.endCause] = [error.status, specs[error.code].endCause];
    this.#abort?.abort(ENDED);
    this.client.close({ wasReset: this.endCause === "client_reset", isAnswered: this.endCause === "content_done" });
    this.#endedMs = this.sessionTimeMs;
    this.settings.log.access(() => accessLine(this, this.#stopped ? undefined : error));
  }

  async #log(log: NonNullable<ServerPhases["log"]>): Promise<void> {
    this.phase = "log";
    try {
      using limit = new Deadline(LOG_LIMIT_MS);
      await limit.limit(Promise.resolve(log(this)), () => new Error(`not finished within ${LOG_LIMIT_MS} ms`));
    } catch (cause) {
      this.settings.log.error("log hook failed", { session: this.id, server: this.server, err: cause });
    }
  }

  #talks(what: string): void {
    if (!TALKING.has(this.phase)) throw new TypeError(`${what}: not available in the ${this.phase} phase`);
  }
}

/** What nearly no hook needs to be: anything that can be waited for, of whatever make. */
function isPending<Result>(result: Awaitable<Result>): result is Promise<Result> {
  return typeof result === "object" && result !== null && "then" in result && typeof result.then === "function";
}

/** A promise that nobody has to wait for: without this, a forgotten `await` would let a client's reset end the process. */
function unforced<T>(work: () => Promise<T>): Promise<T> {
  const promise = work();
  promise.catch(() => {});
  return promise;
}
