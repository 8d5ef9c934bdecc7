import { type ChildProcess, fork, type SendHandle } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { WorkerFacts } from "../../registry/worker-entry.ts";
import type { EventDelivery, EventMessage } from "../../shared/events/message.ts";
import type { Ban, BanOptions } from "../../stream/bans/ban.ts";
import type { WorkerIds } from "../identity.ts";
import type { LiveSession } from "../live-session.ts";
import type { CallMessage, Source, StartMessage, ToMaster, ToWorker, WorkerCalls, WorkerStatus } from "./calls.ts";
import { errorOf } from "./failure.ts";
import type { Share } from "./listening-sockets.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** What a worker's process runs. */
const ENTRY = fileURLToPath(new URL("../worker-main.js", import.meta.url));

/** A worker that does not answer for so long is stuck: whoever waits for it is told. */
const ANSWER_MS = 30_000;

interface Waiting {
  resolve(value: unknown): void;
  reject(cause: Error): void;
}

/** A worker in a process of its own, as the master sees it. */
export class WorkerProcess implements WorkerCalls {
  readonly ids: WorkerIds;
  /** Resolves with its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Resolves when it serves; rejects with why it does not. */
  readonly ready: Promise<void>;
  /** It has told that it is going down by itself. */
  onCrash: (() => void) | undefined;
  /** It has published events. */
  onEvents: ((messages: readonly EventMessage[]) => void) | undefined;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #given = new WeakSet<SocketHandle>();
  #calls = 0;
  #onClosing: () => void = () => {};

  /** Starts a process and hands it the sockets. */
  constructor({ source, ids, stateDir }: Omit<StartMessage, "kind">, sockets: Share) {
    this.ids = ids;
    this.#child = fork(ENTRY, { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
    this.#child.on("error", () => {}); // an exit follows, or the send's own callback tells
    this.ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => resolve(code ?? signal ?? 1));
    });
    this.ready = new Promise((resolve, reject) => this.#listen(resolve, reject));
    this.ready.catch(() => {}); // whoever waits for it hears of it
    this.giveSockets(sockets);
    this.#send({ kind: "start", source, ids, stateDir });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Each once. */
  giveSockets(sockets: Share): void {
    for (const [key, handles] of sockets) {
      for (const handle of handles) {
        if (!this.#given.has(handle)) this.#send({ kind: "socket", key }, handle);
        this.#given.add(handle);
      }
    }
  }

  async acceptMore(): Promise<void> {
    await this.#call({ name: "acceptMore", parameters: [] });
  }

  async prepare(source: Source): Promise<void> {
    await this.#call({ name: "prepare", parameters: [source] });
  }

  async commit(generation: number): Promise<void> {
    await this.#call({ name: "commit", parameters: [generation] });
  }

  async tryOut(generation: number, share: number): Promise<void> {
    await this.#call({ name: "tryOut", parameters: [generation, share] });
  }

  async abandon(generation: number): Promise<void> {
    await this.#call({ name: "abandon", parameters: [generation] });
  }

  async rollback(): Promise<boolean> {
    return (await this.#call({ name: "rollback", parameters: [] })) === true;
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

  status(): Promise<WorkerStatus> {
    return this.#call<WorkerStatus>({ name: "status", parameters: [] });
  }

  async reopen(): Promise<void> {
    await this.#call({ name: "reopen", parameters: [] });
  }

  /** Its numbers are sure until then; see {@link Lease}. */
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

  /** Tells it to end; see {@link ended}. Resolves when it accepts no more. */
  close(how: "quick" | "drain", overMs?: number): Promise<void> {
    const closing = new Promise<void>((resolve) => {
      this.#onClosing = resolve;
      void this.ended.then(() => resolve());
    });
    this.#send({ kind: "close", how, overMs });
    return closing;
  }

  /** For a process that does not end by itself. */
  destroy(): void {
    this.#child.kill("SIGKILL");
  }

  #listen(onReady: () => void, onFailed: (cause: Error) => void): void {
    // What comes over this channel was sent by our own code of the same version.
    this.#child.on("message", (message: ToMaster) => {
      if (message.kind === "ready") onReady();
      else if (message.kind === "failed") onFailed(errorOf(message.reason));
      else if (message.kind === "crashed") this.onCrash?.();
      else if (message.kind === "closing") this.#onClosing();
      else if (message.kind === "events") this.onEvents?.(message.messages);
      else if (message.kind === "answer") this.#waiting.get(message.id)?.resolve(message.value);
      else this.#waiting.get(message.id)?.reject(errorOf(message.reason));
    });
    void this.ended.then((how) => {
      const gone = new Error(`worker ${this.ids.number} has ended: ${how}`);
      onFailed(gone);
      for (const { reject } of this.#waiting.values()) reject(gone);
    });
  }

  #call<Value>(call: Pick<CallMessage, "name" | "parameters">): Promise<Value> {
    const id = ++this.#calls;
    return new Promise<Value>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`worker ${this.ids.number} did not answer within ${ANSWER_MS} ms: ${call.name}`)),
        ANSWER_MS,
      );
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
      };
      this.#waiting.set(id, {
        resolve: (value) => {
          settle();
          resolve(value as Value);
        },
        reject: (cause) => {
          settle();
          reject(cause);
        },
      });
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
