import type { SecureVersion } from "node:tls";
import type { Certificate, Pem } from "../../../ssl/certificate.ts";
import type { SslConfig } from "../../../ssl/settings.ts";
import type { CertSource } from "../../../ssl/store.ts";
import {
  checked,
  either,
  isRecord,
  list,
  maybe,
  milliseconds,
  oneOf,
  type Schema,
  secret,
  shape,
  text,
} from "./schema.ts";

const WHAT_CERTS = "a folder, a list of { cert, key }, or a store with find()";

const folder: Schema<string> = secret("the path of a folder", (path) => !path.includes("-----BEGIN "));

/** A certificate of ours keeps its identity; what it holds was checked when it was made. */
const pair: Schema<Pem | Certificate> = checked(
  (value): value is Pem | Certificate => isRecord(value) && isPem(value["cert"]) && isPem(value["key"]),
  "{ cert, key } in PEM",
);

function isPem(value: unknown): boolean {
  return (typeof value === "string" && value.includes("-----BEGIN ")) || value instanceof Uint8Array;
}

const store: Schema<CertSource> = checked(
  (value): value is CertSource => isRecord(value) && typeof value["find"] === "function",
  WHAT_CERTS,
);

/** RFC 7301 §3.1: one byte tells its length. */
const MAX_ALPN_BYTES = 255;

/** The name of a protocol in ALPN, like `h2`. */
export const protocolName: Schema<string> = text(
  `the name of a protocol, like "h2"`,
  (name) => Buffer.byteLength(name) <= MAX_ALPN_BYTES,
);

const version = oneOf<SecureVersion>("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3");

/** TLS of a server. What only reading the files can show is checked when the server is built. */
export const sslSchema: Schema<SslConfig> = shape("an object with mode and certs", {
  mode: oneOf("auto", "always", "starttls"),
  certs: either<SslConfig["certs"]>((input) => {
    if (typeof input === "string") return folder;
    return Array.isArray(input) ? list(pair, WHAT_CERTS, { min: 1 }) : store;
  }),
  alpn: maybe(list(protocolName, "a list of protocols")),
  minVersion: maybe(version),
  maxVersion: maybe(version),
  ciphers: maybe(text("OpenSSL's cipher list")),
  clientCertificate: maybe(oneOf("off", "optional", "required")),
  ca: maybe(secret("PEM text or a path")),
  handshakeTimeoutMs: maybe(milliseconds()),
});
