import type { CacheAnswer } from "./cache-answer.ts";

/** What those who wait are told: the answer; `dropped`: nobody believes in it any more; `late`: they have waited long enough. */
export type Awaited<Value> = CacheAnswer<Value> | "dropped" | "late";

/** A value on its way from a callback, and the sessions of this worker that wait for it. It may never come: then nothing is left of them. */
export class Loading<Value> {
  readonly #waiting = new Set<(told: Awaited<Value>) => void>();

  wait(timeoutMs: number): Promise<Awaited<Value>> {
    return new Promise((resolve) => {
      const end = (told: Awaited<Value>): void => {
        clearTimeout(timer);
        this.#waiting.delete(end);
        resolve(told);
      };
      const timer = setTimeout(() => end("late"), timeoutMs);
      this.#waiting.add(end);
    });
  }

  tell(told: Awaited<Value>): void {
    for (const end of [...this.#waiting]) end(told);
  }
}
