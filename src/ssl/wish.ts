import { X509Certificate } from "node:crypto";
import type { SecureVersion } from "node:tls";
import { messageOf } from "../errors.ts";
import type { Pem } from "./certificate.ts";
import { type ClientCertificateMode, type HandshakeSettings, handshakeSettings } from "./context.ts";
import { certificateBlocks } from "./pem.ts";
import { Recent } from "./recent.ts";

/** A version that a hook may choose for one client. What is older weakens OpenSSL's whole context: only `ssl` may ask for it. */
export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** Which versions one client may speak, instead of those of `ssl`. OpenResty: `set_protocols`. */
export interface TlsVersions {
  /** Older clients are refused. */
  readonly minVersion?: TlsVersion | undefined;
  /** Newer clients get this version. */
  readonly maxVersion?: TlsVersion | undefined;
}

/** What hooks want of one handshake besides the certificate. */
export interface HandshakeWish extends TlsVersions {
  /**
   * Asks this client for a certificate, as `ssl.clientCertificate: "optional"` does: whatever it shows, the handshake goes on, and
   * `session.ssl.verify` has the verdict. False: does not ask, where `ssl` would. OpenResty: `verify_client`.
   */
  readonly requestCert?: boolean | undefined;
  /** PEM: whose client certificates are trusted here, instead of those of `ssl.ca`. */
  readonly clientCa?: string | Uint8Array | undefined;
}

/** What `phases.sslCertificate` may return: a certificate in PEM, wishes, or both; without one it is that of `ssl.certs`. */
export type CertificateChoice = HandshakeWish & (Pem | { readonly [Part in keyof Pem]?: undefined });

/** Turns a wish into settings. Throws a TypeError that says what cannot be had. */
export type SettingsFor = (wish: HandshakeWish) => HandshakeSettings;

const VERSIONS: ReadonlySet<unknown> = new Set<TlsVersion>(["TLSv1.2", "TLSv1.3"]);

/** Different wishes of one server's hooks that are kept prepared: their combinations, times the tenants with their own `clientCa`. */
const MAX_WISHES = 256;

/** Applies wishes to a server's settings, each kind of them once: preparing costs two hashes, and a look at each authority. */
export function settingsFor(settings: HandshakeSettings): SettingsFor {
  const prepared = new Recent<HandshakeSettings>(MAX_WISHES);
  return (wish) => {
    const { minVersion, maxVersion, requestCert, clientCa } = wish;
    if (isNothing(minVersion) && isNothing(maxVersion) && isNothing(requestCert) && isNothing(clientCa))
      return settings;
    const key = JSON.stringify([minVersion, maxVersion, requestCert, clientCa && textOf(clientCa)]);
    const made = prepared.get(key) ?? prepare(settings, wish);
    prepared.set(key, made);
    return made;
  };
}

function prepare(settings: HandshakeSettings, wish: HandshakeWish): HandshakeSettings {
  const minVersion = version("minVersion", wish.minVersion) ?? settings.minVersion;
  const maxVersion = version("maxVersion", wish.maxVersion) ?? settings.maxVersion;
  if (minVersion > maxVersion) throw new TypeError(`minVersion: ${minVersion} is above maxVersion, ${maxVersion}`); // the names sort
  const clientCertificate = modeFor(settings.clientCertificate, wish.requestCert);
  const clientCa = isNothing(wish.clientCa) ? settings.clientCa : authorities(wish.clientCa);
  if (!isNothing(wish.clientCa) && clientCertificate === "off")
    throw new TypeError("clientCa: of no use, since the client is not asked for a certificate (requestCert)");
  return handshakeSettings({ ...settings, minVersion, maxVersion, clientCertificate, clientCa });
}

function version(key: keyof TlsVersions, value: TlsVersion | undefined): SecureVersion | undefined {
  if (isNothing(value)) return undefined;
  if (VERSIONS.has(value)) return value;
  throw new TypeError(`${key}: expected TLSv1.2 or TLSv1.3, got ${JSON.stringify(value) ?? typeof value}`);
}

/** A hook may ask where the configuration does not, but not let in whom the configuration would refuse. */
function modeFor(configured: ClientCertificateMode, requestCert: boolean | undefined): ClientCertificateMode {
  if (isNothing(requestCert)) return configured;
  if (typeof requestCert !== "boolean")
    throw new TypeError(`requestCert: expected a boolean, got ${typeof requestCert}`);
  if (requestCert) return configured === "off" ? "optional" : configured;
  if (configured === "required") throw new TypeError('requestCert: ssl.clientCertificate is "required"');
  return "off";
}

function authorities(pem: unknown): string {
  try {
    const blocks = certificateBlocks(textOf(pem));
    for (const block of blocks) new X509Certificate(block); // OpenSSL would skip what it cannot read, and trust less than was asked
    return `${blocks.join("\n")}\n`;
  } catch (cause) {
    throw new TypeError(`clientCa: ${messageOf(cause)}`, { cause });
  }
}

function textOf(pem: unknown): string {
  if (pem instanceof Uint8Array) return Buffer.from(pem).toString("latin1");
  if (typeof pem === "string") return pem;
  throw new TypeError("PEM text or bytes expected");
}

/** What a hook in JavaScript may write for "not said". */
function isNothing(value: unknown): value is undefined {
  return value === undefined || value === null;
}
