import type { Sniffer } from "../preread/sniffer.ts";
import type { Action } from "./action.ts";
import type { LimitConfig, RouteOptions } from "./limits/limit-config.ts";

/** One line of a server's routing table. */
export type Route<Upstream extends string = string> = (
  | { readonly kind: "on"; readonly sniffer: Sniffer; readonly action: Action<Upstream> }
  | { readonly kind: "silent"; readonly afterMs: number; readonly action: Action<Upstream> }
  | { readonly kind: "otherwise"; readonly action: Action<Upstream> }
) & { readonly limits?: readonly LimitConfig[] };

/** Takes the action when the client's first bytes match. Routes are asked in order. */
export function on<const Upstream extends string = never>(
  sniffer: Sniffer,
  action: Action<Upstream>,
  options?: RouteOptions,
): Route<NoInfer<Upstream>> {
  return { kind: "on", sniffer, action, ...limitsOf(options) };
}

/** Takes the action when the client has said nothing for `afterMs`: a protocol in which the server speaks first. */
export function silent<const Upstream extends string = never>(
  afterMs: number,
  action: Action<Upstream>,
  options?: RouteOptions,
): Route<NoInfer<Upstream>> {
  return { kind: "silent", afterMs, action, ...limitsOf(options) };
}

/** Takes the action when no route matches. */
export function otherwise<const Upstream extends string = never>(
  action: Action<Upstream>,
  options?: RouteOptions,
): Route<NoInfer<Upstream>> {
  return { kind: "otherwise", action, ...limitsOf(options) };
}

function limitsOf({ limits }: RouteOptions = {}): Pick<Route, "limits"> {
  return limits === undefined ? {} : { limits };
}
