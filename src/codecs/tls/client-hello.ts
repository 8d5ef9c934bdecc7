import { type Decoded, frame, malformed } from "../codec.ts";
import { latin1 } from "../latin1.ts";
import { Fields } from "./fields.ts";
import { type FingerprintInput, ja3, ja4 } from "./fingerprint.ts";
import { readHelloBody } from "./records.ts";

/** What a TLS client says before anything is encrypted: enough to route, to choose a certificate, to know the client again. */
export interface ClientHello {
  /** Lower-cased, without a trailing dot, and made of host name characters only. */
  readonly serverName: string | undefined;
  /** In the client's order, one character per byte. */
  readonly alpn: readonly string[];
  /** `TLSv1.3`, `TLSv1.2`, … newest first. Without `supported_versions`: the client's version and all below. */
  readonly versions: readonly string[];
  readonly ciphers: readonly number[];
  /** Types in the client's order; like all numbers here without GREASE (RFC 8701). */
  readonly extensions: readonly number[];
  readonly groups: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  /** Whether an encrypted hello is inside (or a decoy of one): `serverName` is then the public name. */
  readonly ech: boolean;
  /** MD5 in hex. */
  readonly ja3: string;
  readonly ja4: string;
}

/** Extension types that are looked into (IANA TLS ExtensionType Values). */
export const EXTENSION_TYPE = {
  serverName: 0,
  groups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  alpn: 16,
  supportedVersions: 43,
  encryptedClientHello: 0xfe0d,
} as const;

/** Names as node:tls and nginx write them, newest first. */
export const VERSION_NAMES: ReadonlyMap<number, string> = new Map([
  [0x0304, "TLSv1.3"],
  [0x0303, "TLSv1.2"],
  [0x0302, "TLSv1.1"],
  [0x0301, "TLSv1"],
  [0x0300, "SSLv3"],
]);

const SSL3 = 0x0300;
const TLS12 = 0x0303;
const TLS10 = 0x0301;
const RANDOM_BYTES = 32;
const MAX_SESSION_ID_BYTES = 32;
const HOST_NAME = 0; // RFC 6066 §3: the only name type
const MAX_NAME_LENGTH = 253; // RFC 1035 §2.3.4, as text
const NAME = /^[a-z0-9_:-]+(?:\.[a-z0-9_:-]+)*$/; // clients also send `_` and address literals; nothing that could be a path
const ECH_OUTER = 0; // RFC 9849 §5
const ECH_INNER = 1;
const HPKE_SUITE_AND_CONFIG_BYTES = 5;

/** Reads the ClientHello at the start of a connection, whatever records and segments it is cut into (RFC 8446 §4.1.2). */
export function decodeClientHello(bytes: Uint8Array): Decoded<ClientHello> {
  const body = readHelloBody(bytes);
  return body.kind === "frame" ? decodeBody(body.value, body.size) : body;
}

function decodeBody(body: Uint8Array, size: number): Decoded<ClientHello> {
  const faults: string[] = [];
  const fields = new Fields(body, "ClientHello", faults);
  const legacyVersion = fields.u16();
  if (legacyVersion < SSL3) fields.fail("older than SSL 3.0");
  fields.take(RANDOM_BYTES);
  if (fields.vector8().length > MAX_SESSION_ID_BYTES) fields.fail("session id too long");
  const ciphers = new Fields(fields.vector16(2), "cipher_suites", faults).rest16();
  fields.vector8(1); // compression methods
  const extensions = fields.left ? readExtensions(fields.vector16(), faults) : new Map<number, Uint8Array>();
  fields.end();
  const said = readKnown(extensions, faults);
  const [fault] = faults;
  if (fault !== undefined) return malformed(fault);
  const { serverName, alpn, ech, supportedVersions, groups, pointFormats, signatureAlgorithms } = said;
  const types = real([...extensions.keys()]);
  const lists = { ciphers: real(ciphers), extensions: types, groups, pointFormats, signatureAlgorithms };
  const input = { legacyVersion, supportedVersions, firstAlpn: alpn[0], ...lists };
  return frame(helloOf(input, serverName, alpn, ech), size);
}

function readExtensions(bytes: Uint8Array, faults: string[]): Map<number, Uint8Array> {
  const extensions = new Map<number, Uint8Array>();
  const fields = new Fields(bytes, "extensions", faults);
  while (fields.left) {
    const type = fields.u16();
    const data = fields.vector16();
    if (extensions.has(type)) fields.fail(`type ${type} twice`); // RFC 8446 §4.2
    extensions.set(type, data);
  }
  return extensions;
}

function readKnown(extensions: ReadonlyMap<number, Uint8Array>, faults: string[]) {
  const read = <Value>(type: keyof typeof EXTENSION_TYPE, parse: (fields: Fields) => Value): Value | undefined => {
    const data = extensions.get(EXTENSION_TYPE[type]);
    if (data === undefined) return undefined;
    const fields = new Fields(data, `extension ${type}`, faults);
    const value = parse(fields);
    fields.end();
    return value;
  };
  const list16 = (fields: Fields): number[] => real(new Fields(fields.vector16(2), "list of numbers", faults).rest16());
  return {
    serverName: read("serverName", (fields) => readServerName(fields, faults)),
    alpn: read("alpn", (fields) => readAlpn(fields, faults)) ?? [],
    groups: read("groups", list16) ?? [],
    pointFormats: read("pointFormats", (fields) => [...fields.vector8(1)]) ?? [],
    signatureAlgorithms: read("signatureAlgorithms", list16) ?? [],
    supportedVersions: read("supportedVersions", (fields) =>
      real(new Fields(fields.vector8(2), "supported_versions", faults).rest16()),
    ),
    ech: read("encryptedClientHello", readEch) ?? false,
  };
}

function readServerName(fields: Fields, faults: string[]): string | undefined {
  const names = new Fields(fields.vector16(1), "server_name", faults);
  let host: string | undefined;
  while (names.left) {
    const type = names.u8();
    const name = latin1(names.vector16(1)).toLowerCase().replace(/\.$/, "");
    if (type !== HOST_NAME) continue;
    if (host !== undefined) names.fail("two host names"); // RFC 6066 §3
    if (name.length > MAX_NAME_LENGTH || !NAME.test(name)) names.fail("not a host name");
    host = name;
  }
  return host;
}

function readAlpn(fields: Fields, faults: string[]): string[] {
  const protocols = new Fields(fields.vector16(2), "alpn", faults);
  const names: string[] = [];
  while (protocols.left) names.push(latin1(protocols.vector8(1)));
  return names;
}

function readEch(fields: Fields): boolean {
  const type = fields.u8();
  if (type === ECH_INNER) return false;
  if (type !== ECH_OUTER) fields.fail("neither outer nor inner");
  fields.take(HPKE_SUITE_AND_CONFIG_BYTES);
  fields.vector16();
  fields.vector16(1);
  return true;
}

function helloOf(
  input: FingerprintInput,
  serverName: string | undefined,
  alpn: readonly string[],
  ech: boolean,
): ClientHello {
  let ja3Digest: string | undefined;
  let ja4Digest: string | undefined;
  return {
    serverName,
    alpn,
    versions: versionsOf(input.legacyVersion, input.supportedVersions),
    ciphers: input.ciphers,
    extensions: input.extensions,
    groups: input.groups,
    signatureAlgorithms: input.signatureAlgorithms,
    ech,
    // Hashed on first use: most sessions never ask.
    get ja3(): string {
      ja3Digest ??= ja3(input);
      return ja3Digest;
    },
    get ja4(): string {
      ja4Digest ??= ja4(input);
      return ja4Digest;
    },
  };
}

function versionsOf(legacy: number, supported: readonly number[] | undefined): string[] {
  const highest = Math.min(legacy, TLS12); // RFC 8446 §4.2.1: without the extension no more than TLS 1.2
  const lowest = Math.min(highest, TLS10);
  const names: string[] = [];
  for (const [version, name] of VERSION_NAMES) {
    if (supported ? supported.includes(version) : version <= highest && version >= lowest) names.push(name);
  }
  return names;
}

/** Without GREASE, the values reserved to keep servers tolerant: 0x0a0a, 0x1a1a, … 0xfafa (RFC 8701 §2). */
function real(values: readonly number[]): number[] {
  return values.filter((value) => (value & 0x0f0f) !== 0x0a0a || value >> 8 !== (value & 0xff));
}
