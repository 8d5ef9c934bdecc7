import type { Awaitable } from "./session.ts";

/** Where a task is: its function has not ended; it has, and nobody has waited for the result yet; or it is done with. */
export type TaskStatus = "running" | "zombie" | "dead";

/** What a task's function is handed. */
export interface TaskScope {
  /** Aborts when the task is killed, and when the session ends: hand it to all that the task waits for. */
  readonly signal: AbortSignal;
}

/** What runs beside its session. */
export type TaskFunction<Result> = (scope: TaskScope) => Awaitable<Result>;

/** What became of a `kill`, in OpenResty's words. */
export type Killed =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "already terminated" | "already waited or killed" };

/**
 * A light thread of a session: `await` it for what its function returns, or throws. OpenResty: what `ngx.thread.spawn`
 * returns.
 */
export interface Task<Result = unknown> extends PromiseLike<Result> {
  readonly status: TaskStatus;
  /** Aborts the task's signal, and drops what its function still returns or throws. OpenResty: `ngx.thread.kill`. */
  kill(): Killed;
}

/** What is said of a task that nobody can wait for any more. */
export const GONE = "already waited or killed";

/** Reason of the signal of a killed task. One for all: Node would make a new exception, with its stack, each time. */
const KILLED = new DOMException("the task was killed", "AbortError");

/** What a task tells of itself. */
interface TaskOwner {
  /** Its function threw, and nobody waits for it. */
  report(cause: unknown): void;
  left(task: RunningTask<unknown>): void;
}

interface Settler<Result> {
  resolve(value: Result): void;
  reject(cause: unknown): void;
}

/** A task, as those see it who run it. */
export class RunningTask<Result> implements Task<Result>, TaskScope {
  readonly owner: TaskOwner;
  readonly #result: Promise<Result>;
  #settler: Settler<Result> | undefined;
  #state: "running" | "ended" | "gone" = "running";
  #isAwaited = false;
  #abort: AbortController | undefined;
  #reason: unknown;
  readonly #listeners = new Set<() => void>();

  constructor(owner: TaskOwner) {
    this.owner = owner;
    this.#result = new Promise((resolve, reject) => {
      this.#settler = { resolve, reject };
    });
    this.#result.catch(() => {}); // an error that nobody waits for is reported, it ends nothing
  }

  get status(): TaskStatus {
    if (this.#state === "running") return "running";
    return this.#state === "ended" && !this.#isAwaited ? "zombie" : "dead";
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#state === "gone") this.#abort.abort(this.#reason);
    return this.#abort.signal;
  }

  // biome-ignore lint/suspicious/noThenProperty: a task is awaited as OpenResty's threads are waited for
  then<Value = Result, Failure = never>(
    onValue?: ((value: Result) => Value | PromiseLike<Value>) | null,
    onFailure?: ((cause: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Value | Failure> {
    this.#isAwaited = true;
    return this.#result.then(onValue, onFailure);
  }

  kill(): Killed {
    if (this.status === "zombie") return { err: "already terminated" };
    if (this.status === "dead") return { err: GONE };
    this.end(KILLED, new Error(GONE));
    return { ok: true };
  }

  /** Runs the function until it first waits. */
  begin(work: TaskFunction<Result>): void {
    try {
      Promise.resolve(work(this)).then(
        (value) => this.#succeed(value),
        (cause) => this.#fail(cause),
      );
    } catch (cause) {
      this.#fail(cause);
    }
  }

  /** Ends it from outside: the signal aborts with the reason, whoever waits is told `cause`. */
  end(reason: unknown, cause: unknown): void {
    if (this.#state !== "running") return;
    this.#reason = reason;
    this.#finish("gone", () => this.#settler?.reject(cause));
    this.#abort?.abort(reason);
  }

  /** Told when it has ended, however. */
  listen(listener: () => void): void {
    this.#listeners.add(listener);
  }

  unlisten(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  #succeed(value: Result): void {
    if (this.#state === "running") this.#finish("ended", () => this.#settler?.resolve(value));
  }

  #fail(cause: unknown): void {
    if (this.#state !== "running") return;
    if (!this.#isAwaited && this.#listeners.size === 0) this.owner.report(cause);
    this.#finish("ended", () => this.#settler?.reject(cause));
  }

  #finish(state: "ended" | "gone", settle: () => void): void {
    this.#state = state;
    settle();
    this.owner.left(this);
    for (const listener of [...this.#listeners]) listener();
  }
}
