import type { WorkerIds } from "../identity.ts";
import type { Worker } from "../worker.ts";
import type { Holder } from "./leases.ts";

/** The numbers of the worker in this process, as those who lease them see them: it is told what becomes of them, also of what came while it started. */
export class OwnNumbers implements Holder {
  readonly ids: WorkerIds;
  readonly left: Promise<void>;
  readonly ended: Promise<void>;
  /** From here on it makes no more ids by a number that is not leased. */
  readonly leave: () => void;
  /** It is no more. */
  readonly end: () => void;
  #worker: Worker | undefined;
  #news: ((worker: Worker) => void) | undefined;

  constructor(ids: WorkerIds) {
    this.ids = ids;
    let leave = (): void => {};
    let end = (): void => {};
    this.left = new Promise((resolve) => {
      leave = resolve;
    });
    this.ended = new Promise((resolve) => {
      end = resolve;
    });
    this.leave = leave;
    this.end = () => {
      leave();
      end();
    };
  }

  /** The worker has started. */
  tell(worker: Worker): void {
    this.#worker = worker;
    this.#news?.(worker);
  }

  held(masterId: number, untilMs: number): void {
    this.#pass((worker) => worker.hold(masterId, untilMs));
  }

  lost(why: string): void {
    this.#pass((worker) => worker.identity.lose(why));
  }

  #pass(news: (worker: Worker) => void): void {
    this.#news = news;
    if (this.#worker) news(this.#worker);
  }
}
