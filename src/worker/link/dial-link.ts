import type { Socket } from "node:net";
import { parseEndpoint } from "../../codecs/address.ts";
import { GatewayError } from "../../errors.ts";
import { dial } from "../../upstream/dial.ts";
import type { Resolver } from "../../upstream/resolve.ts";

/** Opens one connection to an address; rejects when that fails, or the signal aborts. */
export type Dial = (address: string, signal: AbortSignal) => Promise<Socket>;

/** Connects as to a peer. A name with several addresses gives another one at each attempt. */
export function linkDial(resolver: Resolver, connectTimeoutMs: number): Dial {
  return async (address, signal) => {
    const endpoint = parseEndpoint(address);
    if (!endpoint) throw new GatewayError("RC_PEER_CONNECT", address);
    const [host] =
      endpoint.kind === "tcp" ? await resolver.resolve(endpoint.host, { signal, timeoutMs: connectTimeoutMs }) : [];
    const place = endpoint.kind === "tcp" && host !== undefined ? { ...endpoint, host } : endpoint;
    const life = { isOver: signal.aborted, signal };
    return (await dial({ address, endpoint: place, connectTimeoutMs }, { life })).stream;
  };
}
