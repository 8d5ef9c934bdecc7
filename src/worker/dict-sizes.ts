import type { GatewayConfig, ServerConfig } from "../gateway.ts";
import { LIMITS_DICT, LIMITS_DICT_SIZE } from "../stream/limits/limit-store.ts";

/** The dictionaries of a configuration: those that it names, and one in which all workers count its limits. */
export function dictSizesOf({ shared = {}, servers }: GatewayConfig): Readonly<Record<string, string>> {
  return Object.values(servers).some(hasLimits) ? { [LIMITS_DICT]: LIMITS_DICT_SIZE, ...shared } : shared;
}

function hasLimits({ limits, routes }: ServerConfig): boolean {
  return limits !== undefined || routes.some((route) => "limits" in route && route.limits !== undefined);
}
