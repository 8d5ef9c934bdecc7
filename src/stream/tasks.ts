import { abortError } from "../upstream/abort.ts";
import { GONE, RunningTask, type Task, type TaskFunction } from "./task.ts";

/** A task that has ended, and what it returned. */
export interface EndedTask<Result = unknown> {
  readonly task: Task<Result>;
  readonly value: Result;
}

/** What the tasks of a session need of it. */
export interface TasksHost {
  /** Aborts when the session ends. */
  readonly signal: AbortSignal;
  /** Told what a task threw that nobody waits for. */
  report(cause: unknown): void;
}

/** The light threads of one session: they end with it, and what one of them throws disturbs no other. */
export class Tasks {
  readonly #host: TasksHost;
  readonly #running = new Set<RunningTask<unknown>>();
  #onAbort: TaskFunction<unknown> | undefined;
  #onIdle: (() => void)[] = [];

  constructor(host: TasksHost) {
    this.#host = host;
    host.signal.addEventListener("abort", () => this.#end(), { once: true });
  }

  /**
   * Runs `work` at once, until it first waits, and returns its task. OpenResty: `ngx.thread.spawn`.
   * @throws GatewayError RC_SHUTDOWN when the session has ended
   */
  spawn<Result>(work: TaskFunction<Result>): Task<Result> {
    if (typeof work !== "function") throw new TypeError(`spawn: expected a function, got ${typeof work}`);
    if (this.#host.signal.aborted) throw abortError(this.#host.signal);
    const task = new RunningTask<Result>(this);
    this.#running.add(task);
    task.begin(work);
    return task;
  }

  /**
   * Waits for the first of these tasks that ends, and answers it with its value; what it throws is thrown. A task that was waited for
   * is passed over, so that a loop over one list gets each once. OpenResty: `ngx.thread.wait`.
   * Rejects with `already waited or killed` when none is left, and with RC_SHUTDOWN when the session ends.
   */
  waitAny<Result>(tasks: readonly Task<Result>[]): Promise<EndedTask<Result>> {
    return unforced(this.#firstOf(tasks));
  }

  async #firstOf<Result>(tasks: readonly Task<Result>[]): Promise<EndedTask<Result>> {
    const own = this.#own(tasks);
    for (;;) {
      const left = own.filter(({ status }) => status !== "dead");
      if (this.#host.signal.aborted) throw abortError(this.#host.signal);
      if (left.length === 0) throw new Error(GONE);
      const ended = left.find(({ status }) => status === "zombie");
      if (ended) return { task: ended, value: await ended };
      await firstEnd(left);
    }
  }

  /** Waits for all of these tasks, and answers their values in order. The first that throws, or was killed, rejects. */
  waitAll<Result extends readonly Task[]>(
    tasks: Result,
  ): Promise<{ -readonly [Key in keyof Result]: Awaited<Result[Key]> }> {
    return unforced(this.#allOf(tasks));
  }

  async #allOf<Result extends readonly Task[]>(
    tasks: Result,
  ): Promise<{ -readonly [Key in keyof Result]: Awaited<Result[Key]> }> {
    this.#own(tasks);
    return Promise.all(tasks);
  }

  /**
   * Has `work` run as a task, once, when the client leaves early. OpenResty: `ngx.on_abort`.
   * @throws Error `duplicate call`
   */
  onAbort(work: TaskFunction<unknown>): void {
    if (typeof work !== "function") throw new TypeError(`onAbort: expected a function, got ${typeof work}`);
    if (this.#onAbort) throw new Error("duplicate call");
    this.#onAbort = work;
  }

  /** The client has left early; to be told before the session ends of it. What is told again has no effect. False: nobody asked. */
  clientLeft(): boolean {
    const work = this.#onAbort;
    if (!work || this.#host.signal.aborted) return false;
    this.#onAbort = () => {}; // a second registration stays a duplicate
    void this.spawn(work);
    return true;
  }

  /** Resolves when no task runs: a handler has not ended before its tasks have. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
    });
  }

  report(cause: unknown): void {
    this.#host.report(cause);
  }

  left(task: RunningTask<unknown>): void {
    this.#running.delete(task);
    if (this.#running.size > 0) return;
    for (const tell of this.#onIdle.splice(0)) tell();
  }

  #own<Result>(tasks: readonly Task<Result>[]): RunningTask<Result>[] {
    if (tasks.length === 0) throw new TypeError("at least one coroutine should be specified");
    return tasks.map((task) => {
      if (!(task instanceof RunningTask))
        throw new TypeError("attempt to wait on a coroutine that is not a user thread");
      if (task.owner !== this) throw new TypeError("only the parent coroutine can wait on the thread");
      return task;
    });
  }

  #end(): void {
    const reason = abortError(this.#host.signal);
    for (const task of [...this.#running]) task.end(reason, reason);
  }
}

/** A promise that nobody has to wait for: without this, a forgotten `await` would let a task's error end the process. */
function unforced<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Leaves nothing at the tasks that go on: a loop may ask thousands of times about one that never ends. */
function firstEnd(tasks: readonly RunningTask<unknown>[]): Promise<void> {
  return new Promise((resolve) => {
    const listener = (): void => {
      for (const task of tasks) task.unlisten(listener);
      resolve();
    };
    for (const task of tasks) task.listen(listener);
  });
}
