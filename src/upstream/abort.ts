import { GatewayError } from "../errors.ts";

/** How long somebody wants what he asked for. His signal is made only where somebody waits for it: most sessions never need one. */
export interface Life {
  readonly isOver: boolean;
  readonly signal: AbortSignal;
}

/** How long somebody may wait. */
export interface WaitLimits {
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number | undefined;
  /** What is thrown when the time is over. */
  readonly late?: (() => GatewayError) | undefined;
}

/** Why a signal aborted, as an error of ours. Whoever aborts says so by a GatewayError as the reason. */
export function abortError(signal: AbortSignal): GatewayError {
  return GatewayError.from(signal.reason, "RC_SHUTDOWN");
}

/** Waits for `work`, but no longer than allowed. What comes later is dropped; the work itself goes on. */
export function patiently<T>(work: Promise<T>, { signal, timeoutMs, late }: WaitLimits): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => settle(() => reject(signal ? abortError(signal) : undefined));
    const expire = (): void => settle(() => reject(late?.() ?? new GatewayError("RC_INTERNAL", "too late")));
    const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
    const settle = (finish: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      finish();
    };
    work.then(
      (value) => settle(() => resolve(value)),
      (cause) => settle(() => reject(cause)),
    );
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
