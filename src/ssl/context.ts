import { constants, createHash, randomBytes } from "node:crypto";
import {
  createSecureContext,
  DEFAULT_CIPHERS,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
} from "node:tls";
import type { Certificate } from "./certificate.ts";
import { Recent } from "./recent.ts";

/** Whether clients are asked for a certificate (nginx: `ssl_verify_client off`, `optional` without the refusal, `on`). */
export type ClientCertificateMode = "off" | "optional" | "required";

/** What decides about a handshake besides the certificate. */
export interface HandshakeChoice {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** OpenSSL's cipher list; undefined: Node's. */
  readonly ciphers: string | undefined;
  readonly clientCertificate: ClientCertificateMode;
  /** PEM: those whose client certificates are trusted. Without one nobody's are, least of all the public web's. */
  readonly clientCa: string | undefined;
  /** Name of the server: a session begun at one server is never resumed at another. */
  readonly serverName: string;
  /** 48 secret bytes, with which several processes resume each other's sessions; undefined: each context has its own. */
  readonly ticketKeys: Buffer | undefined;
}

/** A choice with what follows from it, worked out once and not in each handshake. */
export interface HandshakeSettings extends HandshakeChoice {
  /** Two settings with the same key share their contexts. */
  readonly key: string;
  /** Sessions are resumed only where this is the same: a verdict on a client certificate must not travel further. */
  readonly sessionIdContext: string;
}

/** A name, a key to encrypt with and one to sign with, of 16 bytes each. */
export const TICKET_KEYS_BYTES = 48;
const MAX_KEYS_AGE_MS = 86_400_000; // who gets hold of them can read what TLS 1.2 resumed with them
const MAX_CONTEXTS = 16; // per certificate: the servers that share it, times the versions that hooks choose
const SESSION_TIMEOUT_S = 300; // how long a resumed session may lean on a certificate checked before; OpenSSL has 2 hours
const SESSION_ID_CONTEXT_LENGTH = 32; // SSL_MAX_SID_CTX_LENGTH

const contexts = new WeakMap<Certificate, Recent<SecureContext>>();

let keys = { bytes: randomBytes(TICKET_KEYS_BYTES), madeAt: performance.now() };

/** Keys for the tickets of a generation. A reload keeps them, so that nobody needs a full handshake because of it, unless they are a day old. */
export function ticketKeysNow(): Buffer {
  const now = performance.now();
  if (now - keys.madeAt > MAX_KEYS_AGE_MS) keys = { bytes: randomBytes(TICKET_KEYS_BYTES), madeAt: now };
  return keys.bytes;
}

/** Prepares the settings that {@link secureContextOf} takes. */
export function handshakeSettings(choice: HandshakeChoice): HandshakeSettings {
  const { minVersion, maxVersion, ciphers, clientCertificate, clientCa, serverName, ticketKeys } = choice;
  const sessionIdContext = sessionIdContextOf([serverName, clientCertificate, clientCa]);
  const key = digest([sessionIdContext, minVersion, maxVersion, ciphers, ticketKeys?.toString("hex")]);
  return Object.freeze({ ...choice, key, sessionIdContext });
}

/** OpenSSL's context for a certificate under these settings. Made once: nothing else in choosing a certificate costs as much. */
export function secureContextOf(certificate: Certificate, settings: HandshakeSettings): SecureContext {
  const made = contexts.get(certificate) ?? new Recent(MAX_CONTEXTS);
  contexts.set(certificate, made);
  const context = made.get(settings.key) ?? contextFor(certificate, settings);
  made.set(settings.key, context);
  return context;
}

/** A session begun with one certificate is not resumed with another: the client has not seen that one (RFC 6066 §3). */
function contextFor({ cert, key, ca = "" }: Certificate, settings: HandshakeSettings): SecureContext {
  const sessionIdContext = sessionIdContextOf([settings.sessionIdContext, cert]);
  return createSecureContext({ ...optionsOf(settings), cert: cert + ca, key, sessionIdContext });
}

function sessionIdContextOf(parts: readonly (string | undefined)[]): string {
  return digest(parts).slice(0, SESSION_ID_CONTEXT_LENGTH);
}

/** The options of a context apart from its certificate. */
export function optionsOf(settings: HandshakeSettings): SecureContextOptions {
  const { minVersion, maxVersion, clientCa, sessionIdContext, ticketKeys } = settings;
  return {
    ca: clientCa ?? [], // nothing given would mean: trust whom the public web trusts
    minVersion,
    maxVersion,
    ciphers: ciphersFor(settings),
    honorCipherOrder: true,
    sessionIdContext,
    sessionTimeout: SESSION_TIMEOUT_S,
    ticketKeys,
    // A second handshake inside a TLS 1.2 session could swap the client certificate after it was judged.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** OpenSSL 3 has no signature for TLS 1.0 and 1.1 above security level 0: who asks for them by name has to get it. */
function ciphersFor({ ciphers, minVersion }: HandshakeSettings): string | undefined {
  const isOld = minVersion === "TLSv1" || minVersion === "TLSv1.1";
  return isOld ? `${ciphers ?? DEFAULT_CIPHERS}:@SECLEVEL=0` : ciphers;
}

function digest(parts: readonly (string | undefined)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("base64url");
}
