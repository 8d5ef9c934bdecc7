/** A question that waits for its answer. */
interface OpenCall {
  resolve(value: unknown): void;
  reject(cause: Error): void;
}

/** Questions to another process. Each is answered, refused, or told that nobody answers in time. */
export class OpenCalls {
  readonly #open = new Map<number, OpenCall>();
  #count = 0;

  /** Asks by `send`, and waits for the answer for so long at most. */
  ask<Value>(what: string, limitMs: number, send: (id: number) => void): Promise<Value> {
    const id = ++this.#count;
    return new Promise<Value>((resolve, reject) => {
      const late = (): void => this.#take(id)?.reject(new Error(`${what}: no answer within ${limitMs} ms`));
      const timer = setTimeout(late, limitMs);
      this.#open.set(id, {
        resolve: (value) => {
          clearTimeout(timer);
          resolve(value as Value); // by the contract of the call
        },
        reject: (cause) => {
          clearTimeout(timer);
          reject(cause);
        },
      });
      send(id);
    });
  }

  answered(id: number, value: unknown): void {
    this.#take(id)?.resolve(value);
  }

  refused(id: number, reason: Error): void {
    this.#take(id)?.reject(reason);
  }

  /** Nobody will answer any more. */
  end(reason: Error): void {
    for (const id of [...this.#open.keys()]) this.refused(id, reason);
  }

  #take(id: number): OpenCall | undefined {
    const call = this.#open.get(id);
    this.#open.delete(id);
    return call;
  }
}
