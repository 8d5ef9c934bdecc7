import { isIP } from "node:net";
import { type Endpoint, parseEndpoint } from "../../codecs/address.ts";

/** Where an outgoing socket goes, or why that is nowhere. */
export type Destination =
  | { readonly endpoint: Endpoint; readonly err?: undefined }
  | { readonly err: string; readonly endpoint?: undefined };

const MAX_PORT = 65_535;

/**
 * Reads `host:port`, `[v6]:port` or `unix:/path`. Names and ports may come from a client, so that a wrong one is an answer.
 * @throws TypeError when the text has no port at all
 */
export function destinationOf(address: string): Destination {
  if (typeof address !== "string") throw new TypeError(`bad address: ${String(address)}`);
  const endpoint = parseEndpoint(address);
  if (endpoint) return { endpoint };
  if (address.startsWith("unix:"))
    return { err: `failed to parse host name "unix:": no path in the unix domain socket` };
  const [, host = "", digits = ""] = /^(.*):(-?\d+)$/s.exec(address) ?? [];
  if (digits === "") throw new TypeError(`bad address: ${address}: host:port or unix:/path is expected`);
  const port = Number(digits);
  if (port < 0 || port > MAX_PORT) return { err: `bad port number: ${digits}` };
  return { err: `failed to parse host name "${host}": ${host === "" ? "no host" : "invalid host"}` };
}

/** The address to connect from. OpenResty: `bind`, whose answer to anything but an IP address is `bad address`. */
export function isLocalAddress(text: string): boolean {
  return isIP(text) !== 0;
}
