import { setMaxListeners } from "node:events";
import { type Destination, destinationOf, isLocalAddress } from "./destination.ts";
import type { PoolWish } from "./pools.ts";
import type { SslHandshakeOptions } from "./ssl-settings.ts";
import { type Timeouts, type Times, timesOf } from "./timeouts.ts";

/** How to connect. OpenResty: the options of `tcpsock:connect`, and `settimeouts`. */
export interface ConnectOptions extends Timeouts {
  /** Name of the pool that it comes from and returns to. Default: the address. How TLS is spoken always belongs to it. */
  readonly pool?: string | number | undefined;
  /** Most connections kept idle or, with `backlog`, most connections at all. Default 30. OpenResty: `pool_size`. */
  readonly poolSize?: number | `${number}` | undefined;
  /** How many connects may wait in line once there are `poolSize` connections. Default: there is no such bound. */
  readonly backlog?: number | `${number}` | undefined;
  /** Speaks TLS at once: a pooled connection with this very TLS, or a new one and its handshake. */
  readonly ssl?: SslHandshakeOptions | undefined;
  /** IP address to connect from. OpenResty: `bind`. */
  readonly localAddress?: string | undefined;
  /** Gives up whatever waits, and closes the socket, unless it is back in its pool by then: `session.signal`. */
  readonly signal?: AbortSignal | undefined;
}

/** {@link ConnectOptions} read and checked, for one address. */
export interface ConnectSettings {
  readonly destination: Destination;
  readonly times: Times;
  readonly pool: PoolWish;
  readonly localAddress: string | undefined;
  readonly signal: AbortSignal | undefined;
  /** The pool's key for a way to speak TLS; undefined: plain. */
  keyOf(identity?: string): string;
}

/** @throws TypeError in OpenResty's words */
export function connectSettings(address: string, options: ConnectOptions): ConnectSettings {
  const { pool = address, localAddress, signal } = options;
  if (typeof pool !== "string" && typeof pool !== "number")
    throw new TypeError(`bad "pool" option type: ${typeof pool}`);
  if (signal) setMaxListeners(0, signal); // a session may have many sockets: Node would warn of a leak at the eleventh
  const isBad = localAddress !== undefined && !isLocalAddress(localAddress);
  return {
    destination: isBad ? { err: "bad address" } : destinationOf(address),
    times: timesOf(options),
    pool: { size: poolSizeOf(options.poolSize), backlog: countOf("backlog", options.backlog, 0) },
    localAddress,
    signal,
    keyOf: (identity = "") => JSON.stringify([String(pool), localAddress ?? "", identity]),
  };
}

/** @throws TypeError `bad "poolSize" option value: 0` */
export function poolSizeOf(size: unknown): number | undefined {
  return countOf("poolSize", size, 1);
}

/** A whole number, which OpenResty takes as text too. */
function countOf(name: string, value: unknown, min: number): number | undefined {
  if (value === undefined) return undefined;
  const count = typeof value === "string" && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < min)
    throw new TypeError(`bad "${name}" option value: ${String(value)}`);
  return count;
}
