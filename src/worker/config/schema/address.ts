import { isIP } from "node:net";
import { parseEndpoint } from "../../../codecs/address.ts";
import { trusts } from "../../../stream/trust.ts";
import { type Schema, text } from "./schema.ts";

/** `host:port`, `[v6]:port` or `unix:/path` to listen on; port 0 takes a free one. */
export const listenAddress: Schema<string> = text(`host:port, [v6]:port or unix:/path`, (value) => isAddress(value, 0));

/** An address to connect to. */
export const peerAddress: Schema<string> = text(`host:port, [v6]:port or unix:/path`, (value) => isAddress(value, 1));

/** An address, a range (`10.0.0.0/8`) or `unix:`. */
export const addressRange: Schema<string> = text("an IP address, a range like 10.0.0.0/8, or unix:", (value) => {
  try {
    trusts([value]);
    return true;
  } catch {
    return false;
  }
});

/** What a unix socket's path may have. Linux: sun_path holds 108 bytes, the closing zero among them; libuv cuts longer ones. */
export const MAX_UNIX_PATH_BYTES = 107;

/** RFC 1123 §2.1 and what resolvers accept besides: underscores, a dot at the end. */
const HOST_NAME = /^(?=.{1,253}\.?$)[\w-]{1,63}(\.[\w-]{1,63})*\.?$/;

function isAddress(value: string, minPort: number): boolean {
  const endpoint = parseEndpoint(value);
  if (!endpoint) return false;
  if (endpoint.kind === "unix") return Buffer.byteLength(endpoint.path) <= MAX_UNIX_PATH_BYTES;
  return endpoint.port >= minPort && isHost(endpoint.host);
}

/** Digits and dots alone are an IPv4 address or a mistake: no resolver should be asked for 10.0.0.256. */
function isHost(host: string): boolean {
  return isIP(host) !== 0 || (HOST_NAME.test(host) && !/^[\d.]+$/.test(host));
}

/** The loopback addresses, and unix sockets: only this machine reaches them. */
export const localAddress: Schema<string> = text("a loopback address with port, or unix:/path", (value) => {
  const endpoint = parseEndpoint(value);
  if (!endpoint || !isAddress(value, 0)) return false;
  return endpoint.kind === "unix" || /^(127\.[\d.]+|::1|localhost)$/.test(endpoint.host);
});
