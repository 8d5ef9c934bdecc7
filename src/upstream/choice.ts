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
      readonly localAddress?: string | undefined;
    };

/** A choice that was checked. */
export interface CheckedChoice {
  readonly address: string;
  readonly connectTimeoutMs: number | undefined;
  readonly localAddress: string | undefined;
}

/**
 * Checks what a hook answered, since no compiler saw the values.
 * @throws GatewayError RC_HOOK_FAILED
 */
export function checkChoice(choice: PeerChoice): CheckedChoice {
  const { address, connectTimeoutMs, localAddress } = typeof choice === "string" ? { address: choice } : choice;
  const endpoint = typeof address === "string" ? parseEndpoint(address) : undefined;
  if (!endpoint) throw new GatewayError("RC_HOOK_FAILED", `balancer: bad address ${JSON.stringify(address)}`);
  if (connectTimeoutMs !== undefined && !(connectTimeoutMs > 0 && connectTimeoutMs <= MAX_TIMER_MS)) {
    throw new GatewayError("RC_HOOK_FAILED", "balancer: bad connect timeout");
  }
  if (localAddress !== undefined && isIP(localAddress) === 0) {
    throw new GatewayError("RC_HOOK_FAILED", `balancer: bad local address ${JSON.stringify(localAddress)}`);
  }
  return { address: formatEndpoint(endpoint), connectTimeoutMs, localAddress };
}
