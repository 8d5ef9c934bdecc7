/** Is told where user code runs on the event loop, so that somebody can see it being held. Calls cost some ten nanoseconds. */
export interface HookWatch {
  /** A hook is about to be called. */
  enter(phase: string): void;
  /** It has returned: a value, or a promise. Each `enter` has its `leave`, also when the hook throws. */
  leave(): void;
  /** It has returned a promise, and may go on at any time. */
  begin(): void;
  /** That promise is settled, or nobody waits for it any more. Each `begin` has its `end`. */
  end(): void;
}

/** Calls user code of a phase, with whoever watches told. */
export function watched<Result>(watch: HookWatch | undefined, phase: string, work: () => Result): Result {
  watch?.enter(phase);
  try {
    return work();
  } finally {
    watch?.leave();
  }
}
