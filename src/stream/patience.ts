import { GatewayError } from "../errors.ts";
import type { Head } from "./incoming.ts";

/** How long a client may take to show its protocol: in all, and before a `silent` route takes it for a listener. */
export class Patience {
  readonly #totalMs: number;
  readonly #silentMs: number | undefined;
  #began: number;

  /** `silentMs` comes from the `silent` route, when there is one; 0 means that the server always speaks first. */
  constructor(totalMs: number, silentMs: number | undefined, began: number) {
    this.#totalMs = totalMs;
    this.#silentMs = silentMs;
    this.#began = began;
  }

  /** When it is over, by `performance.now()`. */
  get endsAt(): number {
    return this.#began + this.#totalMs;
  }

  /**
   * Waits for the first byte, and says whether the client stayed silent until the `silent` route was due.
   * @throws GatewayError RC_CLIENT_CLOSED, RC_CLIENT_RESET, and RC_PREREAD_TIMEOUT where there is no such route
   */
  async isSilent(head: Head): Promise<boolean> {
    const silentMs = this.#silentMs;
    if (silentMs === 0) return true;
    if (head.size > 0) return false;
    const growth = await head.grow(1, this.#began + firstByteMs(this.#totalMs, silentMs));
    if (growth === "reset") throw new GatewayError("RC_CLIENT_RESET");
    if (growth === "ended") throw new GatewayError("RC_CLIENT_CLOSED", "before its first byte");
    if (growth === "timeout" && silentMs === undefined)
      throw new GatewayError("RC_PREREAD_TIMEOUT", "the client said nothing");
    return growth === "timeout";
  }

  /** Begins anew: after TLS has started, the client must show the protocol inside. */
  rearm(): void {
    this.#began = performance.now();
  }
}

/** How long the first byte may take, on a server with this preread limit and `silent` route. */
export function firstByteMs(totalMs: number, silentMs: number | undefined): number {
  return Math.min(totalMs, silentMs ?? Number.POSITIVE_INFINITY);
}
