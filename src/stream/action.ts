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
  readonly retryAfterMs?: number | undefined;
  readonly redirect?: string | undefined;
}

/** How a client is refused. */
export interface RejectOptions {
  /** 100 to 599, default 403: for the log, and for the client as far as its protocol knows statuses. */
  readonly status?: number | undefined;
  /** When the client may try again. */
  readonly retryAfterMs?: number | undefined;
  /** Where the client should go instead: `"host:port"`, for HTTP also a URL. Protocols that know no redirect say it in words. */
  readonly redirect?: string | undefined;
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

/** Is it an address that may stand in a header, a packet or a line of every protocol? */
export function isRedirect(address: unknown): address is string {
  return typeof address === "string" && /^[\x21-\x7e]{1,255}$/.test(address);
}

/**
 * Refuses the client: the session ends with `end_cause` rejected, and the client is told `reason` in its own protocol, unless
 * something was written to it before. In every phase that returns an action, and in
 * `balancer`. @throws TypeError
 */
export function reject(reason: string, options: RejectOptions = {}): RejectAction {
  const { status = STATUS_REJECTED, retryAfterMs, redirect } = options;
  if (!Number.isInteger(status) || status < 100 || status > 599)
    throw new TypeError(`reject: bad status ${String(status)}`);
  if (retryAfterMs !== undefined && !(Number.isSafeInteger(retryAfterMs) && retryAfterMs >= 0))
    throw new TypeError(`reject: bad retryAfterMs ${String(retryAfterMs)}`);
  if (redirect !== undefined && !isRedirect(redirect)) throw new TypeError(`reject: bad redirect ${String(redirect)}`);
  return { kind: "reject", reason: String(reason), status, retryAfterMs, redirect };
}
