import type { ErrorCode } from "../errors.ts";
import type { LivePeer } from "./live-peers.ts";
import type { FailPolicy } from "./peer-state.ts";

/** One connect to one address, for the log: nginx's `$upstream_addr` and `$upstream_connect_time`. */
export interface Attempt {
  /** The peer as configured. */
  readonly peer: string;
  /** The address that was tried; the peer's own text when its name could not be resolved. */
  readonly address: string;
  readonly ok: boolean;
  /** Undefined for a failed attempt. */
  readonly connectMs: number | undefined;
  /** Why it failed. */
  readonly code: ErrorCode | undefined;
}

/** A session's place on a peer, from the choice until it lets go: what `maxConns` and `leastConn` count. */
export class Claim {
  readonly #live: LivePeer;
  readonly #policy: FailPolicy;
  readonly #judged: boolean;
  readonly #probe: boolean;
  #isHeld = true;

  /** `judged` false: failures take nobody down. */
  constructor(live: LivePeer, policy: FailPolicy, { now, judged }: { readonly now: number; readonly judged: boolean }) {
    this.#live = live;
    this.#policy = policy;
    this.#judged = judged;
    live.begin();
    this.#probe = judged && live.report({ kind: "probe", now }, policy);
  }

  connected(): void {
    this.#live.report({ kind: "ok" }, this.#policy);
  }

  failed(now: number): void {
    if (this.#judged) this.#live.report({ kind: "failed", now, probe: this.#probe }, this.#policy);
  }

  /** Ended without a verdict on the peer, e.g. because the client went away. The next session may probe. */
  abandoned(now: number): void {
    if (this.#probe) this.#live.report({ kind: "abandoned", now }, this.#policy);
  }

  /** The place goes to whoever carries the session. */
  leaseOf<T>(value: T): Lease<T> {
    this.#isHeld = false;
    return new Lease(value, this.#live);
  }

  /** Counts once, however often it is called. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#live.end();
  }
}

/** A connected peer, counted as in use until released: `using lease = await upstream.connect(…)`. */
export class Lease<T> implements Disposable {
  /** What the dial function answered. */
  readonly value: T;
  #live: LivePeer | undefined;

  constructor(value: T, live: LivePeer) {
    this.value = value;
    this.#live = live;
  }

  /** Counts once, however often it is called. */
  release(): void {
    this.#live?.end();
    this.#live = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
