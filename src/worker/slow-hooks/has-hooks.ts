import type { GatewayConfig, ServerConfig } from "../../gateway.ts";

/** Keys of `phases` that hold no session up: they run before there is one, or are timed themselves. */
const NOT_WATCHED: ReadonlySet<string> = new Set(["init", "initWorker", "exitWorker", "set"]);

/** Whether sessions of this configuration run any code of the user's. */
export function hasHooks({ phases, servers }: GatewayConfig): boolean {
  return isHooked(phases) || Object.values(servers).some((server) => isHooked(server.phases) || hasContent(server));
}

function isHooked(phases: object | undefined): boolean {
  return Object.entries(phases ?? {}).some(([name, hook]) => hook !== undefined && !NOT_WATCHED.has(name));
}

function hasContent({ routes }: ServerConfig): boolean {
  return routes.some(({ action }) => action.kind === "content");
}
