/** nginx's `max_fails` and `fail_timeout`. */
export interface FailPolicy {
  /** 0: the peer is never taken down. */
  readonly maxFails: number;
  readonly failTimeoutMs: number;
}

/** Whether a peer is given sessions. `probing`: it was down, and one session is finding out whether it is up again. */
export type PeerState =
  | { readonly kind: "up"; readonly fails: number; readonly failedAt: number }
  | { readonly kind: "down"; readonly retryAt: number }
  | { readonly kind: "probing" }
  | { readonly kind: "draining" };

/**
 * What happens to a peer. `probe`: a session was sent to it although it is down; `abandoned`: that session
 * ended before the answer. `failed` says whether it is the probe's own failure. `now` is any steady clock, in milliseconds.
 */
export type PeerEvent =
  | { readonly kind: "ok" }
  | { readonly kind: "failed"; readonly now: number; readonly probe: boolean }
  | { readonly kind: "probe"; readonly now: number }
  | { readonly kind: "abandoned"; readonly now: number }
  | { readonly kind: "drain" }
  | { readonly kind: "resume" };

/** How every peer begins. */
export const fresh: PeerState = { kind: "up", fails: 0, failedAt: Number.NEGATIVE_INFINITY };

/**
 * The whole life of a peer as one table. As in nginx, failures are forgotten `failTimeoutMs` after the last one, not by
 * the successes between them; and when that time is over a peer which is down gets one session, alone.
 */
export function nextState(state: PeerState, event: PeerEvent, policy: FailPolicy): PeerState {
  if (event.kind === "drain") return { kind: "draining" };
  if (state.kind === "draining") return event.kind === "resume" ? fresh : state;
  switch (event.kind) {
    case "ok":
      return state.kind === "up" ? state : fresh;
    case "failed":
      return afterFailure(state, event, policy);
    case "probe":
      return isDue(state, event.now) ? { kind: "probing" } : state;
    case "abandoned":
      return state.kind === "probing" ? { kind: "down", retryAt: event.now } : state;
    case "resume":
      return state;
    default:
      return event satisfies never;
  }
}

/** True when a peer in this state may be given a session now. */
export function isOpen(state: PeerState, now: number): boolean {
  return state.kind === "up" || isDue(state, now);
}

function isDue(state: PeerState, now: number): boolean {
  return state.kind === "down" && now >= state.retryAt;
}

function afterFailure(
  state: Exclude<PeerState, { kind: "draining" }>,
  { now, probe }: { readonly now: number; readonly probe: boolean },
  { maxFails, failTimeoutMs }: FailPolicy,
): PeerState {
  // A late failure of a session from before says nothing new, and must not let a second probe in.
  if (state.kind === "probing" && !probe) return state;
  if (state.kind === "up") {
    const fails = now - state.failedAt <= failTimeoutMs ? state.fails + 1 : 1;
    if (maxFails === 0 || fails < maxFails) return { kind: "up", fails, failedAt: now };
  }
  return { kind: "down", retryAt: now + failTimeoutMs };
}
