import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import { messageOf } from "../errors.ts";
import { type PeerPair, pairContexts } from "./peer-pairs.ts";

/** TLS to the peers of an upstream, as the user writes it. `{}` is enough: names are verified by the system's authorities. */
export interface PeerSslConfig {
  /** Name that is asked for and verified. Default: the host of the peer's address. nginx: `proxy_ssl_name`. */
  readonly serverName?: string | undefined;
  /** Authorities to trust instead of the built-in ones: PEM text or a path. nginx: `proxy_ssl_trusted_certificate`. */
  readonly ca?: string | undefined;
  /** False accepts any certificate. Default true. nginx: `proxy_ssl_verify`. */
  readonly verify?: boolean | undefined;
  /** Certificate and key to show the peer: PEM text or paths. nginx: `proxy_ssl_certificate`, `proxy_ssl_certificate_key`. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Protocols to offer by ALPN, the preferred one first. */
  readonly alpn?: readonly string[] | undefined;
}

/** TLS to peers, ready to use: files are read and the context is built, once per upstream. */
export interface PeerSsl {
  readonly context: SecureContext;
  /** The same with another certificate to show; throws a TypeError for a pair that is none. */
  contextWith(pair: PeerPair): SecureContext;
  readonly serverName: string | undefined;
  readonly verify: boolean;
  readonly alpn: readonly string[];
}

/**
 * Reads what the configuration names, so that no session waits for a file.
 * @throws TypeError for a file that cannot be read, a certificate without key, and PEM text that OpenSSL refuses.
 */
export function peerSslOf(config: PeerSslConfig, baseDir = "."): PeerSsl {
  if ((config.cert === undefined) !== (config.key === undefined)) throw new TypeError("ssl: cert and key go together");
  const { alpn = [] } = config;
  for (const name of alpn)
    if (!isProtocolName(name)) throw new TypeError(`ssl.alpn: ${JSON.stringify(name)} is too short or too long`);
  const read = (key: keyof Pems): string | undefined => pemOf(key, config[key], baseDir);
  const ca = read("ca");
  return Object.freeze({
    context: contextOf({ ca, cert: read("cert"), key: read("key") }),
    contextWith: pairContexts(ca),
    serverName: config.serverName,
    verify: config.verify ?? true,
    alpn: [...alpn],
  });
}

/** RFC 7301 §3.1: `opaque ProtocolName<1..2^8-1>`. */
function isProtocolName(name: string): boolean {
  const size = Buffer.byteLength(name);
  return size >= 1 && size <= 255;
}

type Pems = Readonly<Record<"ca" | "cert" | "key", string | undefined>>;

function contextOf(pems: Pems): SecureContext {
  try {
    return createSecureContext(pems);
  } catch (cause) {
    throw new TypeError(`ssl: ${messageOf(cause)}`, { cause });
  }
}

function pemOf(key: keyof Pems, value: string | undefined, baseDir: string): string | undefined {
  if (value === undefined || value.includes("-----BEGIN ")) return value;
  try {
    return readFileSync(resolve(baseDir, value), "utf8");
  } catch (cause) {
    throw new TypeError(`ssl.${key}: ${messageOf(cause)}`, { cause });
  }
}
