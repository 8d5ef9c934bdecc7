import { GatewayError } from "../errors.ts";
import { Deadline } from "./deadline.ts";
import type { Head } from "./incoming.ts";

/** How long a client may take to show its protocol: in all, and before a `silent` route takes it for a listener. */
export class Patience {
  readonly total: Deadline;
  /** When that is over, by `performance.now()`. */
  endsAt: number;
  readonly #totalMs: number;
  readonly #silence: Deadline | undefined;
  readonly #speaksFirst: boolean;

  /** `silentMs` comes from the `silent` route, when there is one; 0 means that the server always speaks first. */
  constructor(totalMs: number, silentMs: number | undefined) {
    this.total = new Deadline(totalMs);
    this.endsAt = performance.now() + totalMs;
    this.#totalMs = totalMs;
    this.#speaksFirst = silentMs === 0;
    if (silentMs !== undefined) this.#silence = new Deadline(Math.min(silentMs, totalMs));
  }

  /**
   * Waits for the first byte, and says whether the client stayed silent until the `silent` route was due.
   * @throws GatewayError RC_CLIENT_CLOSED, RC_CLIENT_RESET, and RC_PREREAD_TIMEOUT where there is no such route
   */
  async isSilent(head: Head): Promise<boolean> {
    if (this.#speaksFirst) return true;
    const growth = await head.grow(1, this.#silence ?? this.total);
    if (growth === "reset") throw new GatewayError("RC_CLIENT_RESET");
    if (growth === "ended") throw new GatewayError("RC_CLIENT_CLOSED", "before its first byte");
    if (growth === "timeout" && !this.#silence) throw new GatewayError("RC_PREREAD_TIMEOUT", "the client said nothing");
    return growth === "timeout";
  }

  /** Begins anew: after TLS has started, the client must show the protocol inside. */
  rearm(): void {
    this.total.rearm();
    this.endsAt = performance.now() + this.#totalMs;
    this.#silence?.rearm();
  }

  stop(): void {
    this.total.stop();
    this.#silence?.stop();
  }
}
