import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { messageOf } from "../errors.ts";
import { normalPattern } from "./names.ts";
import { certificateBlocks, opensslReason } from "./pem.ts";

/** A certificate as users write it: PEM text or its bytes. `cert` may be a full chain, `ca` holds the rest of the chain. */
export interface Pem {
  readonly cert: string | Uint8Array;
  readonly key: string | Uint8Array;
  /** Intermediate certificates to send after `cert`, where they are not in it already. */
  readonly ca?: string | Uint8Array | undefined;
}

/**
 * What a handshake presents: a key, its certificate, and the names that it is good for. It exists only when it works:
 * the constructor throws a TypeError that names the part at fault, and no message ever holds key material.
 */
export class Certificate {
  /** Lower-case DNS names and `*.` wildcards: those of the SAN, or the common name when the SAN has none. */
  readonly names: readonly string[];
  /** SHA-256 of the certificate, in hex with colons. */
  readonly fingerprint: string;
  /** First moment of validity, in milliseconds since 1970. */
  readonly notBefore: number;
  /** Last moment of validity, in milliseconds since 1970. */
  readonly notAfter: number;
  /** PEM: the server's own certificate, then its chain where given. */
  readonly cert: string;
  /** PEM: more of the chain, sent after `cert`. */
  readonly ca: string | undefined;
  readonly #key: string; // private, so that a certificate may be logged

  constructor(pem: Pem) {
    const [leaf, ...chain] = part("cert", () => certificateBlocks(textOf(pem.cert)));
    const ca = pem.ca === undefined ? undefined : part("ca", () => certificateBlocks(textOf(pem.ca)));
    const parsed = part("cert", () => x509(leaf));
    const issuers = part("cert", () => chain.map(x509));
    part("ca", () => ca?.map(x509));
    this.#key = part("key", () => textOf(pem.key));
    belongsTogether(
      parsed,
      issuers,
      part("key", () => readKey(this.#key)),
    );
    this.names = namesOf(parsed);
    this.fingerprint = parsed.fingerprint256;
    this.notBefore = Date.parse(parsed.validFrom);
    this.notAfter = Date.parse(parsed.validTo);
    this.cert = pemOf([leaf, ...chain]);
    this.ca = ca && pemOf(ca);
    presentable(this);
    Object.freeze(this);
  }

  /** PEM: the private key. */
  get key(): string {
    return this.#key;
  }
}

/** Makes a {@link Certificate} of PEM, as ngx.ssl's `parse_pem_cert` and `parse_pem_priv_key` do; a made one stays. */
export function certificate(given: Pem | Certificate): Certificate {
  return given instanceof Certificate ? given : new Certificate(given);
}

/** A key that is too weak, or a curve that OpenSSL has not: refuse it now, not in the first handshake. */
function presentable({ cert, key }: Certificate): void {
  try {
    createSecureContext({ cert, key, ca: [] });
  } catch (cause) {
    throw new TypeError(`OpenSSL refuses cert and key: ${opensslReason(cause)}`, { cause });
  }
}

function readKey(text: string): KeyObject {
  if (!text.includes("PRIVATE KEY-----")) throw new TypeError("no PEM private key in it");
  if (text.includes("ENCRYPTED")) throw new TypeError("encrypted; a key without passphrase is expected");
  try {
    return createPrivateKey(text);
  } catch (cause) {
    throw new TypeError(`not a private key (${opensslReason(cause)})`, { cause });
  }
}

function x509(block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch (cause) {
    throw new TypeError(`not a certificate (${opensslReason(cause)})`, { cause });
  }
}

function belongsTogether(leaf: X509Certificate, issuers: readonly X509Certificate[], key: KeyObject): void {
  if (leaf.checkPrivateKey(key)) return;
  const place = issuers.findIndex((issuer) => issuer.checkPrivateKey(key));
  const hint = place === -1 ? "" : ` (it belongs to certificate ${place + 2} in it; the server's own must come first)`;
  throw new TypeError(`key: does not belong to cert${hint}`);
}

/** RFC 9525 §6.2 knows the SAN only; certificates without one are still about, and choosing by them harms nobody. */
function namesOf(parsed: X509Certificate): readonly string[] {
  const san = dnsNames(parsed.subjectAltName ?? "");
  const [, commonName = ""] = /^CN=(.+)$/m.exec(parsed.subject) ?? [];
  const names = (san.length > 0 ? san : [commonName]).map(normalPattern).filter((name) => name !== undefined);
  return Object.freeze([...new Set(names)]);
}

/** Reads Node's one-line SAN. A value with odd characters comes quoted, and what is inside quotes must not count as an entry. */
function dnsNames(subjectAltName: string): string[] {
  const entry = /(?:, )?([^:,"]+):(?:"(?:[^"\\]|\\.)*"|([^,"]*))/y;
  const names: string[] = [];
  for (let found = entry.exec(subjectAltName); found; found = entry.exec(subjectAltName)) {
    const [, kind, plain] = found;
    if (kind === "DNS" && plain !== undefined) names.push(plain);
  }
  return names;
}

function pemOf(blocks: readonly string[]): string {
  return `${blocks.join("\n")}\n`;
}

function textOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  throw new TypeError("PEM text or bytes expected");
}

/** Runs one step, and names the part of the pair in what it throws. */
function part<T>(name: "cert" | "key" | "ca", step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw new TypeError(`${name}: ${messageOf(cause)}`, { cause });
  }
}
