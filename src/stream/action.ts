import type { Awaitable, ContentSession } from "./session.ts";

/** Carries the session to a peer of an upstream. */
export interface ProxyAction<Upstream extends string = string> {
  readonly kind: "proxy";
  readonly upstream: Upstream;
}

/** Lets a handler be the server. An action that it returns goes on with the bytes it left unread. */
export interface ContentAction<Upstream extends string = string> {
  readonly kind: "content";
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler may end without return
  readonly handler: (session: ContentSession) => Awaitable<Action<Upstream> | undefined | void>;
}

/** Refuses the client. */
export interface RejectAction {
  readonly kind: "reject";
  readonly reason: string;
  readonly status: number;
}

/** Hands the session over to another server of the configuration. */
export interface DispatchAction {
  readonly kind: "dispatch";
  readonly server: string;
}

/** What happens to a session. */
export type Action<Upstream extends string = string> =
  | ProxyAction<Upstream>
  | ContentAction<Upstream>
  | RejectAction
  | DispatchAction;

/** Status of a refusal unless it says otherwise: nginx's stream `deny`. */
const STATUS_REJECTED = 403;

/** Sends the session to the upstream of that name. nginx: `proxy_pass`. */
export function proxy<const Upstream extends string>(upstream: Upstream): ProxyAction<Upstream> {
  return { kind: "proxy", upstream };
}

// `NoInfer` in the result, here and in routes: names of upstreams come from the actions alone. Without it TypeScript infers
// them from where the route stands, while the names there are not known yet, and finds just `string`.

/** Answers the client in TypeScript; the session ends when the handler does. OpenResty: `content_by_lua`. */
export function content<const Upstream extends string = never>(
  handler: ContentAction<Upstream>["handler"],
): ContentAction<NoInfer<Upstream>> {
  return { kind: "content", handler };
}

/**
 * Sends the session to another server of the configuration: that one's TLS, routes, phases and limits from here on, with the
 * same `ctx` and all unread bytes; its ports do not matter. Each server once per session: a circle ends it with RC_DISPATCH.
 */
export function dispatch(server: string): DispatchAction {
  return { kind: "dispatch", server };
}

/** Ends the session with `end_cause` rejected; `reason` is for the log. */
export function reject(reason: string, options: { readonly status?: number } = {}): RejectAction {
  const { status = STATUS_REJECTED } = options;
  if (!Number.isInteger(status) || status < 100 || status > 599)
    throw new TypeError(`reject: bad status ${String(status)}`);
  return { kind: "reject", reason: String(reason), status };
}
