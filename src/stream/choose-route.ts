import { GatewayError } from "../errors.ts";
import { askAll, preread, type Sniffed } from "../preread/engine.ts";
import type { Sniffer } from "../preread/sniffer.ts";
import type { Action } from "./action.ts";
import { actionOf } from "./action-of.ts";
import type { Connection } from "./connection.ts";
import { noteHello } from "./hello.ts";
import type { LimitConfig } from "./limits/limit-config.ts";
import type { Route } from "./route.ts";
import type { Awaitable, ServerPhases } from "./session.ts";
import { afterPeek } from "./unhandled-peek.ts";

/** Enough to guess a protocol by, too little for a password. */
const SHOWN_BYTES = 4;

/** A server's routes, sorted by when they are asked. */
export interface RouteTable {
  readonly sniffers: readonly Sniffer[];
  /** Action of the sniffer with the same index. */
  readonly actions: readonly Action[];
  /** Its limits. */
  readonly limits: readonly RouteLimits[];
  /** The `tls()` routes, asked about a ClientHello before TLS is terminated. */
  readonly passthrough: RouteTable | undefined;
  readonly silent: { readonly afterMs: number; readonly action: Action; readonly limits?: RouteLimits } | undefined;
  readonly otherwise: { readonly action: Action; readonly limits?: RouteLimits } | undefined;
}

type RouteLimits = readonly LimitConfig[] | undefined;

/** Sorts routes once, when a generation is built. */
export function compileRoutes(routes: readonly Route[]): RouteTable {
  const on = routes.filter((route) => route.kind === "on");
  const tls = on.filter(({ sniffer }) => sniffer.name === "tls");
  return {
    ...table(on),
    passthrough:
      tls.length > 0 ? { ...table(tls), passthrough: undefined, silent: undefined, otherwise: undefined } : undefined,
    silent: routes.find((route) => route.kind === "silent"),
    otherwise: routes.find((route) => route.kind === "otherwise"),
  };
}

function table(on: readonly Extract<Route, { kind: "on" }>[]): Pick<RouteTable, "sniffers" | "actions" | "limits"> {
  return {
    sniffers: on.map(({ sniffer }) => sniffer),
    actions: on.map(({ action }) => action),
    limits: on.map(({ limits }) => limits),
  };
}

/**
 * Finds what to do with a session by its first clear-text bytes, unless the hello has told it; `phases.preread` has the last word.
 * A promise only where somebody has to wait. Throws, or rejects with, GatewayError RC_NO_ROUTE, RC_PREREAD_FULL,
 * RC_PREREAD_TIMEOUT, RC_CLIENT_CLOSED, RC_CLIENT_RESET.
 */
export function chooseRoute(session: Connection, byHello: Action | undefined): Awaitable<Action> {
  session.phase = "preread";
  const sniffed = byHello ?? sniff(session);
  if (sniffed instanceof Promise || session.settings.phases.preread) return chosen(session, sniffed);
  return sniffed || unmatched(session);
}

async function chosen(session: Connection, sniffing: Awaitable<Action | undefined>): Promise<Action> {
  const sniffed = await sniffing;
  const { preread } = session.settings.phases;
  return (preread && (await prereadHook(session, preread))) || sniffed || unmatched(session);
}

/** Runs `phases.preread`. What it reads without a time of its own is within the preread limit, like the sniffers' bytes. */
async function prereadHook(
  session: Connection,
  preread: NonNullable<ServerPhases["preread"]>,
): Promise<Action | undefined> {
  const { client } = session;
  client.readsWithin = session.patience;
  try {
    return actionOf("preread", await session.hook("preread", () => preread(session)));
  } catch (cause) {
    throw afterPeek(cause, client.failedPeek);
  } finally {
    client.readsWithin = undefined;
  }
}

/** The action of the route that matches, and undefined when none does. */
function sniff(session: Connection): Awaitable<Action | undefined> {
  const { routes } = session.settings;
  if (routes.sniffers.length === 0 && !routes.silent) return undefined; // nothing depends on the bytes
  if (session.client.head.size === 0 || routes.silent?.afterMs === 0) return sniffLater(session, routes);
  const sniffed = sniffNow(session, routes);
  return sniffed instanceof Promise
    ? sniffed.then((found) => learn(session, routes, found))
    : learn(session, routes, sniffed);
}

async function sniffLater(session: Connection, routes: RouteTable): Promise<Action | undefined> {
  if (await session.patience.isSilent(session.client.head)) return taken(session, routes.silent);
  return learn(session, routes, await sniffNow(session, routes));
}

function sniffNow(
  { client, patience, settings }: Connection,
  { sniffers }: RouteTable,
): Awaitable<Sniffed | undefined> {
  return preread(sniffers, client.head, settings.preread.maxBytes, patience.endsAt);
}

/** The action of the `tls()` route that wants this hello as it is. The hello is whole: who is hungry still, has no say. */
export function passthrough(session: Connection): Action | undefined {
  const table = session.settings.routes.passthrough;
  return table && learn(session, table, askAll(table.sniffers, session.client.head.bytes).found);
}

/** Keeps on the session what a sniffer found, and tells the action of its route. */
export function learn(session: Connection, table: RouteTable, sniffed: Sniffed | undefined): Action | undefined {
  if (!sniffed) return undefined;
  if (sniffed.protocol === "tls" && !session.ssl) noteHello(session);
  session.protocol = sniffed.protocol;
  session.info = sniffed.info;
  session.sniffer = table.sniffers[sniffed.index];
  if (session.limits) session.limits.route = table.limits[sniffed.index];
  return table.actions[sniffed.index];
}

function taken(session: Connection, route: RouteTable["silent"] | RouteTable["otherwise"]): Action | undefined {
  if (session.limits) session.limits.route = route?.limits;
  return route?.action;
}

/** Finds out what the client speaks, where nothing will come of it but the words of a refusal. `until` by `performance.now()`. */
export async function recognise(session: Connection, until: number): Promise<void> {
  const { routes, preread: limits } = session.settings;
  if (routes.sniffers.length === 0) return;
  learn(session, routes, await preread(routes.sniffers, session.client.head, limits.maxBytes, until));
}

function unmatched(session: Connection): Action {
  const otherwise = taken(session, session.settings.routes.otherwise);
  if (otherwise) return otherwise;
  const { size, bytes } = session.client.head;
  const first = Buffer.from(bytes.subarray(0, SHOWN_BYTES)).toString("hex");
  throw new GatewayError("RC_NO_ROUTE", first ? `${size} bytes, beginning with ${first}` : "no byte came");
}
