import type { Sniffer } from "../preread/sniffer.ts";
import type { Action } from "./action.ts";

/** One line of a server's routing table. */
export type Route<Upstream extends string = string> =
  | { readonly kind: "on"; readonly sniffer: Sniffer; readonly action: Action<Upstream> }
  | { readonly kind: "silent"; readonly afterMs: number; readonly action: Action<Upstream> }
  | { readonly kind: "otherwise"; readonly action: Action<Upstream> };

/** Takes the action when the client's first bytes match. Routes are asked in order. */
export function on<const Upstream extends string = never>(
  sniffer: Sniffer,
  action: Action<Upstream>,
): Route<NoInfer<Upstream>> {
  return { kind: "on", sniffer, action };
}

/** Takes the action when the client has said nothing for `afterMs`: a protocol in which the server speaks first. */
export function silent<const Upstream extends string = never>(
  afterMs: number,
  action: Action<Upstream>,
): Route<NoInfer<Upstream>> {
  return { kind: "silent", afterMs, action };
}

/** Takes the action when no route matches. */
export function otherwise<const Upstream extends string = never>(action: Action<Upstream>): Route<NoInfer<Upstream>> {
  return { kind: "otherwise", action };
}
