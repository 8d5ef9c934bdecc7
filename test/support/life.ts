import type { Life } from "../../src/upstream/abort.ts";

/** Somebody who waits as long as the signal lets him. */
export function lifeOf(signal: AbortSignal): Life {
  return {
    signal,
    get isOver() {
      return signal.aborted;
    },
  };
}
