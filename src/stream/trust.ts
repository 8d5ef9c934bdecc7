import { ipToBytes, unmapped } from "../codecs/ip.ts";

const UNIX = "unix:";

/** The bits of an address that a range fixes. */
interface Range {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

/**
 * Compiles the list of senders whose PROXY header counts. nginx: `set_real_ip_from`.
 * An entry is an address, a range (`10.0.0.0/8`, `fd00::/8`), or `unix:` for all clients of unix sockets. IPv4 in IPv6's
 * clothes (`::ffff:10.0.0.1`) is IPv4 here. Throws TypeError on any other entry.
 */
export function trusts(ranges: readonly string[]): (host: string) => boolean {
  const unix = ranges.includes(UNIX);
  const compiled = ranges.filter((range) => range !== UNIX).map(compileRange);
  return (host) => {
    if (host.startsWith(UNIX)) return unix;
    const address = ipToBytes(host);
    if (!address) return false;
    const bytes = unmapped(address);
    return compiled.some((range) => contains(range, bytes));
  };
}

function compileRange(text: string): Range {
  const [host = "", prefix, ...rest] = text.split("/");
  const written = host.includes("%") ? undefined : ipToBytes(host); // no zone: it would not be compared
  const width = (written?.length ?? 0) * 8;
  const bits = prefix === undefined ? width : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (!written || rest.length > 0 || bits < 0 || bits > width) {
    throw new TypeError(`${JSON.stringify(text)} is no IP address, no range like 10.0.0.0/8, and not "unix:"`);
  }
  const bytes = unmapped(written);
  const dropped = width - bytes.length * 8;
  // `::/0` and the like keep their IPv6 form: they say nothing of IPv4 clients.
  return bits < dropped ? { bytes: written, bits } : { bytes, bits: bits - dropped };
}

function contains({ bytes, bits }: Range, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (bytes[index] !== address[index]) return false;
  const rest = bits & 7;
  return rest === 0 || ((bytes[whole] ?? 0) ^ (address[whole] ?? 0)) >> (8 - rest) === 0;
}
