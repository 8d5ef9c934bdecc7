import { isDebugged } from "./debugged.ts";
import { BEAT_MS, MISSED_BEATS } from "./limits.ts";

/**
 * Asks a process again and again for a sign of life, and tells when it has failed to give one too often: its event loop stands still,
 * and its clients wait for nothing. Beats are counted, not time: where this process itself was held up, the other is not blamed.
 */
export class Pulse {
  readonly #timer: NodeJS.Timeout | undefined;
  #missed = 0;

  /** A process that runs under a debugger may stand still for as long as it likes. */
  constructor(ask: () => Promise<unknown>, onStuck: () => void) {
    if (isDebugged()) return;
    this.#timer = setInterval(() => {
      if (this.#missed >= MISSED_BEATS) return onStuck();
      this.#missed++;
      ask().then(
        () => {
          this.#missed = 0;
        },
        () => {},
      );
    }, BEAT_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
