import { type ChildProcess, fork, type SendHandle } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { WorkerFacts } from "../../registry/worker-entry.ts";
import type { EventDelivery, EventMessage } from "../../shared/events/message.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import type { Log } from "../../stream/log.ts";
import type { WorkerIds } from "../identity.ts";
import type { LiveSession } from "../live-session.ts";
import type {
  CallMessage,
  CloseMessage,
  Source,
  StartMessage,
  ToMaster,
  ToWorker,
  WorkerCalls,
  WorkerStatus,
} from "./calls.ts";
import { errorOf } from "./failure.ts";
import { GivenSockets } from "./given-sockets.ts";
import type { SocketName } from "./inherited-sockets.ts";
import { answerLimitMs, CRASH_LIMIT_MS, drainLimitMs, QUICK_LIMIT_MS, timerMs } from "./limits.ts";
import { OpenCalls } from "./open-calls.ts";
import { Pulse } from "./pulse.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** What a worker's process runs. */
const ENTRY = fileURLToPath(new URL("../worker-main.js", import.meta.url));

/** These may be an operator's, or the kernel's that lacks memory; what else ends a process is its own fault, or that of the code that it runs. */
const KILLS: readonly (number | NodeJS.Signals)[] = ["SIGKILL", "SIGTERM", "SIGINT", "SIGQUIT"];

/** Why a worker accepts no more: the master has told it so, somebody else has, somebody has killed it, or it has failed. */
export type LeftBy = "order" | "signal" | "kill" | "fault";

/** What a worker's process begins with, and how long that may take. */
export interface WorkerStart extends Omit<StartMessage, "kind"> {
  readonly log: Log;
  /** How long that may take at most, in milliseconds: a gateway serves meanwhile, and waits for it. Undefined: as long as it likes. */
  readonly limitMs: number | undefined;
}

/** A worker in a process of its own, as the master sees it. */
export class WorkerProcess implements WorkerCalls {
  readonly ids: WorkerIds;
  /** Where it accepts. */
  readonly sockets: GivenSockets;
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when it could accept; rejects with why it never will. */
  readonly ready: Promise<void>;
  /** Resolves when it accepts no more, makes no more ids by a number that is not leased, and is about to end. */
  readonly left: Promise<LeftBy>;
  /** It has published events. */
  onEvents: ((messages: readonly EventMessage[]) => void) | undefined;
  /** Code of a generation that is not to serve all has thrown what nobody caught. */
  onFaulty: ((generation: number, reason: Error) => void) | undefined;
  /** It needs a socket again. */
  onAgain: ((name: SocketName) => void) | undefined;
  readonly #child: ChildProcess;
  readonly #log: Log;
  readonly #calls = new OpenCalls();
  #generation: number;
  #hasEnded = false;
  #hasLeft = false;
  #isTold = false;
  #isKilled = false;
  #pulse: Pulse | undefined;
  #killsAt = Number.POSITIVE_INFINITY;
  #kill: NodeJS.Timeout | undefined;
  /** Besides that one, since a newer drain has another end. */
  #drainKill: NodeJS.Timeout | undefined;
  #said: WorkerStatus | undefined;
  #onLeft: (how: LeftBy) => void = () => {};

  constructor({ source, ids, hasLease, stateDir, log, limitMs }: WorkerStart) {
    this.ids = ids;
    this.#log = log;
    this.#generation = source.generation;
    this.#child = fork(ENTRY, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
    this.#child.on("error", () => {}); // an exit follows, or the send's own callback tells
    this.sockets = new GivenSockets({
      send: (name, handle) => this.#send({ kind: "socket", ...name }, handle),
      accept: (names) => this.accept(names),
      leave: (names) => this.leave(names),
    });
    this.ended = endOf(this.#child);
    this.left = new Promise((resolve) => {
      this.#onLeft = resolve;
    });
    this.ready = new Promise((resolve, reject) => this.#listen(resolve, reject));
    this.ready.catch(() => {}); // whoever waits for it hears of it
    void this.ended.then((how) => this.#end(how));
    this.#send({ kind: "start", source, ids, hasLease, stateDir });
    if (limitMs !== undefined) this.#killIn(limitMs, "it has not started");
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** It accepts no more: see {@link left}. */
  get hasLeft(): boolean {
    return this.#hasLeft;
  }

  /** What new sessions get from it. */
  get generation(): number {
    return this.#generation;
  }

  async accept(sockets: readonly SocketName[]): Promise<void> {
    await this.#call({ name: "accept", parameters: [sockets] });
  }

  async leave(sockets: readonly SocketName[]): Promise<void> {
    await this.#call({ name: "leave", parameters: [sockets] });
  }

  async prepare(source: Source): Promise<void> {
    await this.#call({ name: "prepare", parameters: [source] });
  }

  async commit(generation: number): Promise<void> {
    await this.#call({ name: "commit", parameters: [generation] });
    this.#generation = generation;
  }

  async tryOut(generation: number, share: number): Promise<void> {
    await this.#call({ name: "tryOut", parameters: [generation, share] });
  }

  async abandon(generation: number): Promise<void> {
    await this.#call({ name: "abandon", parameters: [generation] });
  }

  async rollback(generation: number): Promise<boolean> {
    const isBack = await this.#call<boolean>({ name: "rollback", parameters: [generation] });
    if (isBack) this.#generation = generation;
    return isBack;
  }

  sessions(): Promise<readonly LiveSession[]> {
    return this.#call<readonly LiveSession[]>({ name: "sessions", parameters: [] });
  }

  kill(session: string): Promise<boolean> {
    return this.#call<boolean>({ name: "kill", parameters: [session] });
  }

  kick(session: string): Promise<boolean> {
    return this.#call<boolean>({ name: "kick", parameters: [session] });
  }

  ban(whom: string, options: BanOptions): Promise<Ban> {
    return this.#call<Ban>({ name: "ban", parameters: [whom, options] });
  }

  unban(whom: string): Promise<boolean> {
    return this.#call<boolean>({ name: "unban", parameters: [whom] });
  }

  bans(): Promise<readonly Ban[]> {
    return this.#call<readonly Ban[]>({ name: "bans", parameters: [] });
  }

  registered(): Promise<readonly WorkerFacts[]> {
    return this.#call<readonly WorkerFacts[]>({ name: "registered", parameters: [] });
  }

  /** Of one that does not answer: what it said last. */
  async status(): Promise<WorkerStatus> {
    try {
      return await this.#ask();
    } catch (cause) {
      if (this.#hasEnded || !this.#said) throw cause;
      return { ...this.#said, isSilent: true };
    }
  }

  /** Also when it has not started yet, as it may have opened its log already. */
  async reopen(): Promise<void> {
    await this.ready;
    await this.#call({ name: "reopen", parameters: [] });
  }

  /** Its numbers are sure until then, in milliseconds since 1970; infinity: for ever. */
  held(masterId: number, untilMs: number): void {
    this.#send({ kind: "held", masterId, untilMs });
  }

  lost(why: string): void {
    this.#send({ kind: "lost", why });
  }

  /** Hands it events of others; `done` when they have left this process, or never will. */
  deliver(delivery: EventDelivery, done: () => void): void {
    this.#send({ kind: "events", delivery }, undefined, done);
  }

  /** Sends it a socket that it has asked for; without one, since there is none any more, it learns that. */
  giveAgain(name: SocketName, handle: SocketHandle | undefined): void {
    this.#send({ kind: "socket", ...name }, handle);
  }

  /** Tells it to end; see {@link left} and {@link ended}. What has not ended in its time is killed. */
  close({ how, overMs, isLast }: Omit<CloseMessage, "kind">): void {
    this.#isTold = true;
    if (how === "quick") this.#killIn(QUICK_LIMIT_MS, "it has not ended");
    else if (overMs !== undefined) this.#killBehindDrain(overMs);
    this.#send({ kind: "close", how, overMs, isLast });
  }

  /** Ends it now, whatever it does. */
  destroy(): void {
    this.#child.kill("SIGKILL");
  }

  #listen(onReady: () => void, onFailed: (cause: Error) => void): void {
    // What comes over this channel was sent by our own code of the same version.
    this.#child.on("message", (message: ToMaster) => {
      if (message.kind === "ready") {
        this.#begin();
        onReady();
      } else if (message.kind === "failed") onFailed(errorOf(message.reason));
      else if (message.kind === "crashed") this.#leave("fault");
      else if (message.kind === "closing") this.#leave(this.#isTold ? "order" : "signal");
      else if (message.kind === "again") this.onAgain?.({ key: message.key, place: message.place });
      else if (message.kind === "faulty") this.onFaulty?.(message.generation, errorOf(message.reason));
      else if (message.kind === "events") this.onEvents?.(message.messages);
      else if (message.kind === "answer") this.#calls.answered(message.id, message.value);
      else this.#calls.refused(message.id, errorOf(message.reason));
    });
    void this.ended.then((how) => onFailed(this.#gone(how)));
  }

  #begin(): void {
    if (!this.#isTold) this.#clearKill();
    void this.#ask().catch(() => {});
    this.#pulse = new Pulse(
      () => this.#ask(),
      () => this.#destroy("it does not answer"),
    );
  }

  #leave(how: LeftBy): void {
    if (how === "fault") this.#killIn(CRASH_LIMIT_MS, "it has crashed, and not ended");
    this.#hasLeft = true;
    this.#onLeft(how);
  }

  #end(how: number | NodeJS.Signals): void {
    this.#hasEnded = true;
    this.#hasLeft = true;
    this.#pulse?.stop();
    this.#clearKill();
    clearTimeout(this.#drainKill);
    this.#calls.end(this.#gone(how));
    if (this.#isTold) this.#onLeft("order");
    else if (this.#child.connected)
      // Its last words are on the way. "disconnect" never comes where a socket was under way to it, "close" does.
      this.#child.once("close", () => this.#onLeft(this.#blame(how)));
    else this.#onLeft(this.#blame(how));
  }

  /** Of one that has said nothing before: `process.exit()` in the midst of it all is nobody's order. */
  #blame(how: number | NodeJS.Signals): LeftBy {
    return KILLS.includes(how) && !this.#isKilled ? "kill" : "fault";
  }

  #gone(how: number | NodeJS.Signals): Error {
    return new Error(`worker ${this.ids.number} has ended: ${how}`);
  }

  /** The earliest of several limits counts. */
  #killIn(ms: number, reason: string): void {
    const at = performance.now() + ms;
    if (at >= this.#killsAt) return;
    this.#clearKill();
    this.#killsAt = at;
    this.#kill = setTimeout(() => this.#destroy(reason), timerMs(ms));
  }

  /** Of several drains the newest counts. */
  #killBehindDrain(overMs: number): void {
    clearTimeout(this.#drainKill);
    this.#drainKill = setTimeout(() => this.#destroy("its drain is over"), timerMs(drainLimitMs(overMs)));
  }

  #clearKill(): void {
    clearTimeout(this.#kill);
    this.#killsAt = Number.POSITIVE_INFINITY;
  }

  #destroy(reason: string): void {
    if (this.#hasEnded || this.#isKilled) return;
    this.#isKilled = true;
    this.#log.error("worker killed", { worker: this.ids.number, pid: this.pid, reason });
    this.destroy();
  }

  async #ask(): Promise<WorkerStatus> {
    this.#said = await this.#call<WorkerStatus>({ name: "status", parameters: [] });
    return this.#said;
  }

  #call<Value>(call: Pick<CallMessage, "name" | "parameters">): Promise<Value> {
    const what = `worker ${this.ids.number}: ${call.name}`;
    if (this.#hasEnded) return Promise.reject(new Error(`${what}: it has ended`)); // its channel may be open for a moment still
    return this.#calls.ask(what, timerMs(answerLimitMs(call.name)), (id) => {
      this.#send({ kind: "call", id, ...call } as CallMessage);
    });
  }

  /** A process that has gone is told nothing; its end is known already, or about to be. */
  #send(message: ToWorker, handle?: SocketHandle, done = (): void => {}): void {
    // Node sends its own handles as they are; the types know only what it makes of them.
    if (this.#child.connected) this.#child.send(message, handle as SendHandle | undefined, {}, done);
    else done();
  }
}

function endOf(child: ChildProcess): Promise<number | NodeJS.Signals> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal ?? 1));
  });
}
