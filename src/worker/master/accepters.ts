import type { Log } from "../../stream/log.ts";
import type { ListeningSocket } from "./given-sockets.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A worker that could not accept (it has no file descriptor left, or is busy) is asked again after so long. */
const AGAIN_MS = 1_000;

/** What workers are to accept at: each listening socket is somebody's. */
export type Shares = ReadonlyMap<WorkerProcess, readonly ListeningSocket[]>;

interface AcceptersParts {
  readonly log: Log;
  /** Asked each time. */
  readonly shares: () => Shares;
  /** All is as it should be: nobody else needs to accept. */
  readonly onSettled: () => void;
}

/**
 * Has each listening socket accepted at by a worker that lives: by that of its number, or while there is none by another. A socket
 * changes hands without a gap: who takes it accepts before the other leaves it.
 */
export class Accepters {
  readonly #parts: AcceptersParts;
  #turn: Promise<boolean> = Promise.resolve(true);
  #again: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(parts: AcceptersParts) {
    this.#parts = parts;
  }

  /** Workers or sockets have come or gone. Resolves when all is as it should be; false: it will be tried again. */
  settle(): Promise<boolean> {
    this.#turn = this.#turn.then(() => this.#settle());
    return this.#turn;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#again);
  }

  async #settle(): Promise<boolean> {
    clearTimeout(this.#again);
    if (this.#isStopped) return true;
    const shares = [...this.#parts.shares()];
    const accepted = await Promise.allSettled(shares.map(([{ sockets }, share]) => sockets.accept(share)));
    if (!accepted.every(isDone)) {
      this.#retry(shares, accepted);
      return false;
    }
    await Promise.allSettled(shares.map(([{ sockets }, share]) => sockets.keepOnly(share)));
    this.#parts.onSettled();
    return true;
  }

  /** Nobody leaves a socket before all have what they need. */
  #retry(
    shares: readonly (readonly [WorkerProcess, unknown])[],
    accepted: readonly PromiseSettledResult<void>[],
  ): void {
    accepted.forEach((result, index) => {
      const worker = shares[index]?.[0];
      if (isDone(result) || worker?.hasLeft) return; // who has left is asked no more
      this.#parts.log.warn("worker does not accept", {
        worker: worker?.ids.number,
        pid: worker?.pid,
        err: result.reason,
      });
    });
    if (this.#isStopped) return;
    this.#again = setTimeout(() => void this.settle(), AGAIN_MS);
  }
}

function isDone<Value>(result: PromiseSettledResult<Value>): result is PromiseFulfilledResult<Value> {
  return result.status === "fulfilled";
}
