import type { Log } from "./log.ts";
import { OncePerSecond } from "./once-per-second.ts";

/** What goes wrong at a port, told in the log at most once a second each. */
export class PortTrouble {
  readonly #failures: OncePerSecond;
  readonly #drops: OncePerSecond;

  /** `address` is asked when there is something to tell: a port learns its own only when it is open. */
  constructor(log: Log, address: () => string) {
    this.#failures = new OncePerSecond((count, reason) =>
      log.error("accept failed", { address: address(), reason, count }),
    );
    this.#drops = new OncePerSecond((count) => log.warn("no room for more sessions", { address: address(), count }));
  }

  acceptFailed(reason: string, times = 1): void {
    this.#failures.note(reason, times);
  }

  turnedAway(times = 1): void {
    this.#drops.note("", times);
  }

  stop(): void {
    this.#failures.stop();
    this.#drops.stop();
  }
}
