import type { ServerConfig } from "../../../gateway.ts";
import type { Route } from "../../../stream/route.ts";
import type { ServerPhases } from "../../../stream/session.ts";
import { addressRange, listenAddress } from "./address.ts";
import { limits } from "./limits.ts";
import {
  either,
  type Fault,
  flag,
  isRecord,
  list,
  maybe,
  milliseconds,
  type Schema,
  shape,
  together,
  whole,
} from "./schema.ts";
import { sslSchema } from "./ssl.ts";

/** What differs between a configuration in code and one in data. */
export interface ServerForms {
  readonly route: Schema<Route>;
  readonly phases: Schema<ServerPhases>;
}

const proxyProtocol = shape("{ trust }", {
  trust: list(addressRange, "a list of addresses and ranges", { min: 1 }),
  timeoutMs: maybe(milliseconds()),
});

/** What a stranger may make us keep before anything is known of him. */
const MAX_PREREAD_BYTES = 65_536;

const preread = shape("{ maxBytes, timeoutMs }", {
  maxBytes: maybe(whole(1, MAX_PREREAD_BYTES)),
  timeoutMs: maybe(milliseconds()),
});

const phaseTimeouts: Schema<NonNullable<ServerConfig["phaseTimeoutMs"]>> = shape("an object of milliseconds by phase", {
  sslClientHello: maybe(milliseconds()),
  sslCertificate: maybe(milliseconds()),
  preread: maybe(milliseconds()),
  rewrite: maybe(milliseconds()),
  access: maybe(milliseconds()),
  content: maybe(milliseconds()),
  balancer: maybe(milliseconds()),
  upstreamCertificate: maybe(milliseconds()),
  upstreamVerify: maybe(milliseconds()),
  headerFilter: maybe(milliseconds()),
  bodyFilter: maybe(milliseconds()),
});

/** An empty list: the server is reached by `dispatch` only. */
const addresses = list(listenAddress, "an address or a list of addresses");

/** A server. */
export function serverSchema({ route, phases }: ServerForms): Schema<ServerConfig> {
  return shape("an object with listen and routes", {
    listen: either<ServerConfig["listen"]>((input) => (Array.isArray(input) ? addresses : listenAddress)),
    proxyProtocol: maybe(proxyProtocol),
    ssl: maybe(sslSchema),
    preread: maybe(preread),
    routes: together(list(route, "a list of routes", { min: 1 }), orderFaults),
    idleTimeoutMs: maybe(milliseconds()),
    noDelay: maybe(flag),
    keepAliveMs: maybe(milliseconds(0)),
    maxConns: maybe(whole(1)),
    limits: maybe(limits),
    phases: maybe(phases),
    phaseTimeoutMs: maybe(phaseTimeouts),
  });
}

/** What follows `otherwise` is never asked, and a client is silent once. */
function orderFaults(routes: unknown): readonly Fault[] {
  const kinds = Array.isArray(routes) ? routes.map((route) => (isRecord(route) ? route["kind"] : undefined)) : [];
  return kinds.flatMap((kind, place): Fault[] => {
    if (kind === "otherwise" && place < kinds.length - 1)
      return [{ path: [place], text: "otherwise must be the last route" }];
    if (kind === "silent" && kinds.indexOf(kind) < place)
      return [{ path: [place], text: "expected one silent route only" }];
    return [];
  });
}
