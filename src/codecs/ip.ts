import { isIPv4, isIPv6 } from "node:net";

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff); // RFC 4291 §2.5.5.2
const MAPPED_TEXT = "::ffff:";
const V6_GROUPS = 8;
const ZERO = 0x30;

/** Reads an IP address into its 4 or 16 bytes; a zone (`%eth0`) is left out, other text is undefined. */
export function ipToBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return v4Bytes(text);
  if (!isIPv6(text)) return undefined;
  const [address = ""] = text.split("%");
  const [left = "", right] = dottedToHex(address).split("::");
  const head = groups(left);
  const tail = right === undefined ? [] : groups(right);
  const bytes = new Uint8Array(2 * V6_GROUPS);
  for (const [place, group] of head.entries()) writeGroup(bytes, place, group);
  for (const [place, group] of tail.entries()) writeGroup(bytes, V6_GROUPS - tail.length + place, group);
  return bytes;
}

/** Digit by digit: an address is read for each session. */
function v4Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(4);
  let place = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (digit < 0) place++;
    else bytes[place] = (bytes[place] ?? 0) * 10 + digit;
  }
  return bytes;
}

function writeGroup(bytes: Uint8Array, place: number, group: number): void {
  bytes[2 * place] = group >> 8;
  bytes[2 * place + 1] = group & 0xff;
}

/** Writes 4 or 16 bytes as text; IPv6 in its one canonical form (RFC 5952), so that equal addresses are equal texts. */
export function ipFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (isMapped(bytes)) return `${MAPPED_TEXT}${bytes.subarray(MAPPED_PREFIX.length).join(".")}`;
  const hex = Array.from({ length: V6_GROUPS }, (_, group) =>
    (((bytes[2 * group] ?? 0) << 8) | (bytes[2 * group + 1] ?? 0)).toString(16),
  );
  const { start, length } = longestZeroRun(hex);
  if (length < 2) return hex.join(":"); // RFC 5952 §4.2.2: one zero group is not shortened
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** The same address with IPv4 as IPv6 (`::ffff:a.b.c.d`), for where both ends must be of one family. */
export function toV6(bytes: Uint8Array): Uint8Array {
  return bytes.length === 4 ? Uint8Array.of(...MAPPED_PREFIX, ...bytes) : bytes;
}

/** The same address as IPv4 when it is one in IPv6's clothes: what a socket open to both families reports. */
export function unmapped(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(MAPPED_PREFIX.length) : bytes;
}

/** The same for the text that Node makes of a socket's address, without reading it. */
export function unmappedText(host: string): string {
  return host.startsWith(MAPPED_TEXT) && host.includes(".") ? host.slice(MAPPED_TEXT.length) : host;
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.length === 16 && MAPPED_PREFIX.every((byte, index) => bytes[index] === byte);
}

/** `::ffff:1.2.3.4` to `::ffff:102:304`. */
function dottedToHex(address: string): string {
  const colon = address.lastIndexOf(":");
  const dotted = address.slice(colon + 1);
  if (!dotted.includes(".")) return address;
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  return `${address.slice(0, colon + 1)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function groups(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** RFC 5952 §4.2.3: the longest run, and of equal ones the first. */
function longestZeroRun(hex: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < hex.length; start++) {
    let length = 0;
    while (hex[start + length] === "0") length++;
    if (length > best.length) best = { start, length };
  }
  return best;
}
