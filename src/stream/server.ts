import type { Endpoint } from "../codecs/address.ts";
import type { ServerSsl } from "../ssl/settings.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { RouteTable } from "./choose-route.ts";
import type { Log } from "./log.ts";
import type { ServerPhases } from "./session.ts";

/** One server of a generation, ready to serve: everything looked up, nothing to parse, frozen. */
export interface Server {
  readonly name: string;
  readonly listen: readonly Endpoint[];
  /** Who must send a PROXY header; undefined: nobody. */
  readonly proxyHeader: { readonly trusts: (host: string) => boolean; readonly timeoutMs: number } | undefined;
  readonly ssl: ServerSsl | undefined;
  readonly preread: { readonly maxBytes: number; readonly timeoutMs: number };
  readonly routes: RouteTable;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly idleTimeoutMs: number;
  readonly noDelay: boolean;
  readonly keepAliveMs: number;
  /** Sessions at once; undefined: only the limit of the process holds. */
  readonly maxConns: number | undefined;
  readonly phases: ServerPhases;
  readonly log: Log;
}
