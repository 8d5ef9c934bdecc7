import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { createSecureContext, type SecureContext, type SecureVersion } from "node:tls";
import { cachedCerts } from "./cache.ts";
import type { Certificate, Pem } from "./certificate.ts";
import {
  type ClientCertificateMode,
  type HandshakeSettings,
  handshakeSettings,
  optionsOf,
  secureContextOf,
  TICKET_KEYS_BYTES,
} from "./context.ts";
import { certFolder } from "./folder/folder.ts";
import { certificateBlocks, isPem, opensslReason } from "./pem.ts";
import { certificateMemo } from "./pem-memo.ts";
import { type CertSource, type CertStore, certList } from "./store.ts";
import { type SettingsFor, settingsFor } from "./wish.ts";

/** `ssl` of a server, as users write it. */
export interface SslConfig {
  /** `auto`: plain and TLS on the same port; `always`: TLS only; `starttls`: plain until `session.startTls()`. */
  readonly mode: "auto" | "always" | "starttls";
  /** A folder of `name.crt` and `name.key`, a list whose first is the default, or a store of one's own. */
  readonly certs: string | readonly (Pem | Certificate)[] | CertSource;
  /** ALPN names in order of preference (RFC 7301); default: none, ALPN is not answered. */
  readonly alpn?: readonly string[];
  /** Default `TLSv1.2`. */
  readonly minVersion?: SecureVersion;
  /** Default `TLSv1.3`. */
  readonly maxVersion?: SecureVersion;
  /** OpenSSL's cipher list; default: Node's. */
  readonly ciphers?: string;
  /** Default `off`. */
  readonly clientCertificate?: ClientCertificateMode;
  /** Whose client certificates are trusted: PEM text or a path. Needed unless `clientCertificate` is `off`. */
  readonly ca?: string;
  /** From the first byte of TLS to the end of the handshake; default 10,000. */
  readonly handshakeTimeoutMs?: number;
}

/** What the compilation of {@link SslConfig} needs to know besides. */
export interface SslEnvironment {
  /** Name of the server in the configuration. */
  readonly serverName: string;
  /** What relative paths start from. */
  readonly baseDir: string;
  readonly warn: (message: string) => void;
  /** 48 secret bytes that all workers share, so that one resumes what another began; absent: each context has its own. */
  readonly ticketKeys?: Buffer | undefined;
}

/** `ssl` of a server as handshakes use it: everything read, checked and frozen. */
export interface ServerSsl {
  readonly mode: SslConfig["mode"];
  readonly certs: CertStore;
  readonly alpn: readonly string[];
  readonly clientCertificate: ClientCertificateMode;
  readonly handshakeTimeoutMs: number;
  readonly settings: HandshakeSettings;
  /** Turns what a hook returned into a certificate; throws a TypeError that says what is wrong with it. */
  certificateOf(given: Pem | Certificate): Certificate;
  /** These settings with what hooks want of one handshake; throws a TypeError that says what cannot be had. */
  readonly settingsFor: SettingsFor;
  /** OpenSSL's context for a certificate, under this server's settings unless others are given. */
  contextOf(certificate: Certificate, settings?: HandshakeSettings): SecureContext;
  /** Stops watching files. */
  close(): Promise<void>;
}

const VERSIONS: readonly SecureVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const MAX_ALPN_NAME = 255; // RFC 7301 §3.1: one length byte
const HANDSHAKE_TIMEOUT_MS = 10_000;
// A rotation in a foreign store shows after a minute, a certificate for a new name after five seconds.
const FOREIGN_CACHE = { max: 1_000, ttlMs: 60_000, negativeTtlMs: 5_000 };
const MAX_GIVEN = 1_000; // certificates from hooks and foreign stores, some 50 KB each with their contexts

/**
 * Prepares a server's TLS: reads certificates and CA, checks every option, starts to watch a folder.
 * Rejects with a TypeError that begins with the key at fault, `ssl.ca: …`. Whoever gets the result closes it.
 */
export async function compileSsl(config: SslConfig, environment: SslEnvironment): Promise<ServerSsl> {
  const settings = await settingsOf(config, environment);
  const alpn = Object.freeze((config.alpn ?? []).map(checkedAlpn));
  const certificateOf = certificateMemo(MAX_GIVEN);
  const { store, close } = await at("certs", () => storeOf(config.certs, environment, certificateOf));
  return Object.freeze({
    mode: config.mode,
    certs: store,
    alpn,
    clientCertificate: settings.clientCertificate,
    handshakeTimeoutMs: config.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS,
    settings,
    certificateOf,
    settingsFor: settingsFor(settings),
    contextOf: (certificate: Certificate, wished = settings) => secureContextOf(certificate, wished),
    close,
  });
}

interface OpenStore {
  readonly store: CertStore;
  close(): Promise<void>;
}

/** A folder and a list answer from memory; only a foreign store is worth a cache. */
async function storeOf(
  certs: SslConfig["certs"],
  { baseDir, warn }: SslEnvironment,
  toCertificate: ServerSsl["certificateOf"],
): Promise<OpenStore> {
  if (typeof certs === "string") {
    if (isPem(certs)) throw new TypeError("the path of a folder is expected, not PEM");
    const folder = await certFolder(resolve(baseDir, certs), { warn });
    return { store: folder, close: () => folder.close() };
  }
  const store = isList(certs) ? certList(certs) : cachedCerts(certs, { ...FOREIGN_CACHE, toCertificate });
  return { store, close: async () => {} }; // a foreign store belongs to the user
}

async function settingsOf(
  config: SslConfig,
  { serverName, baseDir, ticketKeys }: SslEnvironment,
): Promise<HandshakeSettings> {
  const { minVersion = "TLSv1.2", maxVersion = "TLSv1.3", clientCertificate = "off", ciphers, ca } = config;
  if (versionRank("minVersion", minVersion) > versionRank("maxVersion", maxVersion)) {
    throw new TypeError(`ssl.minVersion: ${minVersion} is above ssl.maxVersion, ${maxVersion}`);
  }
  if (clientCertificate !== "off" && ca === undefined) {
    throw new TypeError(`ssl.ca: needed to judge client certificates (clientCertificate: "${clientCertificate}")`);
  }
  if (ticketKeys !== undefined && ticketKeys.length !== TICKET_KEYS_BYTES) {
    throw new TypeError(`ticketKeys: ${TICKET_KEYS_BYTES} bytes are expected, not ${ticketKeys.length}`);
  }
  const clientCa = ca === undefined ? undefined : await at("ca", () => clientCaOf(ca, baseDir));
  const settings = handshakeSettings({
    minVersion,
    maxVersion,
    ciphers,
    clientCertificate,
    clientCa,
    serverName,
    ticketKeys,
  });
  await at("ciphers", () => createSecureContext(optionsOf(settings))); // OpenSSL alone knows which words it takes
  return settings;
}

async function clientCaOf(ca: string, baseDir: string): Promise<string> {
  const text = isPem(ca) ? ca : await readFile(resolve(baseDir, ca), "latin1");
  const blocks = certificateBlocks(text);
  for (const block of blocks) new X509Certificate(block); // OpenSSL would skip what it cannot read, and trust less than was asked
  return `${blocks.join("\n")}\n`;
}

function checkedAlpn(name: string, place: number): string {
  const size = Buffer.byteLength(name);
  if (size >= 1 && size <= MAX_ALPN_NAME) return name;
  throw new TypeError(`ssl.alpn[${place}]: a name of 1 to ${MAX_ALPN_NAME} bytes is expected`);
}

function versionRank(key: "minVersion" | "maxVersion", version: SecureVersion): number {
  const rank = VERSIONS.indexOf(version);
  if (rank >= 0) return rank;
  throw new TypeError(`ssl.${key}: one of ${VERSIONS.join(", ")} is expected`);
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList(certs: readonly (Pem | Certificate)[] | CertSource): certs is readonly (Pem | Certificate)[] {
  return Array.isArray(certs);
}

/** Runs one step, and puts the key that it is about before what it throws. */
async function at<T>(key: "certs" | "ca" | "ciphers", step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (cause) {
    throw new TypeError(`ssl.${key}: ${opensslReason(cause)}`, { cause });
  }
}
