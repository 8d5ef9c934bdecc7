import type { Endpoint } from "../codecs/address.ts";
import type { ServerSsl } from "../ssl/settings.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { BanTable } from "./bans/ban-table.ts";
import type { RouteTable } from "./choose-route.ts";
import type { HookWatch } from "./hook-watch.ts";
import type { ServerLimits } from "./limits/compile-limits.ts";
import type { Log } from "./log.ts";
import type { Hooks } from "./phase-chain.ts";
import type { Phase } from "./session.ts";
import type { MakeVars } from "./vars.ts";
import type { WorkerContext } from "./worker-context.ts";

/** One server of a generation, ready to serve: everything looked up, nothing to parse, frozen. */
export interface Server {
  readonly name: string;
  /** Number of the generation that it is part of. */
  readonly generation: number;
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
  /** Of the server and its routes; undefined: none has any. */
  readonly limits?: ServerLimits | undefined;
  /** Who is banned; undefined: nobody can be. It changes while the server serves. */
  readonly bans?: BanTable | undefined;
  readonly phases: Hooks;
  /** How long hooks of a phase may wait; phases that are not named, for as long as the session lives. */
  readonly phaseLimitsMs: ReadonlyMap<Phase, number>;
  readonly makeVars: MakeVars;
  /** All servers of the generation, for `dispatch`. */
  readonly servers: ReadonlyMap<string, Server>;
  readonly log: Log;
  /** Sees hooks that hold the event loop; undefined: nobody looks. */
  readonly hookWatch?: HookWatch | undefined;
  readonly worker: WorkerContext;
}
