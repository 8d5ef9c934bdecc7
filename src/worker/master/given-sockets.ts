import type { SocketName } from "./inherited-sockets.ts";
import type { SocketHandle } from "./socket-handle.ts";

/** A listening socket of the gateway. */
export interface ListeningSocket extends SocketName {
  readonly handle: SocketHandle;
}

/** How a worker is reached. */
interface Receiver {
  send(name: SocketName, handle: SocketHandle): void;
  accept(names: readonly SocketName[]): Promise<void>;
  leave(names: readonly SocketName[]): Promise<void>;
}

/** Which listening sockets one worker has. */
export class GivenSockets {
  readonly #worker: Receiver;
  readonly #given = new Map<SocketHandle, SocketName>();
  /** Of those: it has said that it accepts there. */
  readonly #accepted = new Set<SocketHandle>();

  constructor(worker: Receiver) {
    this.#worker = worker;
  }

  /** Sends what it has not got yet. */
  give(sockets: readonly ListeningSocket[]): void {
    for (const { key, place, handle } of sockets) {
      if (this.#given.has(handle)) continue;
      this.#given.set(handle, { key, place });
      this.#worker.send({ key, place }, handle);
    }
  }

  /** Resolves when it accepts at all of these. When it fails, they can be given anew. */
  async accept(sockets: readonly ListeningSocket[]): Promise<void> {
    this.give(sockets);
    const fresh = sockets.filter(({ handle }) => !this.#accepted.has(handle));
    if (fresh.length === 0) return;
    try {
      await this.#worker.accept(fresh.map(({ key, place }) => ({ key, place })));
      for (const { handle } of fresh) this.#accepted.add(handle);
    } catch (cause) {
      for (const { handle } of fresh) this.#given.delete(handle);
      throw cause;
    }
  }

  /** Resolves when it accepts nowhere else. What it has got and not begun with is left alone: it may be about to. */
  async keepOnly(sockets: readonly ListeningSocket[]): Promise<void> {
    const kept = new Set(sockets.map(({ handle }) => handle));
    const gone = [...this.#given].filter(([handle]) => this.#accepted.has(handle) && !kept.has(handle));
    if (gone.length === 0) return;
    this.forget(gone.map(([handle]) => handle));
    await this.#worker.leave(gone.map(([, name]) => name));
  }

  /** It has closed them by itself. */
  forget(handles: readonly SocketHandle[]): void {
    for (const handle of handles) {
      this.#given.delete(handle);
      this.#accepted.delete(handle);
    }
  }
}
