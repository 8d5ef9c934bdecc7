import { isIP } from "node:net";
import { formatEndpoint, parseEndpoint } from "../codecs/address.ts";
import { MAX_TIMER_MS } from "../codecs/timer.ts";
import { GatewayError } from "../errors.ts";

/** What a balancer hook may answer: an address, with settings for this attempt. The host may be a name. */
export type PeerChoice =
  | string
  | {
      readonly address: string;
      readonly connectTimeoutMs?: number | undefined;
      /** Of the relay with this peer. OpenResty: the larger one of `set_timeouts`' send and read timeout. */
      readonly idleTimeoutMs?: number | undefined;
      readonly localAddress?: string | undefined;
    };

/** A choice that was checked. */
export interface CheckedChoice {
  readonly address: string;
  readonly connectTimeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  readonly localAddress: string | undefined;
}

/**
 * Checks what a hook answered, since no compiler saw the values.
 * @throws GatewayError RC_HOOK_FAILED
 */
export function checkChoice(choice: PeerChoice): CheckedChoice {
  const chosen = typeof choice === "string" ? { address: choice } : choice;
  const { address, connectTimeoutMs, idleTimeoutMs, localAddress } = chosen;
  const endpoint = typeof address === "string" ? parseEndpoint(address) : undefined;
  if (!endpoint) throw new GatewayError("RC_HOOK_FAILED", `balancer: bad address ${JSON.stringify(address)}`);
  if (!isTimeout(connectTimeoutMs)) throw new GatewayError("RC_HOOK_FAILED", "balancer: bad connect timeout");
  if (!isTimeout(idleTimeoutMs)) throw new GatewayError("RC_HOOK_FAILED", "balancer: bad idle timeout");
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new GatewayError("RC_HOOK_FAILED", `balancer: bad local address ${JSON.stringify(localAddress)}`);
  }
  return { address: formatEndpoint(endpoint), connectTimeoutMs, idleTimeoutMs, localAddress };
}

/** Undefined keeps what is configured. */
function isTimeout(ms: number | undefined): boolean {
  return ms === undefined || (ms > 0 && ms <= MAX_TIMER_MS);
}
