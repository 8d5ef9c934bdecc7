import { GatewayError } from "../errors.ts";
import type { Head } from "./incoming.ts";

/** What it means here that the client was too late, or ended in the middle. */
export interface Shortfall {
  readonly late: () => GatewayError;
  readonly cut: () => GatewayError;
}

/**
 * Waits until so many first bytes are there, where nothing can go on without them.
 * @throws GatewayError RC_CLIENT_RESET, RC_CLIENT_CLOSED when not a single byte came, and what the shortfall says
 */
export async function waitFor(atLeast: number, head: Head, until: number, { late, cut }: Shortfall): Promise<void> {
  const growth = await head.grow(atLeast, until);
  if (growth === "reset") throw new GatewayError("RC_CLIENT_RESET");
  if (growth === "timeout") throw late();
  if (growth === "ended") throw head.size === 0 ? new GatewayError("RC_CLIENT_CLOSED", "before its first byte") : cut();
}
