import { availableParallelism } from "node:os";
import type { GatewayConfig } from "../../gateway.ts";
import { whyNotShared } from "../../shared/dict/self-test.ts";
import type { Log } from "../../stream/log.ts";
import { dictSizesOf } from "../dict-sizes.ts";

/** How many processes a configuration wants. */
export function workersOf({ workers = 1 }: Pick<GatewayConfig, "workers">): number {
  return workers === "auto" ? availableParallelism() : workers;
}

/** A configuration is served by one process: it wants no more, or several could not share their dictionaries, and each would count for itself. */
export async function isOneProcess(config: GatewayConfig, log: Log): Promise<boolean> {
  if (workersOf(config) === 1) return true;
  const reason = Object.keys(dictSizesOf(config)).length > 0 ? await whyNotShared() : undefined;
  if (reason !== undefined) log.warn("one worker only: dictionaries cannot be shared here", { reason });
  return reason !== undefined;
}
