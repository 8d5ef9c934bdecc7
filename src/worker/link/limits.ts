/** Times of a link. Each has a default; tests and unusual networks have their own. */
export interface LinkTiming {
  /** How long a connect may take. */
  readonly connectMs: number;
  /** How long a game server may take to answer a hello. */
  readonly welcomeMs: number;
  /** A ping goes out so often. */
  readonly heartbeatMs: number;
  /** A server that has not sent a frame so long after a ping is gone. */
  readonly heartbeatTimeoutMs: number;
  /** The first wait before another attempt, without its jitter; it doubles up to `maxRetryMs`. */
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
  /** A link that has lasted so long is forgotten its failures: one that breaks at once, again and again, is not. */
  readonly stableMs: number;
  /** How long a goodbye may take to leave. */
  readonly goodbyeMs: number;
}

/** Half-open connections are found within 15 s, at the price of two small frames in five. */
export const TIMING: LinkTiming = {
  connectMs: 5_000,
  welcomeMs: 5_000,
  heartbeatMs: 5_000,
  heartbeatTimeoutMs: 10_000,
  minRetryMs: 250,
  maxRetryMs: 10_000,
  stableMs: 5_000,
  goodbyeMs: 1_000,
};

/** Sizes of a link. */
export interface LinkLimits {
  /** The largest frame, in either direction. */
  readonly frameBytes: number;
  /** Messages to one server that wait for it to read; those beyond are dropped. */
  readonly queueBytes: number;
  /** The same for messages from one server that wait for hooks. */
  readonly inboxBytes: number;
  readonly inboxMessages: number;
}

/** A megabyte, as for `receiveFrame` and filters: with a queue each way, a link holds 4 MiB at worst. */
export const LIMITS: LinkLimits = {
  frameBytes: 1_048_576,
  queueBytes: 1_048_576,
  inboxBytes: 1_048_576,
  inboxMessages: 1_000,
};
