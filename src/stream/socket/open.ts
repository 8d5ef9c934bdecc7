import type { Endpoint } from "../../codecs/address.ts";
import { GatewayError } from "../../errors.ts";
import { dial } from "../../upstream/dial.ts";
import { Outgoing } from "./outgoing.ts";
import { resolveHost } from "./resolve-host.ts";
import { systemWords } from "./system-words.ts";

/** A new connection, or why there is none. */
export type Opened =
  | { readonly connection: Outgoing; readonly err?: undefined }
  | { readonly err: string; readonly connection?: undefined };

/** How a connection is opened. */
export interface OpenLimits {
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly localAddress: string | undefined;
}

/** Connects to the first address of a host that accepts, all within one time; a name costs a time of its own. */
export async function open(endpoint: Endpoint, limits: OpenLimits): Promise<Opened> {
  if (endpoint.kind === "unix") return attempt(endpoint, limits);
  const { hosts, err } = await resolveHost(endpoint.host, limits.signal);
  if (err !== undefined) return { err };
  const endsAt = performance.now() + limits.timeoutMs;
  let last: Opened = { err: "timeout" };
  for (const host of hosts) {
    const timeoutMs = Math.ceil(endsAt - performance.now());
    if (timeoutMs <= 0) return { err: "timeout" };
    last = await attempt({ ...endpoint, host }, { ...limits, timeoutMs });
    if (last.connection || last.err === "aborted") return last;
  }
  return last;
}

async function attempt(endpoint: Endpoint, { timeoutMs, signal, localAddress }: OpenLimits): Promise<Opened> {
  const life = signal && { isOver: signal.aborted, signal };
  try {
    const peer = { address: "", endpoint, connectTimeoutMs: timeoutMs, localAddress };
    return { connection: new Outgoing(await dial(peer, { life })) };
  } catch (cause) {
    if (signal?.aborted) return { err: "aborted" };
    const isLate = cause instanceof GatewayError && cause.code === "RC_PEER_CONNECT_TIMEOUT";
    return { err: isLate ? "timeout" : systemWords(cause) };
  }
}
