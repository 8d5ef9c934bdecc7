import type { GatewayConfig, ServerConfig } from "../../gateway.ts";
import type { Sniffer } from "../../preread/sniffer.ts";
import { shownBytes } from "./shown-bytes.ts";

/** A route that waits for bytes, with its place in the list. */
interface Candidate {
  readonly place: number;
  readonly sniffer: Sniffer;
  readonly examples: readonly Uint8Array[];
}

/**
 * Finds routes of one server that accept the same first bytes, by asking each sniffer about the examples of the others.
 * Two different protocols are reported as soon as one accepts an example of the other. Of one protocol with different
 * conditions only a later route is reported that an earlier one leaves nothing: first the special, then the general
 * route is how routes are meant to be written.
 */
export function overlaps(config: GatewayConfig): readonly string[] {
  return Object.entries(config.servers).flatMap(([name, server]) =>
    groups(server).flatMap((group) =>
      group.flatMap((later, index) => {
        const found = group.slice(0, index).map((earlier) => overlap(earlier, later));
        return found.filter((text) => text !== undefined).map((text) => `servers.${name}: ${text}`);
      }),
    ),
  );
}

/** With TLS at the port, `tls()` routes see the hello and all others what is inside: they never see the same bytes. */
function groups({ ssl, routes }: ServerConfig): readonly (readonly Candidate[])[] {
  const candidates = routes.flatMap((route, place): Candidate[] => {
    if (route.kind !== "on") return [];
    const { sniffer } = route;
    const given = Array.isArray(sniffer.examples) ? sniffer.examples : [];
    return [{ place, sniffer, examples: given.filter((example) => accepts(sniffer, example)) }];
  });
  if (!ssl || ssl.mode === "starttls") return [candidates];
  return [candidates.filter(isTls), candidates.filter((candidate) => !isTls(candidate))];
}

function isTls({ sniffer }: Candidate): boolean {
  return sniffer.name === "tls";
}

function overlap(earlier: Candidate, later: Candidate): string | undefined {
  const [first, second] = [earlier, later].map(({ place, sniffer }) => `routes[${place}] (${sniffer.name})`);
  const taken = later.examples.filter((example) => accepts(earlier.sniffer, example));
  const [example] = taken;
  if (example && taken.length === later.examples.length) {
    return `${second} may never be reached: ${first} is asked first and accepts its examples, like ${shownBytes(example)}`;
  }
  if (earlier.sniffer.name === later.sniffer.name) return undefined;
  const shared = example ?? earlier.examples.find((candidate) => accepts(later.sniffer, candidate));
  return shared && `${first} and ${second} both accept ${shownBytes(shared)}; ${first} is asked first and takes it`;
}

/** A condition is the user's function and may throw: it then accepts nothing. */
function accepts(sniffer: Sniffer, example: Uint8Array): boolean {
  try {
    return sniffer.sniff(example).kind === "match";
  } catch {
    return false;
  }
}
