import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContext } from "node:tls";
import { messageOf } from "../../errors.ts";
import { isPem, opensslReason } from "../../ssl/pem.ts";
import { Recent } from "../../ssl/recent.ts";
import type { TlsSession } from "./tls-session.ts";

/** How to speak TLS to a peer. OpenResty: `sslhandshake`, `setclientcert`, `settrustedstore`. */
export interface SslHandshakeOptions {
  /** The name that is asked for (SNI) and, with `verify`, that the certificate must be for. */
  readonly serverName?: string | undefined;
  /** True refuses a certificate that is not trusted or for another name. Default false, as OpenResty's. */
  readonly verify?: boolean | undefined;
  /** A session to resume; false: none is wanted back. */
  readonly session?: TlsSession | false | undefined;
  /** Certificate and key to show the peer: PEM text or paths. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** Authorities to trust instead of those that Node has: PEM text or a path. OpenResty: `lua_ssl_trusted_certificate`. */
  readonly ca?: string | undefined;
}

/** {@link SslHandshakeOptions}, read and checked. */
export interface SslSettings {
  /** Connections and sessions are exchangeable where this is the same. */
  readonly identity: string;
  readonly context: SecureContext;
  readonly serverName: string | undefined;
  readonly verify: boolean;
  readonly session: TlsSession | false | undefined;
}

/** Making a context costs milliseconds; few programs connect with more certificates than this at a time. */
const MAX_CONTEXTS = 64;

const contexts = new Recent<SecureContext>(MAX_CONTEXTS);

/** @throws TypeError for a wrong type, a certificate without key, a file that cannot be read, PEM that OpenSSL refuses */
export async function sslSettingsOf(options: SslHandshakeOptions): Promise<SslSettings> {
  const { serverName, verify = false, session } = options;
  if (serverName !== undefined && typeof serverName !== "string")
    throw new TypeError("bad serverName: a string is expected");
  if (typeof verify !== "boolean") throw new TypeError("bad verify: a boolean is expected");
  if ((options.cert === undefined) !== (options.key === undefined)) throw new TypeError("cert and key go together");
  const [cert, key, ca] = await Promise.all([pemOf(options, "cert"), pemOf(options, "key"), pemOf(options, "ca")]);
  const pems = { cert, key, ca };
  const digest = digestOf([cert, key, ca]);
  const context = contexts.get(digest) ?? contextOf(pems);
  contexts.set(digest, context);
  return { identity: JSON.stringify([serverName ?? "", verify, digest]), context, serverName, verify, session };
}

async function pemOf(options: SslHandshakeOptions, name: "cert" | "key" | "ca"): Promise<string | undefined> {
  const value = options[name];
  if (value === undefined || isPem(value)) return value;
  try {
    return await readFile(value, "utf8");
  } catch (cause) {
    throw new TypeError(`${name}: ${messageOf(cause)}`, { cause });
  }
}

function contextOf(pems: { readonly [Name in "cert" | "key" | "ca"]: string | undefined }): SecureContext {
  try {
    return createSecureContext(pems);
  } catch (cause) {
    throw new TypeError(`bad certificate or key: ${opensslReason(cause)}`, { cause });
  }
}

function digestOf(parts: readonly (string | undefined)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
}
