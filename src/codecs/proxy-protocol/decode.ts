import { isIPv4, isIPv6 } from "node:net";
import type { Address } from "../address.ts";
import { type Decoded, frame, malformed, needs } from "../codec.ts";
import { ipFromBytes, ipToBytes, unmapped } from "../ip.ts";
import { crc32c } from "./crc32c.ts";
import { parseTlvs, TLV_TYPE, type Tlv } from "./tlv.ts";

/** Who the client is, as a trusted sender in front of us says (PROXY protocol specification, HAProxy). */
export interface ProxyHeader {
  readonly version: 1 | 2;
  /** `local`: the sender speaks for itself, mostly to check our health. */
  readonly command: "proxy" | "local";
  /** The client; undefined when the sender does not say, then the connection's own address counts. */
  readonly source: Address | undefined;
  /** Where the client connected to; undefined together with `source`. */
  readonly destination: Address | undefined;
  /** Extras of version 2 in their order, without padding and checksum. */
  readonly tlvs: readonly Tlv[];
}

/** The reason when the bytes are no PROXY header at all, neither whole nor begun. */
export const NO_PROXY_HEADER = "no PROXY header";

/** First bytes of version 2 (specification §2.2). */
export const SIGNATURE = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
/** Size of a unix path in version 2, as the kernel's `sun_path`. */
export const UNIX_PATH_BYTES = 108;
/** Signature, version and command, family, length. */
export const FIXED_BYTES = 16;
/** Address families of version 2, the high half of byte 14. */
export const FAMILY = { none: 0, inet: 1, inet6: 2, unix: 3 } as const;

const MAX_LINE_BYTES = 107; // specification §2.1: the longest line of version 1, CR LF included
const LINE_START = "PROXY ";
const FREE_LINE_START = "PROXY UNKNOWN ";
/** Shortest line of each kind, CR LF included. */
const MIN_LINE_BYTES = { TCP4: 32, TCP6: 22, UNKNOWN: 15 } as const;
const LF = 0x0a;
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });
const ADDRESS_BYTES = [0, 12, 36, 2 * UNIX_PATH_BYTES] as const; // by family: none, INET, INET6, UNIX

/** Reads the PROXY header, version 1 or 2, that stands before a client's bytes. A longer one than `maxBytes` is malformed. */
export function decodeProxyHeader(
  bytes: Uint8Array,
  { maxBytes }: { readonly maxBytes: number },
): Decoded<ProxyHeader> {
  if (bytes.length === 0) return needs(1); // one byte tells whether a header has begun
  return bytes[0] === SIGNATURE[0] ? decodeV2(bytes, maxBytes) : decodeV1(bytes, Math.min(MAX_LINE_BYTES, maxBytes));
}

/** The line is at most 107 bytes, so looking at all of it again with each byte that trickles in stays cheap. */
function decodeV1(bytes: Uint8Array, limit: number): Decoded<ProxyHeader> {
  const text = latin1(bytes.subarray(0, limit - 1)); // the byte after these can only be the LF
  const known = Math.min(text.length, LINE_START.length);
  if (text.slice(0, known) !== LINE_START.slice(0, known)) return malformed(NO_PROXY_HEADER);
  const free = text.startsWith(FREE_LINE_START); // whatever follows is to be ignored, up to CR LF
  const cr = free ? latin1(bytes.subarray(0, limit)).indexOf("\r\n") : text.indexOf("\r");
  const fields = (cr === -1 ? text : text.slice(0, cr)).split(" ");
  const fault = free ? undefined : lineFault(fields, cr !== -1);
  if (fault) return malformed(fault);
  if (cr !== -1 && bytes[cr + 1] === LF) return frame(lineHeader(fields), cr + 2);
  if (cr !== -1 && bytes.length > cr + 1) return malformed("CR without LF");
  const missing = text.endsWith("\r") ? 1 : 2;
  const atLeast = Math.max(shortestLine(fields[1]), bytes.length + missing);
  return atLeast > limit ? malformed(`line longer than ${limit} bytes`) : needs(atLeast);
}

function shortestLine(protocol: string | undefined): number {
  return protocol === "TCP4" || protocol === "TCP6" ? MIN_LINE_BYTES[protocol] : MIN_LINE_BYTES.UNKNOWN;
}

/**
 * The first field from the left that is wrong, or can no longer become right. Checking in this order, and a field
 * that has only begun by less than a whole one, keeps the answer the same however many bytes are there.
 */
function lineFault(fields: readonly string[], complete: boolean): string | undefined {
  const [, protocol = ""] = fields;
  const whole = (index: number): boolean => complete || index < fields.length - 1;
  const right = fieldRules(protocol);
  for (const [index, field] of fields.entries()) {
    const rule = right[index];
    if (!rule) return "text after the last field";
    if (!(whole(index) ? rule.whole(field) : rule.begun(field))) return `bad ${rule.name}`;
  }
  return complete && fields.length < right.length ? "line ends too early" : undefined;
}

interface FieldRule {
  readonly name: string;
  whole(text: string): boolean;
  begun(text: string): boolean;
}

const isPort = (text: string): boolean => /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;
const begunPort = (text: string): boolean => text === "" || isPort(text);
const begunV4 = (text: string): boolean => /^[\d.]{0,15}$/.test(text);
const begunV6 = (text: string): boolean => /^[\da-f:.]{0,45}$/i.test(text);
const wholeV6 = (text: string): boolean => begunV6(text) && isIPv6(text); // no zone

function fieldRules(protocol: string): readonly FieldRule[] {
  const names = Object.keys(MIN_LINE_BYTES);
  const start: FieldRule[] = [
    { name: "start", whole: () => true, begun: () => true },
    {
      name: "protocol",
      whole: (text) => names.includes(text),
      begun: (text) => names.some((name) => name.startsWith(text)),
    },
  ];
  if (protocol === "UNKNOWN") return start;
  const ip = protocol === "TCP6" ? { whole: wholeV6, begun: begunV6 } : { whole: isIPv4, begun: begunV4 };
  const port = { whole: isPort, begun: begunPort };
  return [
    ...start,
    { name: "source address", ...ip },
    { name: "destination address", ...ip },
    { name: "source port", ...port },
    { name: "destination port", ...port },
  ];
}

function lineHeader(fields: readonly string[]): ProxyHeader {
  const [, protocol, source = "", destination = "", sourcePort, destinationPort] = fields;
  const known = protocol !== "UNKNOWN";
  return {
    version: 1,
    command: "proxy",
    source: known ? { host: canonical(source), port: Number(sourcePort) } : undefined,
    destination: known ? { host: canonical(destination), port: Number(destinationPort) } : undefined,
    tlvs: [],
  };
}

/** Version 2. What the fixed part refuses is refused before the rest is there. */
function decodeV2(bytes: Uint8Array, maxBytes: number): Decoded<ProxyHeader> {
  for (let index = 0; index < Math.min(bytes.length, SIGNATURE.length); index++) {
    if (bytes[index] !== SIGNATURE[index]) return malformed(NO_PROXY_HEADER);
  }
  const fault = fixedFault(bytes);
  if (fault) return malformed(fault);
  if (bytes.length < FIXED_BYTES) return needs(FIXED_BYTES);
  const size = FIXED_BYTES + (((bytes[14] ?? 0) << 8) | (bytes[15] ?? 0));
  if (size > maxBytes) return malformed(`header of ${size} bytes, the limit is ${maxBytes}`);
  const local = commandOf(bytes) === 0;
  const family = familyOf(bytes);
  const addressBytes = ADDRESS_BYTES[family] ?? 0;
  if (!local && size < FIXED_BYTES + addressBytes) return malformed("length too small for the address family");
  if (bytes.length < size) return needs(size);
  if (local) return frame(withoutAddresses("local", []), size); // specification §2.2: its block is to be discarded
  const header = new Uint8Array(bytes.subarray(0, size)); // a copy: the buffer it came in is not ours to keep
  return decodeBlock(header, family, FIXED_BYTES + addressBytes);
}

const versionOf = (bytes: Uint8Array): number => (bytes[12] ?? 0) >> 4;
const commandOf = (bytes: Uint8Array): number => (bytes[12] ?? 0) & 0x0f;
const familyOf = (bytes: Uint8Array): number => (bytes[13] ?? 0) >> 4;

function fixedFault(bytes: Uint8Array): string | undefined {
  if (bytes.length <= 12) return undefined;
  if (versionOf(bytes) !== 2) return `unknown version ${versionOf(bytes)}`;
  if (commandOf(bytes) > 1) return `unknown command ${commandOf(bytes)}`;
  if (bytes.length === 13 || commandOf(bytes) === 0) return undefined; // LOCAL: the family is to be ignored
  const transport = (bytes[13] ?? 0) & 0x0f; // 1 stream, 2 datagram; 0 only where nothing is specified
  if (familyOf(bytes) > FAMILY.unix) return `unknown address family ${familyOf(bytes)}`;
  if (transport > 2 || (transport === 0 && familyOf(bytes) !== FAMILY.none)) return `unknown transport ${transport}`;
  return undefined;
}

/** Addresses and extras of a whole header. */
function decodeBlock(header: Uint8Array, family: number, extrasAt: number): Decoded<ProxyHeader> {
  const size = header.length;
  const tlvs = parseTlvs(header.subarray(extrasAt));
  if (family === FAMILY.none) {
    // Here addresses of unknown form may stand before the extras, or instead of them: they are to be ignored.
    if (!tlvs) return frame(withoutAddresses("proxy", []), size);
  } else if (!tlvs) {
    return malformed("TLV longer than the header");
  }
  const fault = checksumFault(header, tlvs);
  if (fault) return malformed(fault);
  const extras = tlvs.filter(({ type }) => type !== TLV_TYPE.noop && type !== TLV_TYPE.crc32c);
  if (family === FAMILY.none) return frame(withoutAddresses("proxy", extras), size);
  return frame({ version: 2, command: "proxy", ...addressesOf(header, family), tlvs: extras }, size);
}

function withoutAddresses(command: ProxyHeader["command"], tlvs: readonly Tlv[]): ProxyHeader {
  return { version: 2, command, source: undefined, destination: undefined, tlvs };
}

function addressesOf(header: Uint8Array, family: number): { source: Address; destination: Address } {
  const width = family === FAMILY.unix ? UNIX_PATH_BYTES : family === FAMILY.inet6 ? 16 : 4;
  const ends = header.subarray(FIXED_BYTES, FIXED_BYTES + 2 * width);
  const [source, destination] = [ends.subarray(0, width), ends.subarray(width)];
  if (family === FAMILY.unix) return { source: unixAddress(source), destination: unixAddress(destination) };
  const ports = new DataView(header.buffer, header.byteOffset + FIXED_BYTES + 2 * width, 4);
  return {
    source: { host: hostOf(source), port: ports.getUint16(0) },
    destination: { host: hostOf(destination), port: ports.getUint16(2) },
  };
}

/** A path ends at its first NUL; a leading NUL is Linux' abstract namespace, written `@`. An unnamed socket is `unix:`. */
function unixAddress(field: Uint8Array): Address {
  const abstract = field[0] === 0 && field.some((byte) => byte !== 0);
  const name = abstract ? field.subarray(1) : field;
  const end = name.indexOf(0);
  const path = UTF8.decode(end === -1 ? name : name.subarray(0, end));
  return { host: `unix:${abstract ? "@" : ""}${path}`, port: 0 };
}

/** CRC32C over the whole header with the checksum's own four bytes zeroed (specification §2.2.3). */
function checksumFault(header: Uint8Array, tlvs: readonly Tlv[]): string | undefined {
  const [sum, second] = tlvs.filter(({ type }) => type === TLV_TYPE.crc32c);
  if (!sum) return undefined;
  if (second) return "two checksums"; // each costs a pass over the header
  if (sum.value.length !== 4) return "checksum is not 4 bytes";
  const stated = new DataView(sum.value.buffer, sum.value.byteOffset).getUint32(0);
  sum.value.fill(0); // part of our own copy
  return crc32c(header) === stated ? undefined : "wrong checksum";
}

function canonical(ip: string): string {
  const bytes = ipToBytes(ip);
  return bytes ? hostOf(bytes) : ip;
}

/** One text for one client: IPv4 stays IPv4 when a sender open to both families wrote it as IPv6. */
function hostOf(bytes: Uint8Array): string {
  return ipFromBytes(unmapped(bytes));
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
