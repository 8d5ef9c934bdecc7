import { AsyncLocalStorage } from "node:async_hooks";
import { syncBuiltinESMExports } from "node:module";
import process from "node:process";
import { messageOf } from "../errors.ts";

/**
 * Whose code runs: what a configuration has begun while it was loaded, and its sessions, timers and rejected promises included. Up to
 * Node 22 each promise of the process costs more as long as that is followed, so it is only while a trial is open.
 */
const running: AsyncLocalStorage<Trial | undefined> = new AsyncLocalStorage();

/** What has ended may have left timers and connections behind: so long is what they throw laid to it. */
const STRAY_MS = 10_000;

/** Those that may still be blamed. */
const open = new Set<Trial>();

/**
 * A configuration that does not serve yet, and its code that runs all the same. What that code throws where nobody catches it ends
 * its own load, or its canary, and never the process that serves another one; nor does its `process.exit()`.
 */
export class Trial {
  readonly #end = new AbortController();
  #isAdopted = false;

  constructor() {
    guardExit();
    open.add(this);
  }

  /**
   * Runs what a session does: what its code throws is laid to its own configuration, whoever has opened the port that it came by.
   * Undefined, or a trial that is over: to nobody's that is tried. Costs nothing while none is open.
   */
  static within<Value>(trial: Trial | undefined, work: () => Value): Value {
    const blamed = trial && open.has(trial) ? trial : undefined;
    return running.getStore() === blamed ? work() : running.run(blamed, work);
  }

  /** Runs what a generation does at its end, beside others that serve: it is nobody else's affair. */
  static atEnd<Value>(work: () => Promise<Value>): Promise<Value> {
    const trial = new Trial();
    trial.end(new Error("its time is over"));
    return trial.run(work);
  }

  /** Whose code runs now, as far as it is known; undefined: nobody's that is tried. */
  static get current(): Trial | undefined {
    return running.getStore();
  }

  /** Aborts with why it is not to serve. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** It is not to serve, unless it does already. */
  end(why: Error): void {
    if (this.ended.aborted) return;
    this.#end.abort(why);
    setTimeout(() => this.#close(), STRAY_MS).unref();
  }

  /** Runs its code. */
  run<Value>(work: () => Promise<Value>): Promise<Value> {
    return running.run(this, work);
  }

  /** The same, and rejects when it has ended; what still comes of the work is dropped. */
  load<Value>(work: () => Promise<Value>): Promise<Value> {
    const { ended } = this;
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(ended.reason);
      if (ended.aborted) return giveUp();
      ended.addEventListener("abort", giveUp);
      // What this code has opened keeps the trial for as long as it lives, and must not keep the loaded texts with it.
      const settled = this.run(work).then(resolve, reject);
      void settled.finally(() => ended.removeEventListener("abort", giveUp));
    });
  }

  /** It serves: what its code throws is the process's own from here on. */
  adopt(): void {
    this.#isAdopted = true;
    this.#close();
  }

  #close(): void {
    open.delete(this);
    if (open.size === 0) running.disable();
  }

  /** Takes the blame for what nobody has caught. False: it serves, and what serves is broken. */
  take(cause: unknown): boolean {
    if (this.#isAdopted) return false;
    this.end(cause instanceof Error ? cause : new Error(messageOf(cause)));
    return true;
  }
}

/** Ends this process, whoever's code runs: for those whose process it is. */
export const endProcess: typeof process.exit = process.exit.bind(process);

let isGuarded = false;
let isKept = false;

/** From now on other processes depend on this one: no code of a configuration ends it. */
export function keepProcess(): void {
  isKept = true;
  guardExit();
}

/** From the first trial on the process ends only for code that serves. */
function guardExit(): void {
  if (isGuarded) return;
  isGuarded = true;
  process.exit = (...code) => {
    const cause = new Error(`it has called process.exit(${code.join()})`);
    if (Trial.current?.take(cause) || isKept) throw cause;
    return endProcess(...code); // with no code at all it is that of `process.exitCode`
  };
  syncBuiltinESMExports(); // for those who import it by its name
}
