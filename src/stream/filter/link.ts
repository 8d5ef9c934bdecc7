import type { Awaitable } from "../session.ts";
import type { Pieces, Stage } from "./stage.ts";

const NONE: readonly Buffer[] = [];

/** A stage in its chain, with the pieces that wait in front of it. */
export class Link {
  /** It is asked nothing any more. */
  isClosed = false;
  readonly #stage: Stage;
  #pieces: readonly Buffer[] = NONE;
  #at = 0;
  #isHungry = true;
  #isDropped = false;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  /** It waits for what has limits of its own. */
  get isUnlimited(): boolean {
    return this.#stage.isUnlimited ?? false;
  }

  get isFramed(): boolean {
    return this.#stage.isFramed ?? false;
  }

  get hasWork(): boolean {
    return !this.isClosed && (!this.#isHungry || this.#at < this.#pieces.length);
  }

  /** Puts pieces in front of the stage. */
  take(pieces: readonly Buffer[]): void {
    this.#pieces = this.#at < this.#pieces.length ? [...this.#pieces.slice(this.#at), ...pieces] : pieces;
    this.#at = 0;
  }

  /** Asks the stage what comes out next. */
  work(): Awaitable<Pieces | undefined> {
    const piece = this.#isHungry ? this.#pieces[this.#at++] : undefined;
    if (piece) {
      this.#stage.push(piece);
      this.#isHungry = false;
    }
    return this.#stage.next();
  }

  /** Notes the stage's answer: with none, the next piece is due. */
  answered(pieces: Pieces | undefined): void {
    this.#isHungry = pieces === undefined || this.#isDropped;
  }

  end(isCut: boolean): Awaitable<Pieces | undefined> {
    this.isClosed = true;
    return this.#stage.end(isCut);
  }

  /** Forgets what the stage has not seen; only its end is still asked for. */
  drop(): void {
    this.#pieces = NONE;
    this.#at = 0;
    this.#isHungry = true;
    this.#isDropped = true;
  }
}
