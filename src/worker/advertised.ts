import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { formatAddress, parseEndpoint } from "../codecs/address.ts";

/** Listening there means every address of the machine, and tells nobody else where that is. */
const WILDCARDS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

type Interfaces = NodeJS.Dict<readonly Pick<NetworkInterfaceInfo, "address" | "family" | "internal">[]>;

/**
 * Where others reach this gateway, for the registry and for game servers: what the configuration advertises, else where it listens
 * first; a wildcard becomes the machine's first address that is not its own loopback's.
 */
export function advertisedAddress(
  advertise: string | undefined,
  listening: string | undefined,
  interfaces: Interfaces = networkInterfaces(),
): string {
  const address = advertise ?? listening ?? "";
  const endpoint = parseEndpoint(address);
  if (endpoint?.kind !== "tcp" || !WILDCARDS.has(endpoint.host)) return address;
  const outer = Object.values(interfaces).flatMap((all = []) => all.filter(({ internal }) => !internal));
  const best = outer.find(({ family }) => family === "IPv4") ?? (endpoint.host === "::" ? outer[0] : undefined);
  return best ? formatAddress({ host: best.address, port: endpoint.port }) : address;
}
