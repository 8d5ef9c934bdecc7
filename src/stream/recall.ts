import { setImmediate as nextTurn } from "node:timers/promises";
import type { Recalled } from "./relay.ts";

/** Takes a relay back, once: at a moment of rest that lasts for a whole turn of the event loop, in which all that can be read is read. */
export class Recall {
  #state: "none" | "asked" | "done" = "none";

  /** The relay is over, and its sides are somebody else's. */
  get isDone(): boolean {
    return this.#state === "done";
  }

  /** Undefined: the relay was not at rest, was taken back before, or somebody else is about to. */
  async take(isAtRest: () => boolean, giveBack: () => Recalled): Promise<Recalled | undefined> {
    if (this.#state !== "none" || !isAtRest()) return undefined;
    this.#state = "asked";
    await nextTurn();
    this.#state = isAtRest() ? "done" : "none";
    return this.isDone ? giveBack() : undefined;
  }
}
