import { type AsyncHook, createHook } from "node:async_hooks";
import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** What ends by itself in real time: turns of the event loop, files, names, ciphers and the like. Not streams, which may rest for ever. */
const ENDS_ITSELF = /^(?:Immediate|FSREQ.*|FILEHANDLECLOSEREQ|GET\w+INFOREQWRAP|QUERYWRAP|(?!HTTPCLIENT).*REQUEST)$/;

/** The system's own sockets, whose bytes no clock waits for. */
const REAL_SOCKET = /^(?:TCP|PIPE|UDP)WRAP$/;

/** Turns that are waited for without a pause: nearly everything ends within them. */
const EAGER_TURNS = 50;

/** Then, as many pauses of a millisecond. What still moves has no end: a loop that gives way to others, and goes on. */
const MAX_PAUSES = 10_000;

// Kept from before any clock is replaced.
const pause = sleep;
const turn = nextTurn;

/** Knows whether anything moves in the part of the process that is looked at. */
export class Activity implements Disposable {
  /** By its number, what ends by itself. */
  readonly #moving = new Map<number, object>();
  readonly #hook: AsyncHook;

  /** `isOurs`: whether the code that runs is what is looked at. `onRealSocket` is called when that opens a socket of the system's. */
  constructor(isOurs: () => boolean, onRealSocket: () => void) {
    const ended = (id: number): void => void this.#moving.delete(id);
    this.#hook = createHook({
      init: (id, type, _trigger, resource) => {
        if (ENDS_ITSELF.test(type) && isOurs()) this.#moving.set(id, resource);
        else if (REAL_SOCKET.test(type) && isOurs()) onRealSocket();
      },
      after: ended,
      destroy: ended,
    }).enable();
  }

  /**
   * Resolves when nothing moves any more, and all that runs now waits for time to go on, or for something that never comes. False:
   * something moves without end.
   */
  async rest(): Promise<boolean> {
    for (let turns = 0; turns < EAGER_TURNS + MAX_PAUSES; turns++) {
      if (turns < EAGER_TURNS) await turn();
      else await pause(1);
      for (const [id, resource] of this.#moving) if (isSynchronous(resource)) this.#moving.delete(id);
      if (this.#moving.size === 0) return true;
    }
    return false;
  }

  [Symbol.dispose](): void {
    this.#hook.disable();
  }
}

/** `randomBytes()` without callback and its like: they have ended where they began, and nobody is told. */
function isSynchronous(resource: object): boolean {
  return "run" in resource && !("ondone" in resource);
}
