/** Has works done one after the other, in the order in which they were asked for. One that fails holds up no other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves and rejects as the work does, when its turn has come. */
  take<Value>(work: () => Promise<Value>): Promise<Value> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Resolves when none is left, those included that were asked for meanwhile. */
  async idle(): Promise<void> {
    for (let seen: unknown; seen !== this.#last; ) {
      seen = this.#last;
      await seen;
    }
  }
}
