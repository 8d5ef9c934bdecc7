import { ipToBytes, unmapped } from "../codecs/ip.ts";
import { type IpRange, ipRange, isInRange } from "../codecs/ip-range.ts";

const UNIX = "unix:";

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
    return compiled.some((range) => isInRange(range, bytes));
  };
}

function compileRange(text: string): IpRange {
  const range = ipRange(text);
  if (range) return range;
  throw new TypeError(`${JSON.stringify(text)} is no IP address, no range like 10.0.0.0/8, and not "unix:"`);
}
