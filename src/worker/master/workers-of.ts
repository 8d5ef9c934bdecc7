import { availableParallelism } from "node:os";
import type { GatewayConfig } from "../../gateway.ts";

/** How many processes a configuration wants. */
export function workersOf({ workers = 1 }: Pick<GatewayConfig, "workers">): number {
  return workers === "auto" ? availableParallelism() : workers;
}
