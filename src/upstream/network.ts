import { AsyncLocalStorage } from "node:async_hooks";
import type { Socket } from "node:net";
import type { PeerEndpoint } from "./peer-endpoint.ts";
import type { Resolver } from "./resolve.ts";

/** Another network than the system's: in the test kit, peers are in memory. */
export interface Network {
  readonly resolver: Resolver;
  /** A socket that goes on to say `connect`, or `error`, as `net.connect` gives one. */
  connect(peer: PeerEndpoint): Socket;
}

/** Holds for whatever runs inside of it, sessions and sockets of hooks alike; outside of all, the system's network does. */
export const network: AsyncLocalStorage<Network> = new AsyncLocalStorage();
