import { ipFromBytes, ipToBytes, unmapped } from "./ip.ts";

/** Addresses that begin with the same bits: `203.0.113.0/24`, `2001:db8::/32`, or one alone. */
export interface IpRange {
  /** 4 or 16 bytes; those behind the bits are zero. */
  readonly bytes: Uint8Array;
  /** How many bits are fixed; all of them: it is one address. */
  readonly bits: number;
}

/**
 * Reads an address, or an address and a prefix length. IPv4 in IPv6's clothes (`::ffff:10.0.0.0/104`) is IPv4; `::/0` and the like
 * keep their IPv6 form: they say nothing of IPv4 clients. Undefined: it is neither. A zone is none: it would not be compared.
 */
export function ipRange(text: string): IpRange | undefined {
  const [host = "", prefix, ...rest] = text.split("/");
  const written = host.includes("%") ? undefined : ipToBytes(host);
  const width = (written?.length ?? 0) * 8;
  const bits = prefix === undefined ? width : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (!written || rest.length > 0 || bits < 0 || bits > width) return undefined;
  const bytes = unmapped(written);
  const dropped = width - bytes.length * 8;
  return bits < dropped ? masked(written, bits) : masked(bytes, bits - dropped);
}

/** Equal ranges are equal texts; one address stands without its length. */
export function ipRangeText({ bytes, bits }: IpRange): string {
  const address = ipFromBytes(bytes);
  return bits === bytes.length * 8 ? address : `${address}/${bits}`;
}

/** Whether an address, of {@link unmapped} bytes, is one of them. */
export function isInRange({ bytes, bits }: IpRange, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  return bytes.every((byte, place) => byte === ((address[place] ?? 0) & maskOf(place, bits)));
}

function masked(bytes: Uint8Array, bits: number): IpRange {
  return { bytes: bytes.map((byte, place) => byte & maskOf(place, bits)), bits };
}

/** Which bits of the byte at a place belong to the prefix. */
function maskOf(place: number, bits: number): number {
  const left = Math.min(Math.max(bits - place * 8, 0), 8);
  return (0xff00 >> left) & 0xff;
}
