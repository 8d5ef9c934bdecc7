/** More sessions than a worker can have wait for nothing; a semaphore that nobody posts to must not eat the memory. */
export const MAX_SEMAPHORE_WAITERS = 65_536;

/** The longest time that Node's timers take. */
const MAX_WAIT_MS = 2_147_483_647;

/** What `wait` answers, in OpenResty's words. */
export type SemaphoreAnswer =
  | { readonly ok: true; readonly err?: undefined }
  | { readonly ok?: undefined; readonly err: "timeout" | "too many waiters" };

/** Resources that sessions of one worker take and give back. Nothing of it reaches other workers: for that there is `lock`. */
export interface Semaphore {
  /**
   * Takes one resource, after all who asked before, or answers `timeout`; 0 does not wait. When the signal aborts, rejects with
   * its reason. Any phase that may await. OpenResty: `sema:wait`. @throws TypeError `no negative number`
   */
  wait(timeoutMs: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<SemaphoreAnswer>;
  /** Gives `n` resources, 1 when absent, to those who wait longest. Any phase. @throws TypeError `no negative number` */
  post(n?: number): void;
  /** Resources that are free; when negative, how many wait. */
  count(): number;
}

/** Makes a semaphore with `n` free resources. Any phase. OpenResty: `ngx.semaphore.new`. @throws TypeError `no negative number` */
export function semaphore(n = 0): Semaphore {
  return new FifoSemaphore(checkedCount(n, 0));
}

const TAKEN: SemaphoreAnswer = Object.freeze({ ok: true });
const TIMEOUT: SemaphoreAnswer = Object.freeze({ err: "timeout" });
const TOO_MANY: SemaphoreAnswer = Object.freeze({ err: "too many waiters" });

interface Settle {
  readonly resolve: (answer: SemaphoreAnswer) => void;
  readonly reject: (cause: unknown) => void;
}

class FifoSemaphore implements Semaphore {
  /** Whoever waits is told by a call; the first of the set has waited longest. While there is one, nothing is free. */
  readonly #waiters = new Set<() => void>();
  #free: number;

  constructor(free: number) {
    this.#free = free;
  }

  /** One promise for each wait, without another around it: who is served first also goes on first. */
  wait(timeoutMs: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<SemaphoreAnswer> {
    return new Promise((resolve, reject) => {
      const waitMs = checkedWait(timeoutMs);
      signal?.throwIfAborted();
      if (this.#free > 0) {
        this.#free--;
        resolve(TAKEN);
      } else if (waitMs === 0) resolve(TIMEOUT);
      else if (this.#waiters.size >= MAX_SEMAPHORE_WAITERS) resolve(TOO_MANY);
      else this.#stand(waitMs, signal, { resolve, reject });
    });
  }

  post(n = 1): void {
    this.#free += checkedCount(n, 1);
    for (const take of this.#waiters) {
      if (this.#free === 0) return;
      this.#free--;
      take();
    }
  }

  count(): number {
    return this.#free - this.#waiters.size;
  }

  #stand(waitMs: number, signal: AbortSignal | undefined, { resolve, reject }: Settle): void {
    const leave = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      this.#waiters.delete(take);
    };
    const take = (): void => {
      leave();
      resolve(TAKEN);
    };
    const abort = (): void => {
      leave();
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      leave();
      resolve(TIMEOUT);
    }, waitMs);
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiters.add(take);
  }
}

function checkedCount(n: unknown, min: number): number {
  if (typeof n !== "number" || !Number.isSafeInteger(n)) throw new TypeError(`expected a whole number, got ${n}`);
  if (n < min) throw new TypeError("no negative number");
  return n;
}

/** A longer time than timers take is as good as none. */
function checkedWait(ms: unknown): number {
  if (typeof ms !== "number" || Number.isNaN(ms)) throw new TypeError(`expected a number of milliseconds, got ${ms}`);
  if (ms < 0) throw new TypeError("no negative number");
  return Math.min(ms, MAX_WAIT_MS);
}
