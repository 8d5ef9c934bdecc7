import { setImmediate as nextTurn } from "node:timers/promises";
import type { Connection } from "../stream/connection.ts";

/** At each step so many hear of it at least: clients come back at once, and a hundred in a second hurt nobody. */
const LEAST_PER_STEP = 25;

/** At once; others have their turn in between. Each takes a session into JavaScript, some 0.1 ms. */
const MOST_PER_TURN = 16;

/** Sessions that wait for their last response: each takes some 20 KB, as all that JavaScript carries. */
const MOST_WAITING = 10_000;

/** Announces the end to sessions whose protocol has a word for it in its next answer: `Connection: close`. */
export class Announcer {
  #isBusy = false;
  /** Where the next call goes on, so that those who are never at rest keep nobody else from it. */
  #from = 0;

  /** Goes on with those that have not heard of it, evenly in so many steps; to be called at each of them. */
  async next(sessions: readonly Connection[], stepsLeft: number): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (const batch of this.#batches(sessions, stepsLeft)) {
      await Promise.all(batch.map(({ farewell }) => farewell?.announce()));
      await nextTurn();
    }
    this.#isBusy = false;
  }

  #batches(sessions: readonly Connection[], stepsLeft: number): readonly (readonly Connection[])[] {
    const announceable = sessions.filter(({ farewellKind }) => farewellKind === "response");
    const open = announceable.filter(({ farewell }) => farewell?.isAnnounced === false);
    const room = MOST_WAITING - (announceable.length - open.length);
    const share = Math.max(LEAST_PER_STEP, Math.ceil(open.length / Math.max(1, stepsLeft)));
    const size = Math.min(open.length, room, share);
    if (size <= 0) return [];
    const from = this.#from % open.length;
    this.#from = from + size;
    const chosen = [...open.slice(from), ...open.slice(0, from)].slice(0, size);
    return Array.from({ length: Math.ceil(size / MOST_PER_TURN) }, (_, turn) =>
      chosen.slice(turn * MOST_PER_TURN, (turn + 1) * MOST_PER_TURN),
    );
  }
}
