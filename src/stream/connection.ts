import { GatewayError, specs } from "../errors.ts";
import type { Lease } from "../upstream/lease.ts";
import { accessLine } from "./access-log.ts";
import { Facts } from "./facts.ts";
import { Farewell, type FarewellHost, farewellKindOf } from "./farewell/farewell.ts";
import type { FilterControl, FilterSide } from "./filter/stage.ts";
import type { HookWatch } from "./hook-watch.ts";
import { type HookHost, HookRunner } from "./hooks.ts";
import type { Incoming } from "./incoming.ts";
import { runLogHook } from "./log-hook.ts";
import { Patience } from "./patience.ts";
import type { Reader, Received } from "./reader.ts";
import { lastWordsFor } from "./refusal.ts";
import type { Relay } from "./relay.ts";
import type { Server } from "./server.ts";
import type {
  Awaitable,
  BalancerSession,
  ContentSession,
  FilterSession,
  HeaderFilterSession,
  LogSession,
  Phase,
  PrereadSession,
  RewriteSession,
  SslSession,
  StartedTls,
  UpstreamTlsSession,
} from "./session.ts";
import { Talk } from "./talk.ts";
import type { Task, TaskFunction } from "./task.ts";
import { type EndedTask, Tasks, type TasksHost } from "./tasks.ts";
import type { Vars, VarsSource } from "./vars.ts";

type Views = SslSession &
  PrereadSession &
  RewriteSession &
  BalancerSession &
  UpstreamTlsSession &
  ContentSession &
  HeaderFilterSession &
  FilterSession &
  LogSession;

/** Reason of every ended session's signal. One for all: Node would make a new exception, with its stack, each time. */
const ENDED = new GatewayError("RC_SHUTDOWN", "the session has ended");

/** One session: what each phase may see and do of it, through its own view, and how it ends. */
export class Connection extends Facts implements Views, VarsSource, HookHost, TasksHost, FarewellHost {
  readonly #onOver: (session: Connection) => void;
  #vars: Vars | undefined;
  #endedMs: number | undefined;
  /** Of the relay, while there is one. */
  idleTimeoutMs = 0;
  /** The peer, once the bytes are relayed. */
  #lease: Lease<Relay> | undefined;
  #relay: Relay | undefined;
  #farewell: Farewell | undefined;
  #relayBeganMs: number | undefined;
  #patience: Patience | undefined;
  #abort: AbortController | undefined;
  /** The relay, where filters are part of it. */
  #filters: FilterControl | undefined;
  #beginFilters: (() => void) | undefined;
  #stopped: "killed" | "drained" | "shutdown" | undefined;
  #talk: Talk | undefined;
  #hooks: HookRunner | undefined;
  #tasks: Tasks | undefined;
  /** Names of the servers that it was dispatched from, and when it came to the last one. */
  #visited: Set<string> | undefined;
  #arrivedAt: number | undefined;
  /** A hook has seen the session, and may look at it when it is over. */
  #wasShown = false;

  /** `onOver`: told once, when nothing is left of the session, its socket included. */
  constructor(number: number, incoming: Incoming, settings: Server, onOver: (session: Connection) => void) {
    super(number, incoming, settings);
    this.#onOver = onOver;
  }

  get vars(): Vars {
    this.#vars ??= this.settings.makeVars(this);
    return this.#vars;
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

  get sessionTimeMs(): number {
    return this.#endedMs ?? performance.now() - this.acceptedAt;
  }

  /** How long the client may still take to show its protocol. */
  get patience(): Patience {
    const { preread, routes } = this.settings;
    this.#patience ??= new Patience(preread.timeoutMs, routes.silent?.afterMs, this.#arrivedAt ?? this.acceptedAt);
    return this.#patience;
  }

  /** Goes on at another server of the generation. @throws GatewayError RC_DISPATCH for one that it was at before */
  moveTo(server: Server): void {
    this.#visited ??= new Set();
    this.#visited.add(this.settings.name);
    if (this.#visited.has(server.name)) throw new GatewayError("RC_DISPATCH", `${server.name}: was there before`);
    this.settings = server;
    this.client.limits = server;
    this.#vars = undefined; // another server has other variables
    this.#patience = undefined;
    this.#arrivedAt = performance.now();
  }

  get relayed(): Relay | undefined {
    return this.#relay;
  }

  get relayedMs(): number | undefined {
    return this.#relayBeganMs === undefined ? undefined : this.sessionTimeMs - this.#relayBeganMs;
  }

  get #talks(): Talk {
    this.#talk ??= new Talk(this);
    return this.#talk;
  }

  get reader(): Reader {
    return this.#talks.reader;
  }

  peek(size: number, options?: { readonly orLess?: boolean; readonly timeoutMs?: number }): Promise<Received> {
    return this.reader.peek(size, options);
  }

  write(bytes: string | Uint8Array): Promise<void> {
    return this.#talks.write(bytes);
  }

  startTls(): Promise<StartedTls> {
    return this.#talks.startTls();
  }

  end(bytes?: string | Uint8Array): Promise<void> {
    if (!this.#filters) return this.#talks.end(bytes);
    return Promise.resolve(this.#filters.finish());
  }

  shutdown(_how: "send"): Promise<void> {
    return this.#talks.shutdown();
  }

  /** Set once a hook has told the session to end: nothing more may reach the client. */
  get exited(): GatewayError | undefined {
    return this.#hooks?.exited;
  }

  exit(status: number): never {
    if (this.phase === "log") throw new TypeError("exit: not available in the log phase");
    return this.#runner.exit(status);
  }

  /** Runs user code as `phase`. Throws, or rejects with, what ends the session because of it. */
  hook<Result>(phase: Phase, work: () => Awaitable<Result>): Awaitable<Result | undefined> {
    this.#wasShown = true;
    return this.#runner.run(phase, work);
  }

  get #threads(): Tasks {
    this.#tasks ??= new Tasks(this);
    return this.#tasks;
  }

  spawn<Result>(work: TaskFunction<Result>): Task<Result> {
    return this.#threads.spawn(work);
  }

  waitAny<Result>(tasks: readonly Task<Result>[]): Promise<EndedTask<Result>> {
    return this.#threads.waitAny(tasks);
  }

  waitAll<Result extends readonly Task[]>(
    tasks: Result,
  ): Promise<{ -readonly [Key in keyof Result]: Awaited<Result[Key]> }> {
    return this.#threads.waitAll(tasks);
  }

  onAbort(work: TaskFunction<unknown>): void {
    this.#threads.onAbort(work);
    this.client.endWord = "client aborted";
    this.client.inlet; // only JavaScript sees a client's end while nobody reads
  }

  clientLeft(): boolean {
    return this.#tasks?.clientLeft() ?? false;
  }

  /** Resolves when no task runs any more; undefined: none does. */
  tasksEnd(): Promise<void> | undefined {
    return this.#tasks?.idle();
  }

  report(cause: unknown): void {
    this.settings.log.error("task failed", { session: this.id, server: this.server, err: cause });
  }

  get #runner(): HookRunner {
    this.#hooks ??= new HookRunner(this);
    return this.#hooks;
  }

  get hookWatch(): HookWatch | undefined {
    return this.settings.hookWatch;
  }

  limitMs(phase: Phase): number | undefined {
    return this.settings.phaseLimitsMs.get(phase);
  }

  watch(onLeft: (how: "ended" | "reset") => void): void {
    if (!this.#filters?.isStarted) this.client.watch(onLeft); // a relay hears of it by itself
  }

  unwatch(): void {
    if (!this.#filters?.isStarted) this.client.unwatch();
  }

  abort(cause: GatewayError): void {
    this.#abort?.abort(cause);
    if (cause.code !== "RC_EXITED") return;
    if (this.#filters) this.#filters.exit(cause);
    else this.#relay?.end("drained"); // by a task: no hook is there that could end the session
  }

  /** The session's filters begin; it stays in their phase until it ends. `begin` is called when the relay has begun. */
  filteredBy(filters: FilterControl, begin: (() => void) | undefined): void {
    this.phase = this.settings.phases.bodyFilter ? "bodyFilter" : "headerFilter";
    this.#wasShown = true;
    this.#filters = filters;
    this.#beginFilters = begin;
  }

  inject(side: FilterSide, bytes: string | Uint8Array): boolean {
    if (!this.#filters) throw new TypeError(`inject: not available in the ${this.phase} phase`);
    return this.#filters.inject(side, bytes);
  }

  /** Ends the session from outside. */
  stop(cause: "killed" | "drained" | "shutdown"): void {
    this.depart(cause);
    this.client.stop(cause);
  }

  depart(cause: "killed" | "drained" | "shutdown"): void {
    this.#stopped ??= cause;
    this.abort(ENDED);
    this.#hooks?.interrupt(ENDED);
  }

  /** How it can say that it ends. Undefined: {@link stop} is all. */
  get farewellKind(): "words" | "response" | undefined {
    return this.isOver || !this.#relay ? undefined : farewellKindOf(this);
  }

  get farewell(): Farewell | undefined {
    if (this.farewellKind) this.#farewell ??= new Farewell(this);
    return this.#farewell;
  }

  /** The bytes are on their way: the relay's end is now the session's. */
  relayedBy(lease: Lease<Relay>): void {
    this.#lease = lease;
    this.#relayBeganMs = this.sessionTimeMs;
    this.#patience = undefined;
    this.goOnBy(lease.value);
    if (this.exited)
      this.abort(this.exited); // a task ended the session while it was connected
    else if (!this.isOver) this.#beginFilters?.();
  }

  /** From here on this relay has the bytes; the one before, if there was one, was recalled. */
  goOnBy(relay: Relay): void {
    this.#relay = relay;
    this.client.relayedBy(relay);
    this.limits?.relayed(relay);
    relay.onEnd((cause, error) => {
      this.#lease?.release();
      this.endCause = cause;
      this.finalize(error ?? this.exited);
    });
    if (this.#stopped) relay.end(this.#stopped);
  }

  get isRelayed(): boolean {
    return this.#relay !== undefined;
  }

  /** The one exit: status, close, access line, log phase. What a handler wrote last, it need not have waited for. */
  finalize(error: GatewayError | undefined): void {
    const flushed = error && error.code !== "RC_EXITED" ? undefined : this.client.flushed();
    if (!flushed) this.#finalize(error);
    else
      flushed.then(
        () => this.#finalize(error),
        (cause) => this.#finalize(GatewayError.from(cause)),
      );
  }

  #finalize(error: GatewayError | undefined): void {
    const { log } = this.settings.phases;
    if (this.#wasShown || log) this.keepAddresses();
    try {
      this.#settle(error);
    } catch (cause) {
      this.settings.log.error("session failed", { session: this.id, err: cause }); // a bug of ours; other sessions go on
      this.client.stop("killed");
    }
    if (log) void runLogHook(this, log).then(() => this.#leave());
    else this.#leave();
  }

  #leave(): void {
    this.client.whenClosed(() => this.#onOver(this));
  }

  #settle(error: GatewayError | undefined): void {
    this.limits?.release();
    if (this.#stopped)
      this.endCause = this.#stopped; // what failed because of that is no failure
    else if (error) {
      [this.status, this.endCause] = [error.status, specs[error.code].endCause];
      const [words, ...later] = lastWordsFor(this, error);
      if (words) this.client.lastWords(words, later);
    }
    this.#abort?.abort(ENDED);
    this.#hooks?.interrupt(ENDED);
    this.client.close({ wasReset: this.endCause === "client_reset", isAnswered: this.endCause === "content_done" });
    this.#endedMs = this.sessionTimeMs;
    const isFailure = !this.#stopped && error?.code !== "RC_EXITED";
    this.settings.log.access(() => accessLine(this, isFailure ? error : undefined));
  }
}
