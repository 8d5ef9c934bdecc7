/** The places of what the event loop and the thread that watches it tell each other, in 32-bit words of shared memory. */
export const words = {
  /** Counts calls of hooks and their returns: odd while one runs. */
  calls: 0,
  /** Number of the phase of the last call. */
  phase: 1,
  /** Counts signs of life; they are given while hooks wait. */
  beats: 2,
  /** Within so many milliseconds the next one is due; 0: none is. */
  beatDueMs: 3,
  /** 1: the thread sleeps, and must be woken by the next call. */
  isAsleep: 4,
  /** Where it sleeps: changes when it is woken. */
  wake: 5,
  /** 1: somebody debugs the process, who must not be disturbed. */
  isDebugged: 6,
  /** Never changes: to wait for nothing but time. */
  never: 7,
} as const;

export const WORDS_BYTES: number = 4 * Object.keys(words).length;

/** Between two signs of life. */
export const BEAT_MS = 25;

/** What the thread was given to watch with. */
export interface ThreadInput {
  readonly memory: SharedArrayBuffer;
}

/** A place on the stack. Lines and columns count from 0, in the code that runs. */
export interface Frame {
  readonly functionName: string;
  readonly url: string;
  readonly line: number;
  readonly column: number;
}

/** What the thread tells: first that it watches, then of each hold. */
export type ThreadMessage =
  | { readonly kind: "ready" }
  | {
      readonly kind: "held";
      /** Number of the phase whose hook was called; undefined: something went on after it had waited. */
      readonly phase: number | undefined;
      readonly heldMs: number;
      /** The innermost first; empty where it could not be seen. */
      readonly frames: readonly Frame[];
    };
