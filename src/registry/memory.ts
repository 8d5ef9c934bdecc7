import { type Change, mustFit, type PutOptions, type Registry, ttlOf } from "./registry.ts";
import { MAX_KEYS, Table } from "./table.ts";

/** The registry of a gateway that stands alone: same interface and laws as the shared ones, kept in this process only. */
export function memoryRegistry(): Registry {
  return new MemoryRegistry();
}

class MemoryRegistry implements Registry {
  readonly #table = new Table();
  #isClosed = false;

  async get(key: string): Promise<string | undefined> {
    this.#mustBeOpen();
    return this.#table.answer(key);
  }

  async list(prefix: string): Promise<ReadonlyMap<string, string>> {
    this.#mustBeOpen();
    return this.#table.answerAll(prefix);
  }

  async put(key: string, value: string, options: PutOptions = {}): Promise<void> {
    this.#mustBeOpen();
    mustFit(value);
    const expires = performance.now() + (ttlOf(options) ?? Number.POSITIVE_INFINITY);
    if (!this.#table.set(key, value, expires)) throw new Error(`registry is full: ${MAX_KEYS} keys`);
  }

  async delete(key: string): Promise<boolean> {
    this.#mustBeOpen();
    return this.#table.delete(key);
  }

  watch(prefix: string, signal: AbortSignal): AsyncIterable<Change> {
    this.#mustBeOpen();
    return this.#table.watch(prefix, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#table.close();
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new Error("registry is closed");
  }
}
