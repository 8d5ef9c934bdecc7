import type { Outcome } from "./question.ts";

/** Questions without an answer at one time; a worker that has more asks in a loop. */
const MAX_PENDING = 1_000;

/** A question under way. */
interface Asked {
  readonly outcomes: Outcome[];
  isEnough(outcomes: readonly Outcome[]): boolean;
  finish(): void;
}

/** Questions that others have not answered yet: each waits for enough answers, or for its time to be over. */
export class Pending {
  readonly #asked = new Map<string, Asked>();
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** False: no more can be asked now. */
  get hasRoom(): boolean {
    return this.#asked.size < MAX_PENDING;
  }

  /** The answers that have come when there were enough of them, or nobody had more time. */
  wait(id: string, isEnough: Asked["isEnough"]): Promise<readonly Outcome[]> {
    return new Promise((resolve) => {
      const outcomes: Outcome[] = [];
      const finish = (): void => {
        clearTimeout(timer);
        this.#asked.delete(id);
        resolve(outcomes);
      };
      const timer = setTimeout(finish, this.#timeoutMs).unref();
      this.#asked.set(id, { outcomes, isEnough, finish });
      if (isEnough(outcomes)) finish();
    });
  }

  /** An answer has come; what nobody asked, or asks any more, is passed over. */
  take(outcome: Outcome): void {
    const asked = this.#asked.get(outcome.id);
    if (!asked || asked.outcomes.some(({ worker }) => worker === outcome.worker)) return;
    asked.outcomes.push(outcome);
    if (asked.isEnough(asked.outcomes)) asked.finish();
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const { finish } of [...this.#asked.values()]) finish();
  }
}
