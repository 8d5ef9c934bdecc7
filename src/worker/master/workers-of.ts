import { availableParallelism } from "node:os";
import type { GatewayConfig } from "../../gateway.ts";

/** How many processes a configuration wants. */
export function workersOf({ workers = 1 }: GatewayConfig): number {
  return workers === "auto" ? availableParallelism() : workers;
}
