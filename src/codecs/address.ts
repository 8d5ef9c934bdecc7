import { isIP } from "node:net";
import { posix } from "node:path";
import { ipFromBytes, ipToBytes } from "./ip.ts";

/** One end of a connection. A unix socket has its path as `host` (`unix:/run/x.sock`) and port 0. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where to listen or connect. `host` may be a name; a path makes it a unix socket. */
export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

const MAX_PORT = 65_535;

/** Reads `host:port`, `[v6]:port` or `unix:/path`; undefined when the text is none of them. */
export function parseEndpoint(text: string): Endpoint | undefined {
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    return path === "" ? undefined : { kind: "unix", path };
  }
  const parts = /^(?:\[([^\]]+)\]|([^:\s[\]]+)):(\d{1,5})$/.exec(text);
  const [, v6, plain, digits = ""] = parts ?? [];
  const host = v6 ?? plain;
  if (host === undefined || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  const port = Number(digits);
  return port <= MAX_PORT ? { kind: "tcp", host, port } : undefined;
}

/** The text form that {@link parseEndpoint} reads. */
export function formatEndpoint(endpoint: Endpoint): string {
  return endpoint.kind === "unix" ? `unix:${endpoint.path}` : formatAddress(endpoint);
}

/** One form for all ways to write an endpoint: of an IPv6 address, of a name's letters, of a path. Where a name leads is not looked up. */
export function plainEndpoint(endpoint: Endpoint): Endpoint {
  if (endpoint.kind === "unix") return { kind: "unix", path: posix.normalize(endpoint.path) };
  const { host, port } = endpoint;
  const bytes = host.includes("%") ? undefined : ipToBytes(host); // a zone makes it another address
  return { kind: "tcp", host: bytes ? ipFromBytes(bytes) : host.toLowerCase(), port };
}

/** `host:port`, with brackets around an IPv6 host; a unix path stands alone. */
export function formatAddress({ host, port }: Address): string {
  if (host.startsWith("unix:")) return host;
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
