import { syncBuiltinESMExports } from "node:module";
import { type Clock, install } from "@sinonjs/fake-timers";
import { GatewayError } from "../errors.ts";

/** The process seems to run for a while already: to code that takes 0 for long ago, it should be. */
const UPTIME_MS = 1_000_000;

/** What tells or takes time. Not `setImmediate`, `nextTick` and microtasks: they take none. */
const FAKED = ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "Date", "performance", "hrtime"] as const;

/**
 * A clock that stands still until it is told to go on. While it is there it is the clock of the whole process, of timers from
 * `node:timers` and `node:timers/promises` and `AbortSignal.timeout` too.
 */
export class FakeTime implements Disposable {
  readonly #clock: Clock;
  readonly #began: number;
  readonly #signalTimeout = AbortSignal.timeout;

  /** `date`: what `Date.now()` begins with. */
  constructor(date: number) {
    this.#clock = install({ now: date - UPTIME_MS, toFake: [...FAKED], shouldClearNativeTimers: true });
    this.#clock.tick(UPTIME_MS);
    this.#began = date;
    AbortSignal.timeout = fakeSignalTimeout;
    syncBuiltinESMExports();
  }

  /** Milliseconds since it began. */
  get now(): number {
    return this.#clock.now - this.#began;
  }

  /** Goes on to the next timer, and calls it. False: there is none, or the time is over. */
  advance(untilMs: number): boolean {
    if (this.now > untilMs || this.#clock.countTimers() === 0) return false;
    try {
      this.#clock.next();
    } catch (cause) {
      if (!(cause instanceof GatewayError && cause.code === "RC_EXITED")) throw cause; // it has ended its session, from a callback
    }
    return true;
  }

  [Symbol.dispose](): void {
    AbortSignal.timeout = this.#signalTimeout;
    this.#clock.uninstall();
    syncBuiltinESMExports();
  }
}

/** Node's own has a timer that nobody can reach. */
function fakeSignalTimeout(ms: number): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError")), ms);
  return controller.signal;
}
