import * as v from "valibot";
import type { Sniffer } from "../../../preread/sniffer.ts";
import {
  type Action,
  type ContentAction,
  type DispatchAction,
  isRedirect,
  type ProxyAction,
  type RejectAction,
} from "../../../stream/action.ts";
import type { Route } from "../../../stream/route.ts";
import { expected } from "../expectation.ts";
import { limits } from "./limits.ts";
import {
  checked,
  either,
  hook,
  isRecord,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  shape,
  status,
  text,
} from "./schema.ts";

/** What actions may name. */
export interface KnownNames {
  readonly upstreams: readonly string[];
  readonly servers: readonly string[];
}

/** The name of an upstream that exists. */
export function upstreamName({ upstreams }: KnownNames): Schema<string> {
  return nameOf("an upstream", upstreams);
}

/** The name of a server that exists. */
export function serverName({ servers }: KnownNames): Schema<string> {
  return nameOf("a server", servers);
}

function nameOf(what: string, known: readonly string[]): Schema<string> {
  const shown = known.length > 0 ? known.slice(0, MAX_NAMES).join(", ") : "there is none";
  return v.custom<string>(
    (value) => typeof value === "string" && known.includes(value),
    expected(`the name of ${what} (${shown}${known.length > MAX_NAMES ? ", …" : ""})`, { known }),
  );
}

/** Names in one message. */
const MAX_NAMES = 10;

/** What a refusal is made of, besides its status. */
export const refusal: {
  readonly reason: Schema<string>;
  readonly retryAfterMs: ReturnType<typeof maybe<number>>;
  readonly redirect: ReturnType<typeof maybe<string>>;
} = {
  reason: text("a reason"),
  retryAfterMs: maybe(milliseconds(0)),
  redirect: maybe(text("an address without spaces", isRedirect)),
};

/** Where a server may send sessions, and what it may do with them, as `on`, `silent` and `otherwise` make it. */
export function routeObject(names: KnownNames): Schema<Route> {
  const action = actionObject(names);
  const taken = { action, limits: maybe(limits) };
  const on: Schema<Route> = shape(WHAT, { kind: oneOf("on"), sniffer, ...taken });
  const silent: Schema<Route> = shape(WHAT, { kind: oneOf("silent"), afterMs: milliseconds(0), ...taken });
  const otherwise: Schema<Route> = shape(WHAT, { kind: oneOf("otherwise"), ...taken });
  return either<Route>((input) => {
    switch (isRecord(input) && input["kind"]) {
      case "on":
        return on;
      case "silent":
        return silent;
      case "otherwise":
        return otherwise;
      default:
        return none;
    }
  });
}

const WHAT = "on(…), silent(…) or otherwise(…)";

const none: Schema<never> = checked((_): _ is never => false, WHAT);

/** A user's own sniffer may lack `examples`: it is then not compared with others at start. */
const sniffer: Schema<Sniffer> = checked(
  (value): value is Sniffer =>
    isRecord(value) && typeof value["name"] === "string" && typeof value["sniff"] === "function",
  "a sniffer, like http()",
);

/** What `proxy(…)`, `content(…)`, `dispatch(…)` and `reject(…)` return. */
function actionObject(names: KnownNames): Schema<Action> {
  const what = "proxy(…), content(…), dispatch(…) or reject(…)";
  const proxy: Schema<ProxyAction> = shape(what, { kind: oneOf("proxy"), upstream: upstreamName(names) });
  const dispatch: Schema<DispatchAction> = shape(what, { kind: oneOf("dispatch"), server: serverName(names) });
  const content: Schema<ContentAction> = shape(what, {
    kind: oneOf("content"),
    handler: hook<ContentAction["handler"]>(),
  });
  const reject: Schema<RejectAction> = shape(what, { kind: oneOf("reject"), ...refusal, status });
  const unknown: Schema<never> = checked((_): _ is never => false, what);
  return either<Action>((input) => {
    switch (isRecord(input) && input["kind"]) {
      case "proxy":
        return proxy;
      case "content":
        return content;
      case "dispatch":
        return dispatch;
      case "reject":
        return reject;
      default:
        return unknown;
    }
  });
}
