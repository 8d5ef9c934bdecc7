import { type Decoded, frame, malformed } from "../codec.ts";
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

const EXTENSION_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(EXTENSION_TYPE).map(([name, type]) => [type, `extension ${name}`]),
);

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
  const fields = new Fields({ bytes: body, faults }, "ClientHello");
  const legacyVersion = fields.u16();
  if (legacyVersion < SSL3) fields.fail("older than SSL 3.0");
  fields.skip(RANDOM_BYTES);
  if (fields.vector8("session id").left > MAX_SESSION_ID_BYTES) fields.fail("session id too long");
  const ciphers = fields.vector16("cipher_suites", 2).rest16();
  fields.vector8("compression methods", 1);
  const extensions = fields.left ? readExtensions(fields.vector16("extensions")) : new Map<number, Fields>();
  fields.end();
  const said = readKnown(extensions);
  const [fault] = faults;
  if (fault !== undefined) return malformed(fault);
  const { serverName, alpn, ech, supportedVersions, groups, pointFormats, signatureAlgorithms } = said;
  const types = real([...extensions.keys()]);
  const lists = { ciphers: real(ciphers), extensions: types, groups, pointFormats, signatureAlgorithms };
  const input = { legacyVersion, supportedVersions, firstAlpn: alpn[0], ...lists };
  return frame(new Hello(input, serverName, alpn, ech), size);
}

function readExtensions(fields: Fields): Map<number, Fields> {
  const extensions = new Map<number, Fields>();
  while (fields.left) {
    const type = fields.u16();
    const data = fields.vector16(EXTENSION_NAMES.get(type) ?? "extension");
    if (extensions.has(type)) fields.fail(`type ${type} twice`); // RFC 8446 §4.2
    extensions.set(type, data);
  }
  return extensions;
}

function readKnown(extensions: ReadonlyMap<number, Fields>) {
  const read = <Value>(type: number, parse: (fields: Fields) => Value): Value | undefined => {
    const fields = extensions.get(type);
    const value = fields && parse(fields);
    fields?.end();
    return value;
  };
  return {
    serverName: read(EXTENSION_TYPE.serverName, readServerName),
    alpn: read(EXTENSION_TYPE.alpn, readAlpn) ?? [],
    groups: read(EXTENSION_TYPE.groups, readNumbers) ?? [],
    pointFormats: read(EXTENSION_TYPE.pointFormats, readPointFormats) ?? [],
    signatureAlgorithms: read(EXTENSION_TYPE.signatureAlgorithms, readNumbers) ?? [],
    supportedVersions: read(EXTENSION_TYPE.supportedVersions, readVersions),
    ech: read(EXTENSION_TYPE.encryptedClientHello, readEch) ?? false,
  };
}

function readNumbers(fields: Fields): number[] {
  return real(fields.vector16("list of numbers", 2).rest16());
}

function readPointFormats(fields: Fields): number[] {
  return fields.vector8("point formats", 1).rest8();
}

function readVersions(fields: Fields): number[] {
  return real(fields.vector8("supported_versions", 2).rest16());
}

function readServerName(fields: Fields): string | undefined {
  const names = fields.vector16("server_name", 1);
  let host: string | undefined;
  while (names.left) {
    const type = names.u8();
    const name = names.vector16("name", 1).text().toLowerCase();
    if (type !== HOST_NAME) continue;
    if (host !== undefined) names.fail("two host names"); // RFC 6066 §3
    host = name.endsWith(".") ? name.slice(0, -1) : name;
    if (host.length > MAX_NAME_LENGTH || !NAME.test(host)) names.fail("not a host name");
  }
  return host;
}

function readAlpn(fields: Fields): string[] {
  const protocols = fields.vector16("alpn", 2);
  const names: string[] = [];
  while (protocols.left) names.push(protocols.vector8("protocol", 1).text());
  return names;
}

function readEch(fields: Fields): boolean {
  const type = fields.u8();
  if (type === ECH_INNER) return false;
  if (type !== ECH_OUTER) fields.fail("neither outer nor inner");
  fields.skip(HPKE_SUITE_AND_CONFIG_BYTES);
  fields.vector16("encapsulated key");
  fields.vector16("payload", 1);
  return true;
}

/** A class, because a getter in an object literal costs as much as reading a small hello. */
class Hello implements ClientHello {
  readonly serverName: string | undefined;
  readonly alpn: readonly string[];
  readonly versions: readonly string[];
  readonly ciphers: readonly number[];
  readonly extensions: readonly number[];
  readonly groups: readonly number[];
  readonly signatureAlgorithms: readonly number[];
  readonly ech: boolean;
  readonly #input: FingerprintInput;
  #ja3: string | undefined;
  #ja4: string | undefined;

  constructor(input: FingerprintInput, serverName: string | undefined, alpn: readonly string[], ech: boolean) {
    this.serverName = serverName;
    this.alpn = alpn;
    this.versions = versionsOf(input.legacyVersion, input.supportedVersions);
    this.ciphers = input.ciphers;
    this.extensions = input.extensions;
    this.groups = input.groups;
    this.signatureAlgorithms = input.signatureAlgorithms;
    this.ech = ech;
    this.#input = input;
  }

  /** Hashed on first use, as {@link ja4}: most sessions never ask. */
  get ja3(): string {
    this.#ja3 ??= ja3(this.#input);
    return this.#ja3;
  }

  get ja4(): string {
    this.#ja4 ??= ja4(this.#input);
    return this.#ja4;
  }

  toJSON(): ClientHello {
    return { ...this, ja3: this.ja3, ja4: this.ja4 };
  }
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
