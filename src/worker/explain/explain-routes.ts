import type { ServerConfig } from "../../gateway.ts";
import { askAll, type Open, type Sniffed } from "../../preread/engine.ts";
import type { Sniffer } from "../../preread/sniffer.ts";
import type { Action } from "../../stream/action.ts";
import { DEFAULT_PREREAD_BYTES, DEFAULT_PREREAD_MS } from "../generation.ts";
import { shownSteps, traceOf } from "./verdict-trace.ts";

/** A route that waits for bytes, with its place in the configuration. */
interface Asked {
  readonly place: number;
  readonly sniffer: Sniffer;
  readonly action: Action;
}

/** What each sniffer says of the first bytes, and which route that takes. */
export function explainRoutes(server: ServerConfig, bytes: Uint8Array): readonly string[] {
  const { maxBytes = DEFAULT_PREREAD_BYTES } = server.preread ?? {};
  const head = bytes.subarray(0, maxBytes);
  const asked = askedOf(server, () => true);
  return [...traces(asked, head), `→ ${decision(server, asked, head)}`];
}

/** The same for a ClientHello, which only `tls()` routes see; undefined when none takes it. */
export function explainPassthrough(
  server: ServerConfig,
  hello: Uint8Array,
): { readonly lines: readonly string[]; readonly taken: string | undefined } {
  const asked = askedOf(server, ({ name }) => name === "tls");
  const { found } = askAll(
    asked.map(({ sniffer }) => sniffer),
    hello,
  );
  const route = found && asked[found.index];
  return { lines: traces(asked, hello), taken: route && taken(route, "tls") };
}

function askedOf({ routes }: ServerConfig, wanted: (sniffer: Sniffer) => boolean): readonly Asked[] {
  return routes.flatMap((route, place) => {
    if (route.kind !== "on" || !wanted(route.sniffer)) return [];
    return [{ place, sniffer: route.sniffer, action: route.action }];
  });
}

function traces(asked: readonly Asked[], head: Uint8Array): readonly string[] {
  const width = Math.max(0, ...asked.map((route) => nameOf(route).length));
  return asked.map((route) => `${nameOf(route).padEnd(width)}  ${shownSteps(traceOf(route.sniffer, head))}`);
}

function nameOf({ place, sniffer }: Asked): string {
  return `routes[${place}] ${sniffer.name}`;
}

/** The words follow the engine: who is hungry, how long that matters, and what happens when nobody matches. */
function decision(server: ServerConfig, asked: readonly Asked[], head: Uint8Array): string {
  const silence = silent(server, head);
  if (silence !== undefined) return silence;
  const { open, found } = askAll(
    asked.map(({ sniffer }) => sniffer),
    head,
  );
  const { maxBytes = DEFAULT_PREREAD_BYTES, timeoutMs = DEFAULT_PREREAD_MS } = server.preread ?? {};
  const wanted = Math.min(...open.map(({ atLeast }) => atLeast));
  const match = found && matched(asked, found);
  if (wanted === Infinity) return match ?? otherwise(server);
  if (wanted > maxBytes) return match ?? `RC_PREREAD_FULL: preread.maxBytes is ${maxBytes}, and ${hungry(asked, open)}`;
  const limit = `the client ends or preread.timeoutMs (${timeoutMs}) is over`;
  return `waits: ${hungry(asked, open)}${match === undefined ? "" : `; when ${limit}, ${match}`}`;
}

/** What happens to a client that has said nothing yet, and to all clients of a server that always speaks first. */
function silent(server: ServerConfig, head: Uint8Array): string | undefined {
  const place = server.routes.findIndex(({ kind }) => kind === "silent");
  const route = server.routes[place];
  if (route?.kind === "silent" && route.afterMs === 0)
    return `routes[${place}] silent: ${shown(route.action)}, at once`;
  if (head.length > 0) return undefined;
  const { timeoutMs = DEFAULT_PREREAD_MS } = server.preread ?? {};
  if (route?.kind === "silent") {
    return `waits for a first byte; after ${Math.min(route.afterMs, timeoutMs)} ms routes[${place}] silent: ${shown(route.action)}`;
  }
  if (!server.routes.some(({ kind }) => kind === "on")) return undefined;
  return `waits for a first byte; after ${timeoutMs} ms RC_PREREAD_TIMEOUT`;
}

function matched(asked: readonly Asked[], { index, protocol, info }: Sniffed): string {
  const route = asked[index];
  const learned = protocol === "tls" ? "" : ` ${shownInfo(info)}`; // a hello would fill the screen
  return route ? taken(route, `${protocol}${learned}`) : "";
}

function taken({ place, action }: Asked, because: string): string {
  return `routes[${place}]: ${shown(action)}, because it is ${because}`;
}

function hungry(asked: readonly Asked[], open: readonly Open[]): string {
  return open.map(({ index, atLeast }) => `routes[${asked[index]?.place}] wants ${atLeast} bytes`).join(", ");
}

function otherwise({ routes }: ServerConfig): string {
  const last = routes.at(-1);
  return last?.kind === "otherwise" ? `otherwise: ${shown(last.action)}` : "RC_NO_ROUTE: no route matches";
}

function shown(action: Action): string {
  switch (action.kind) {
    case "proxy":
      return `proxy ${JSON.stringify(action.upstream)}`;
    case "dispatch":
      return `dispatch ${JSON.stringify(action.server)}`;
    case "content":
      return "content";
    case "reject":
      return `reject ${JSON.stringify(action.reason)} (${action.status})`;
    default:
      return action satisfies never;
  }
}

/** One line of it is enough to see what a balancer or a hook can work with. */
const MAX_INFO = 300;

function shownInfo(info: unknown): string {
  const text = JSON.stringify(info, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value)) ?? "";
  return text.length > MAX_INFO ? `${text.slice(0, MAX_INFO)}…` : text;
}
